// An HTTP server that has nothing to do but answer the same body, in a thread of this process: the
// other end of requests that the server makes, and the ceiling where there is no nginx.

import CSystem
import Glibc

final class FixedServer: @unchecked Sendable {
    let port: UInt16
    private let listener: Int32
    private let epoll: Int32
    private let stop: Int32
    private let answer: [UInt8]
    private var thread: Background?
    /// When each request came, nanoseconds since 1970; to be read after `end`.
    private(set) var arrivals: [Int64] = []
    /// Connections taken; to be read after `end`.
    private(set) var connections = 0
    private let keepsArrivals: Bool

    init(bodyBytes: Int, keepsArrivals: Bool = false) throws {
        (listener, port) = try listenLoopback()
        dkron_set_nonblocking(listener)
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        stop = eventfd(0, Int32(EFD_CLOEXEC))
        answer = Array(
            ("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: \(bodyBytes)\r\n\r\n"
                + String(repeating: "x", count: bodyBytes)).utf8)
        self.keepsArrivals = keepsArrivals
        watch(listener)
        watch(stop)
        thread = Background { [self] in serve() }
    }

    /// Ends the thread; once.
    func end() {
        eventfd_write(stop, 1)
        thread?.join()
        thread = nil
        for descriptor in [listener, epoll, stop] { close(descriptor) }
    }

    private func watch(_ descriptor: Int32) {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue
        event.data.fd = descriptor
        epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event)
    }

    private func serve() {
        var events = [epoll_event](repeating: epoll_event(), count: 256)
        /// The last bytes of a request that has not come as a whole, by descriptor.
        var partial: [Int32: [UInt8]] = [:]
        while true {
            let count = epoll_wait(epoll, &events, Int32(events.count), -1)
            for event in events.prefix(Int(max(count, 0))) {
                let descriptor = event.data.fd
                if descriptor == stop {
                    for client in partial.keys { close(client) }
                    return
                }
                if descriptor == listener {
                    while case let client = acceptClient(listener), client >= 0 {
                        connections += 1
                        partial[client] = []
                        watch(client)
                    }
                } else if !exchange(descriptor, &partial[descriptor, default: []]) {
                    partial[descriptor] = nil
                    close(descriptor)
                }
            }
        }
    }

    private func acceptClient(_ listener: Int32) -> Int32 {
        var address = sockaddr_storage()
        return csystem_accept(listener, &address)
    }

    /// Answers every request that is there; false when the client has gone. Requests have no body.
    private func exchange(_ descriptor: Int32, _ partial: inout [UInt8]) -> Bool {
        var requests = 0
        let isOpen = withUnsafeTemporaryAllocation(byteCount: 16 << 10, alignment: 1) { buffer in
            let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
            guard count > 0 else { return count < 0 && (errno == EAGAIN || errno == EINTR) }
            partial.append(contentsOf: buffer[..<count])
            return true
        }
        var start = 0
        partial.withUnsafeBytes { bytes in
            while let end = offset(of: emptyLine, in: bytes, from: start) {
                start = end + emptyLine.utf8CodeUnitCount
                requests += 1
            }
        }
        partial.removeFirst(start)
        for _ in 0..<requests {
            if keepsArrivals { arrivals.append(wall()) }
            _ = answer.withUnsafeBytes { dkron_send(descriptor, $0.baseAddress, $0.count) }
        }
        return isOpen
    }
}
