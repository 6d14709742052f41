// A client of many connections in one thread: enough to keep a server busy, and cheap, because it
// shares the machine's processors with what it measures.

import CSystem
import Core
import Glibc

/// An answer, as long as the client does not go on.
struct LoadAnswer {
    let status: Int
    let body: UnsafeRawBufferPointer
    /// From sending the request to having the whole answer.
    let nanoseconds: Int64

    var text: String { String(decoding: body, as: UTF8.self) }
}

/// Keep-alive connections to one port of the loopback, each with one request under way.
final class LoadClient {
    private final class Connection {
        let descriptor: Int32
        let index: Int
        var unsent: [UInt8] = []
        var sent = 0
        /// The beginning of an answer whose rest has not come.
        var partial: [UInt8] = []
        var number = -1
        var sentAt: Int64 = 0

        var waitsForRoom = false

        init(_ descriptor: Int32, index: Int) {
            self.descriptor = descriptor
            self.index = index
        }

        deinit { close(descriptor) }
    }

    private let epoll: Int32
    private var connections: [Connection] = []
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
    private var events = [epoll_event](repeating: epoll_event(), count: 64)

    init(port: UInt16, connections count: Int) throws {
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        for index in 0..<count {
            let connection = Connection(try connectLoopback(port), index: index)
            var event = epoll_event()
            event.events = EPOLLIN.rawValue
            event.data.u64 = UInt64(index)
            epoll_ctl(epoll, EPOLL_CTL_ADD, connection.descriptor, &event)
            connections.append(connection)
        }
    }

    deinit {
        close(epoll)
        buffer.deallocate()
    }

    /// Sends what `request` gives for 0, 1, 2 …, each on the first free connection, until it gives
    /// nil, and returns when all are answered.
    func drive(
        _ request: (Int) -> [UInt8]?, _ answered: (Int, LoadAnswer) throws -> Void = { _, _ in }
    ) throws {
        var next = 0
        var underWay = 0
        var isDone = false
        func begin(_ connection: Connection) throws {
            guard !isDone, let bytes = request(next) else {
                isDone = true
                return
            }
            connection.number = next
            connection.unsent = bytes
            connection.sent = 0
            connection.sentAt = monotonic()
            next += 1
            underWay += 1
            try send(connection)
        }
        for connection in connections { try begin(connection) }
        while underWay > 0 {
            let count = epoll_wait(epoll, &events, Int32(events.count), 30_000)
            guard count > 0 || errno == EINTR else {
                throw Failure("no answer within 30 s, \(underWay) requests wait")
            }
            for event in events.prefix(Int(max(count, 0))) {
                let connection = connections[Int(event.data.u64)]
                if connection.sent < connection.unsent.count { try send(connection) }
                guard event.events & ~EPOLLOUT.rawValue != 0 else { continue }
                let number = connection.number
                if try receive(connection, { try answered(number, $0) }) {
                    underWay -= 1
                    try begin(connection)
                }
            }
        }
    }

    /// One request and its answer's body, which must have one of these states.
    @discardableResult
    func ask(_ bytes: [UInt8], expecting states: [Int] = [200, 201, 202]) throws -> String {
        var text = ""
        try drive({ $0 == 0 ? bytes : nil }) { _, answer in
            text = answer.text
            guard states.contains(answer.status) else {
                throw Failure("answer \(answer.status): \(text.prefix(500))")
            }
        }
        return text
    }

    private func send(_ connection: Connection) throws {
        while connection.sent < connection.unsent.count {
            let count = connection.unsent.withUnsafeBytes {
                dkron_send(
                    connection.descriptor, $0.baseAddress! + connection.sent,
                    $0.count - connection.sent)
            }
            if count < 0 && errno == EINTR { continue }
            if count < 0 && errno == EAGAIN { return watch(connection, forRoom: true) }
            guard count > 0 else { throw Failure("the server ended a connection while sending") }
            connection.sent += count
        }
        if connection.waitsForRoom { watch(connection, forRoom: false) }
    }

    private func watch(_ connection: Connection, forRoom: Bool) {
        connection.waitsForRoom = forRoom
        var event = epoll_event()
        event.events = EPOLLIN.rawValue | (forRoom ? EPOLLOUT.rawValue : 0)
        event.data.u64 = UInt64(connection.index)
        epoll_ctl(epoll, EPOLL_CTL_MOD, connection.descriptor, &event)
    }

