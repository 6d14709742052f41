internal import Core
internal import Glibc

/// One end of a connection, perhaps with TLS on it. Blocks nobody; closed when nobody holds it any
/// more, so that a handshake under way on another thread never sees its descriptor go.
final class StreamSocket: @unchecked Sendable {
    enum Moved {
        /// At least one.
        case bytes(Int)
        /// Not before the socket is ready once more. Without renegotiation TLS need not write to
        /// be read, nor the other way round.
        case blocked
        /// The other side says no more.
        case end
        case failed(String)
    }

    let descriptor: Int32
    /// Nil: plain bytes.
    private(set) var session: TLSSession?

    /// Takes the descriptor over.
    init(_ descriptor: Int32, tls role: TLSSession.Role? = nil) {
        self.descriptor = descriptor
        session = role.map { TLSSession($0, on: descriptor) }
    }

    /// From now on TLS is spoken, once both sides agree.
    func secure(as role: TLSSession.Role) { session = TLSSession(role, on: descriptor) }

    deinit {
        session?.sayEnd()
        close(descriptor)
    }

    /// - Parameter buffer: at least 16 KiB.
    func receive(into buffer: UnsafeMutableBufferPointer<UInt8>) -> Moved {
        if let session { return session.read(into: buffer) }
        let count = retryingInterrupted { recv(descriptor, buffer.baseAddress, buffer.count, 0) }
        return count == 0 ? .end : moved(count)
    }

    /// Not of nothing.
    func send(_ bytes: UnsafeRawBufferPointer) -> Moved {
        if let session { return session.write(bytes) }
        return moved(
            retryingInterrupted {
                Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            })
    }

    /// Sends as much as is taken now.
    /// - Parameter outgoing: keeps the rest, or nothing if the other side takes no more. It may
    ///   answer and close before it has read everything; what it said is there to be read, and if
    ///   it said nothing the read tells why.
    /// - Returns: how many bytes were taken.
    func transmit(_ outgoing: inout ArraySlice<UInt8>) -> Int {
        var taken = 0
        while !outgoing.isEmpty {
            switch outgoing.withUnsafeBytes(send) {
            case .bytes(let count):
                taken += count
                outgoing.removeFirst(count)
            case .blocked: return taken
            case .end, .failed: outgoing = []
            }
        }
        return taken
    }

    private func moved(_ count: Int) -> Moved {
        if count > 0 { return .bytes(count) }
        if errno == EAGAIN || errno == EWOULDBLOCK { return .blocked }
        return .failed(errorText(errno))
    }

    /// Says no more; what the other side says is still received.
    func endSending() {
        session?.sayEnd()
        shutdown(descriptor, Int32(SHUT_WR))
    }
}
