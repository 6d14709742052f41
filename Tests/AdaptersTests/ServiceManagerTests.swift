import Adapters
import Core
import Glibc
import Testing

@Suite("Telling the service manager")
struct ServiceManagerTests {
    /// The manager's end: a datagram socket bound to a name.
    private final class Listener {
        let descriptor: Int32

        init(_ name: [UInt8]) throws {
            descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
            let length = socklen_t(MemoryLayout<sa_family_t>.size + name.count)
            let code = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, length)
                }
            }
            try #require(code == 0)
        }

        deinit { close(descriptor) }

        func receive() -> String {
            guard waitReadable(descriptor) else { return "(nothing came)" }
            var buffer = [UInt8](repeating: 0, count: 1_000)
            let count = recv(descriptor, &buffer, buffer.count, 0)
            return String(decoding: buffer[..<max(0, count)], as: UTF8.self)
        }
    }

    @Test("the messages are those of sd_notify, one datagram each")
    func messages() throws {
        let directory = TemporaryDirectory()
        let path = directory.path + "/notify"
        let listener = try Listener(Array(path.utf8))
        let manager = try #require(ServiceManager(socket: path))
        #expect(manager.tell(.ready))
        #expect(listener.receive() == "READY=1")
        #expect(manager.tell(.reloading(since: Instant(nanoseconds: 12_345_678))))
        #expect(listener.receive() == "RELOADING=1\nMONOTONIC_USEC=12345")
        #expect(manager.tell(.stopping))
        #expect(listener.receive() == "STOPPING=1")
    }

    @Test("a name that begins with @ is one of the abstract space")
    func abstract() throws {
        let name = "dkron-test-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        let listener = try Listener([0] + Array(name.utf8))
        let manager = try #require(ServiceManager(socket: "@" + name))
        #expect(manager.tell(.ready))
        #expect(listener.receive() == "READY=1")
    }

    @Test("nobody at the other end, and names that are none, do no harm")
    func nobody() throws {
        let manager = try #require(ServiceManager(socket: "/nonexistent/notify"))
        #expect(!manager.tell(.ready))
        for name in [
            "", "/", "relative/path", "vsock:2:1234", "/" + String(repeating: "x", count: 120),
        ] {
            #expect(ServiceManager(socket: name) == nil, "\(name)")
        }
    }
}
