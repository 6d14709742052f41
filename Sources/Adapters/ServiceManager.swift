package import Core
internal import Glibc

/// Tells the service manager that started this process how far it is: the protocol of sd_notify(3),
/// datagrams of `NAME=VALUE` lines to the Unix socket that `NOTIFY_SOCKET` names.
package final class ServiceManager {
    package enum State: Hashable, Sendable {
        /// Requests are served; also the end of a reload.
        case ready
        case reloading(since: Instant)
        case stopping

        package var message: String {
            switch self {
            case .ready: "READY=1"
            case .reloading(let since):
                "RELOADING=1\nMONOTONIC_USEC=\((since - .zero).nanoseconds / 1_000)"
            case .stopping: "STOPPING=1"
            }
        }
    }

    private static let variable = "NOTIFY_SOCKET"
    private let descriptor: Int32
    private let address: [UInt8]

    /// The manager that the environment names. Takes the variable out, so that no command can
    /// speak for this process. Call it before the first thread is made.
    package static func takeFromEnvironment() -> ServiceManager? {
        guard let value = getenv(variable) else { return nil }
        defer { unsetenv(variable) }
        return ServiceManager(socket: String(cString: value))
    }

    /// - Parameter socket: an absolute path, or a name of the abstract space after `@`. Nil for
    ///   anything else, and for a path longer than a socket address.
    package init?(socket path: String) {
        var name = Array(path.utf8)
        guard let first = name.first, name.count > 1,
            name.count < MemoryLayout.size(ofValue: sockaddr_un().sun_path)
        else { return nil }
        switch first {
        case UInt8(ascii: "/"): break
        case UInt8(ascii: "@"): name[0] = 0
        default: return nil
        }
        address = name
        descriptor = Glibc.socket(
            AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
    }

    deinit { close(descriptor) }

    /// Best effort, and never waits: a manager that does not listen is no reason to do less.
    @discardableResult
    package func tell(_ state: State) -> Bool {
        var target = sockaddr_un()
        target.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &target.sun_path) { $0.copyBytes(from: address) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + address.count)
        let bytes = Array(state.message.utf8)
        let sent = withUnsafePointer(to: &target) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { target in
                retryingInterrupted {
                    sendto(
                        descriptor, bytes, bytes.count,
                        Int32(MSG_NOSIGNAL | MSG_DONTWAIT), target, length)
                }
            }
        }
        return sent == bytes.count
    }
}
