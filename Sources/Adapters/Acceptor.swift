internal import Core
internal import Glibc

/// The sockets that clients of one kind connect to, watched by the loop.
///
/// While the machine has no room for more clients it takes nobody for a moment: whoever waits keeps
/// a socket readable, so without a pause the loop would spin until somebody else lets go of
/// something.
final class Acceptor {
    private let loop: EventLoop
    private let owner: EventLoop.Token.Owner
    private let firstToken: UInt64
    private var sockets: [ListeningSocket] = []
    private var pausedUntil: Instant?

    /// - Parameter firstToken: the number of the first socket's events; the others' follow.
    init(_ loop: EventLoop, _ owner: EventLoop.Token.Owner, firstToken: UInt64 = 0) {
        self.loop = loop
        self.owner = owner
        self.firstToken = firstToken
    }

    deinit { close() }

    func add(_ socket: ListeningSocket) {
        sockets.append(socket)
        watch()
    }

    /// Takes clients that wait at a socket: a bounded number, so that a flood of them leaves time
    /// for those that are there.
    /// - Returns: why nobody can be taken for now, or nil.
    func accept(
        _ token: UInt64, at now: Instant, _ take: (Int32, SocketAddress) -> Void
    ) -> String? {
        let index = Int(token - firstToken)
        guard sockets.indices.contains(index), pausedUntil == nil else { return nil }
        for _ in 0..<Self.mostAtOnce {
            var address = SocketAddress()
            let descriptor = sockets[index].accept(&address)
            if descriptor >= 0 {
                take(descriptor, address)
                continue
            }
            switch errno {
            case EINTR, ECONNABORTED, EPROTO: continue
            case EAGAIN, EWOULDBLOCK: return nil
            case let code:
                pausedUntil = now + Self.pause
                for socket in sockets { loop.forget(socket.descriptor) }
                return errorText(code)
            }
        }
        return nil
    }

    /// When `expire` has something to do; `.distantFuture`: never.
    var nextDeadline: Instant { pausedUntil ?? .distantFuture }

    func expire(at now: Instant) {
        guard let until = pausedUntil, until <= now else { return }
        pausedUntil = nil
        watch()
    }

    func close() {
        for socket in sockets {
            loop.forget(socket.descriptor)
            Glibc.close(socket.descriptor)
        }
        sockets = []
        pausedUntil = nil
    }

    private func watch() {
        guard pausedUntil == nil else { return }
        for (index, socket) in sockets.enumerated() {
            loop.watch(
                socket.descriptor, for: .read, as: .init(owner, firstToken + UInt64(index)))
        }
    }

    private static let mostAtOnce = 64
    private static let pause = Duration.milliseconds(200)
}
