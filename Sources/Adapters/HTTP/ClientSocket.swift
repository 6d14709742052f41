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

    private let descriptor: Int32

    /// Connects to the first of the endpoint's addresses that takes it.
    ///
    /// - Parameter timeout: for all addresses together; asking name servers is not counted.
    package init(_ endpoint: Endpoint, timeout: Duration) throws(Failure) {
        let addresses: [SocketAddress]
        do throws(AddressError) { addresses = try SocketAddress.resolve(endpoint) } catch {
            throw Failure(reason: error.reason)
        }
        let deadline = Clocks.monotonic() + timeout
        var failure = Failure(reason: "it has no address")
        for address in addresses {
            do throws(Failure) {
                descriptor = try Self.connect(address, deadline)
                return
            } catch {
                failure = error
            }
        }
        throw failure
    }

    deinit { close(descriptor) }

    /// Sends everything. The time-out is for each stretch in which the server takes nothing.
    package func send(_ bytes: [UInt8], timeout: Duration) throws(Failure) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes { piece in
                Glibc.send(descriptor, piece.baseAddress, piece.count, Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                sent += count
            } else if errno == EAGAIN {
                try Self.wait(descriptor, POLLOUT, until: Clocks.monotonic() + timeout)
            } else if errno != EINTR {
                throw Failure(reason: errorText(errno))
            }
        }
    }

    /// Waits for bytes. None are the end of what the server sends.
    package func receive(timeout: Duration) throws(Failure) -> [UInt8] {
        let deadline = Clocks.monotonic() + timeout
        while true {
            var result = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: 64 << 10) { buffer, count in
                result = recv(descriptor, buffer.baseAddress, buffer.count, 0)
                count = max(0, result)
            }
            if result >= 0 { return bytes }
            if errno == EAGAIN {
                try Self.wait(descriptor, POLLIN, until: deadline)
            } else if errno != EINTR {
                throw Failure(reason: errorText(errno))
            }
        }
    }

    private static func connect(
        _ address: SocketAddress, _ deadline: Instant
    ) throws(Failure) -> Int32 {
        let socket: ConnectingSocket
        do throws(SystemError) {
            socket = try ConnectingSocket(to: address)
        } catch {
            throw Failure(reason: error.reason)
        }
        if socket.isOpen { return socket.descriptor }
        do throws(Failure) {
            try wait(socket.descriptor, POLLOUT, until: deadline)
            if let reason = ConnectingSocket.failure(of: socket.descriptor) {
                throw Failure(reason: reason)
            }
            return socket.descriptor
        } catch {
            close(socket.descriptor)
            throw error
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
