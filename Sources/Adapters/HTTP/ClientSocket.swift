package import Core
internal import Glibc

/// A connection to a server for a program that does one thing at a time: every call waits, none
/// for longer than it was told.
package final class ClientSocket {
    /// Why the conversation ended, as the rest of a sentence.
    package struct Failure: Error, Hashable, Sendable {
        package var reason: String
        package var isTimeout: Bool

        package init(reason: String, isTimeout: Bool = false) {
            self.reason = reason
            self.isTimeout = isTimeout
        }
    }

    private let socket: StreamSocket
    private let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 64 << 10)

    /// Connects to the first of the endpoint's addresses that takes it.
    ///
    /// - Parameters:
    ///   - peer: whom to speak TLS to; nil: plain bytes.
    ///   - timeout: for all addresses together; asking name servers is not counted.
    package init(
        _ endpoint: Endpoint, tls peer: TLSPeer? = nil, timeout: Duration
    ) throws(Failure) {
        let addresses: [SocketAddress]
        do throws(AddressError) { addresses = try SocketAddress.resolve(endpoint) } catch {
            throw Failure(reason: error.reason)
        }
        let deadline = Clocks.monotonic() + timeout
        var failure = Failure(reason: "it has no address")
        for address in addresses {
            do throws(Failure) {
                socket = try Self.connect(address, peer, deadline)
                return
            } catch {
                failure = error
            }
        }
        throw failure
    }

    deinit { buffer.deallocate() }

    /// Sends everything. The time-out is for each stretch in which the server takes nothing.
    package func send(_ bytes: [UInt8], timeout: Duration) throws(Failure) {
        var sent = 0
        while sent < bytes.count {
            switch bytes[sent...].withUnsafeBytes(socket.send) {
            case .bytes(let count): sent += count
            case .blocked:
                try Self.wait(socket.descriptor, POLLOUT, until: Clocks.monotonic() + timeout)
            case .end: throw Failure(reason: "the server has closed the connection")
            case .failed(let reason): throw Failure(reason: reason)
            }
        }
    }

    /// Waits for bytes. None are the end of what the server sends.
    package func receive(timeout: Duration) throws(Failure) -> [UInt8] {
        let deadline = Clocks.monotonic() + timeout
        while true {
            switch socket.receive(into: buffer) {
            case .bytes(let count): return Array(buffer[..<count])
            case .end: return []
            case .blocked: try Self.wait(socket.descriptor, POLLIN, until: deadline)
            case .failed(let reason): throw Failure(reason: reason)
            }
        }
    }

    private static func connect(
        _ address: SocketAddress, _ peer: TLSPeer?, _ deadline: Instant
    ) throws(Failure) -> StreamSocket {
        let connecting: ConnectingSocket
        do throws(SystemError) {
            connecting = try ConnectingSocket(to: address)
        } catch {
            throw Failure(reason: error.reason)
        }
        let socket = StreamSocket(connecting.descriptor, tls: peer.map { .client($0) })
        if !connecting.isOpen {
            try wait(socket.descriptor, POLLOUT, until: deadline)
            if let reason = ConnectingSocket.failure(of: socket.descriptor) {
                throw Failure(reason: reason)
            }
        }
        guard let session = socket.session else { return socket }
        // The library writes without asking for silence about a closed connection.
        signal(SIGPIPE, SIG_IGN)
        while true {
            switch session.handshake() {
            case .done: return socket
            case .failed(let reason): throw Failure(reason: reason)
            case .waits(let interest):
                let event = interest == .write ? POLLOUT : POLLIN
                try wait(socket.descriptor, event, until: deadline)
            }
        }
    }

    /// Waits until something can be done with a socket. What went wrong with it shows then.
    private static func wait(
        _ descriptor: Int32, _ event: Int32, until deadline: Instant
    ) throws(Failure) {
        while true {
            let rest = deadline - Clocks.monotonic()
            guard rest > .zero else {
                throw Failure(reason: "the time-out is over", isTimeout: true)
            }
            var entry = pollfd(fd: descriptor, events: Int16(event), revents: 0)
            // One more, so that a rest below a millisecond is slept and not spun.
            let milliseconds = Int32(clamping: rest.wholeMilliseconds + 1)
            let count = poll(&entry, 1, milliseconds)
            if count > 0 { return }
            if count < 0, errno != EINTR { throw Failure(reason: errorText(errno)) }
        }
    }
}