    /// Hands over the answer when it is there as a whole. It must have a length: lists, which have
    /// none, are for `drain`.
    private func receive(
        _ connection: Connection, _ answered: (LoadAnswer) throws -> Void
    ) throws -> Bool {
        let count = recv(connection.descriptor, buffer.baseAddress, buffer.count, 0)
        if count < 0 && (errno == EAGAIN || errno == EINTR) { return false }
        guard count > 0 else { throw Failure("the server ended a connection") }
        let fresh = UnsafeRawBufferPointer(rebasing: buffer[..<count])
        if connection.partial.isEmpty, let answer = try answer(fresh, connection) {
            try answered(answer)
            return true
        }
        connection.partial.append(contentsOf: fresh)
        let isWhole = try connection.partial.withUnsafeBytes { bytes in
            guard let answer = try answer(bytes, connection) else { return false }
            try answered(answer)
            return true
        }
        if isWhole { connection.partial.removeAll(keepingCapacity: true) }
        return isWhole
    }

    private func answer(
        _ bytes: UnsafeRawBufferPointer, _ connection: Connection
    ) throws -> LoadAnswer? {
        guard let head = offset(of: emptyLine, in: bytes) else { return nil }
        guard var place = offset(of: lengthField, in: bytes), place < head else {
            let text = String(decoding: bytes.prefix(head), as: UTF8.self)
            throw Failure("an answer has no length: \(text)")
        }
        place += lengthField.utf8CodeUnitCount
        var length = 0
        while bytes[place] >= 0x30, bytes[place] <= 0x39 {
            length = length * 10 + Int(bytes[place] - 0x30)
            place += 1
        }
        guard bytes.count >= head + 4 + length else { return nil }
        let digits = bytes[9..<12].reduce(0) { $0 * 10 + Int($1) - 0x30 }
        let body = UnsafeRawBufferPointer(rebasing: bytes[(head + 4)..<(head + 4 + length)])
        return LoadAnswer(
            status: digits, body: body, nanoseconds: monotonic() - connection.sentAt)
    }
}

let emptyLine: StaticString = "\r\n\r\n"
private let lengthField: StaticString = "\r\nContent-Length: "

/// Where a text that begins with CR occurs first.
func offset(
    of text: StaticString, in bytes: UnsafeRawBufferPointer, from start: Int = 0
) -> Int? {
    let count = text.utf8CodeUnitCount
    guard let base = bytes.baseAddress else { return nil }
    var place = start
    while bytes.count - place >= count,
        let found = memchr(base + place, 0x0D, bytes.count - place - count + 1)
    {
        if memcmp(found, text.utf8Start, count) == 0 { return UnsafeRawPointer(found) - base }
        place = UnsafeRawPointer(found) - base + 1
    }
    return nil
}

/// A request as bytes; a body brings its length.
func httpRequest(_ method: String, _ path: String, _ body: String = "", _ more: String = "")
    -> [UInt8]
{
    var text = "\(method) \(path) HTTP/1.1\r\nHost: localhost\r\n\(more)"
    if !body.isEmpty || method == "POST" { text += "Content-Length: \(body.utf8.count)\r\n" }
    return Array((text + "\r\n" + body).utf8)
}

/// Connects to a port of the loopback; the socket does not block.
func connectLoopback(_ port: UInt16) throws -> Int32 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw Failure("no socket: \(String(cString: strerror(errno)))") }
    var address = loopback(port)
    let code = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    guard code == 0 else {
        close(descriptor)
        throw Failure("can't connect to port \(port): \(String(cString: strerror(errno)))")
    }
    var yes: Int32 = 1
    setsockopt(
        descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
    dkron_set_nonblocking(descriptor)
    return descriptor
}

func loopback(_ port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return address
}

/// A port of the loopback that nobody uses, for now.
func freePort() throws -> UInt16 {
    let (descriptor, port) = try listenLoopback()
    close(descriptor)
    return port
}

func listenLoopback() throws -> (descriptor: Int32, port: UInt16) {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = loopback(0)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let code = withUnsafeMutablePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
            bind(descriptor, pointer, length) == 0 && listen(descriptor, 4_096) == 0
                ? getsockname(descriptor, pointer, &length) : -1
        }
    }
    guard code == 0 else { throw Failure("can't listen: \(String(cString: strerror(errno)))") }
    return (descriptor, UInt16(bigEndian: address.sin_port))
}

/// Reads a whole answer of any length and throws it away; the bytes it had, 0 on failure.
func drain(port: UInt16, _ path: String) -> Int {
    guard let descriptor = try? connectLoopback(port) else { return 0 }
    defer { close(descriptor) }
    let request = httpRequest("GET", path, "", "Connection: close\r\n")
    _ = request.withUnsafeBytes { dkron_send(descriptor, $0.baseAddress, $0.count) }
    var buffer = [UInt8](repeating: 0, count: 256 << 10)
    var total = 0
    while true {
        var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&wait, 1, 30_000) > 0 else { return 0 }
        let count = recv(descriptor, &buffer, buffer.count, 0)
        if count < 0 && (errno == EAGAIN || errno == EINTR) { continue }
        guard count > 0 else { return total }
        total += count
    }
}
