import Adapters
import Core
import Glibc

@testable import Simulator

/// The simulator's model of a server behind a real socket on 127.0.0.1, on a thread of its own:
/// what the model answers in virtual time, this answers in real time.
final class LoopbackServer: @unchecked Sendable {
    let port: UInt16
    private let listener: Int32
    private let stopper: (read: Int32, write: Int32)
    private var thread = pthread_t()
    /// The thread's alone until it has ended.
    private var clients: [Int32: Client] = [:]
    private(set) var requests: [HTTPPeerRequest] = []

    private struct Client {
        var peer = HTTPPeer()
        var later: [(at: Instant, kind: HTTPPeer.Step.Kind)] = []
    }

    init() throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        self.listener = listener
        var address = Self.loopback(0)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, size) == 0 && listen(listener, 64) == 0
                    && getsockname(listener, $0, &size) == 0
            }
        }
        guard result else { throw LoopbackError() }
        port = UInt16(bigEndian: address.sin_port)
        var pair: [Int32] = [0, 0]
        guard pipe(&pair) == 0 else { throw LoopbackError() }
        stopper = (pair[0], pair[1])
        let context = Unmanaged.passRetained(self).toOpaque()
        let started = pthread_create(
            &thread, nil,
            { context in
                Unmanaged<LoopbackServer>.fromOpaque(context!).takeRetainedValue().serve()
                return nil
            }, context)
        guard started == 0 else { throw LoopbackError() }
    }

    /// Ends the thread and closes everything; `requests` may be read afterwards.
    func stop() {
        close(stopper.write)
        pthread_join(thread, nil)
        close(stopper.read)
        close(listener)
    }

    static func loopback(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return address
    }

    private func serve() {
        while true {
            var entries = [stopper.read, listener].map { pollfd(fd: $0, events: 1, revents: 0) }
            let order = clients.keys.sorted()
            entries += order.map { pollfd(fd: $0, events: 1, revents: 0) }
            poll(&entries, nfds_t(entries.count), 5)
            if entries[0].revents != 0 {
                for descriptor in order { close(descriptor) }
                return
            }
            if entries[1].revents != 0 {
                let descriptor = accept(listener, nil, nil)
                if descriptor >= 0 { clients[descriptor] = Client() }
            }
            for (index, descriptor) in order.enumerated() where entries[index + 2].revents != 0 {
                receive(descriptor)
            }
            for descriptor in clients.keys.sorted() { send(descriptor) }
        }
    }

    private func receive(_ descriptor: Int32) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { return drop(descriptor) }
        let draws = Draws(seed: 1).stream("loopback")
        let (requests, steps) = clients[descriptor]!.peer.receive(
            Array(buffer[..<count]), bodyKey: 0
        ) { _ in draws }
        self.requests += requests
        var at = Clocks.monotonic()
        for step in steps {
            at = at + step.after
            clients[descriptor]!.later.append((at, step.kind))
        }
    }

    private func send(_ descriptor: Int32) {
        let now = Clocks.monotonic()
        while let first = clients[descriptor]?.later.first, first.at <= now {
            clients[descriptor]!.later.removeFirst()
            switch first.kind {
            case .send(let bytes, _):
                var sent = 0
                while sent < bytes.count {
                    let count = bytes[sent...].withUnsafeBytes {
                        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                    }
                    guard count > 0 else { return drop(descriptor) }
                    sent += count
                }
            case .close: return drop(descriptor)
            case .reset:
                var linger = linger(l_onoff: 1, l_linger: 0)
                let size = socklen_t(MemoryLayout.size(ofValue: linger))
                setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, size)
                return drop(descriptor)
            }
        }
    }

    private func drop(_ descriptor: Int32) {
        close(descriptor)
        clients[descriptor] = nil
    }
}

struct LoopbackError: Error {}
