// A client as plain as can be: one blocking connection for each request. It shares no code with
// the server, so that both cannot be wrong in the same way.

import Glibc

/// One whole answer.
struct Answer {
    let status: Int
    /// Names in lower case, in the order sent.
    let headers: [(name: String, value: String)]
    let body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }
    var json: JSON { JSON(body) }

    func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }

    /// Reads what came over a connection; nil unless it is one whole answer.
    init?(_ bytes: [UInt8], hasBody: Bool = true) {
        guard let end = Self.find(Array("\r\n\r\n".utf8), in: bytes, from: 0) else { return nil }
        let head = String(decoding: bytes[..<end], as: UTF8.self)
        var lines = head.split(separator: "\r\n")
        guard !lines.isEmpty else { return nil }
        let parts = lines.removeFirst().split(separator: " ", maxSplits: 2)
        guard parts.count >= 2, parts[0].hasPrefix("HTTP/1."), let code = Int(parts[1]) else {
            return nil
        }
        var headers: [(name: String, value: String)] = []
        for line in lines {
            guard let colon = line.firstIndex(of: ":") else { return nil }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            headers.append((line[..<colon].lowercased(), String(value)))
        }
        let rest = Array(bytes[(end + 4)...])
        let lengthText = headers.first { $0.name == "content-length" }?.value
        if headers.contains(where: { $0.name == "transfer-encoding" }) {
            guard let whole = Self.unchunk(rest) else { return nil }
            body = whole
        } else if let lengthText, hasBody {
            guard let length = Int(lengthText), rest.count >= length else { return nil }
            body = Array(rest[..<length])
        } else {
            body = rest
        }
        status = code
        self.headers = headers
    }

    private static func find(_ needle: [UInt8], in bytes: [UInt8], from start: Int) -> Int? {
        guard bytes.count >= needle.count + start else { return nil }
        return (start...(bytes.count - needle.count)).first {
            bytes[$0] == needle[0] && bytes[$0..<$0 + needle.count].elementsEqual(needle)
        }
    }

    private static func unchunk(_ bytes: [UInt8]) -> [UInt8]? {
        var whole: [UInt8] = []
        var position = 0
        while let end = find([13, 10], in: bytes, from: position) {
            let digits = bytes[position..<end].prefix { $0 != UInt8(ascii: ";") }
            guard let size = Int(String(decoding: digits, as: UTF8.self), radix: 16) else {
                return nil
            }
            if size == 0 { return whole }
            guard end + 2 + size + 2 <= bytes.count else { return nil }
            whole += bytes[(end + 2)..<(end + 2 + size)]
            position = end + 2 + size + 2
        }
        return nil
    }
}

/// A TCP connection, to 127.0.0.1 unless another host is named.
final class Connection {
    private let descriptor: Int32

    /// Nil when nobody listens.
    init?(
        port: Int, host: String = "127.0.0.1", through door: Namespace? = nil,
        timeout seconds: Int = 20
    ) {
        func make() -> Int32 { socket(AF_INET, tcp, 0) }
        descriptor = door?.enter(make) ?? make()
        var time = timeval(tv_sec: seconds, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(
                descriptor, SOL_SOCKET, option, &time, socklen_t(MemoryLayout<timeval>.size))
        }
        var address = loopback(port)
        inet_pton(AF_INET, host, &address.sin_addr)
        let code = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        // Nobody else closes the descriptor of an object that does not come to be.
        if code != 0 {
            close(descriptor)
            return nil
        }
    }

    deinit { close(descriptor) }

    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    @discardableResult
    func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    /// No more will be sent.
    func finish() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Everything up to the end of the connection, or to the time-out.
    func receiveAll() -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { return bytes }
            bytes.append(contentsOf: buffer[..<count])
        }
    }
}

/// Sends one request on a connection of its own; nil when no whole answer came back.
func exchange(
    port: Int, host: String = "127.0.0.1", through door: Namespace? = nil, _ method: String,
    _ path: String, headers: [(String, String)] = [], body: [UInt8] = [], timeout: Int = 20
) -> Answer? {
    guard
        let connection = Connection(port: port, host: host, through: door, timeout: timeout)
    else { return nil }
    var head = "\(method) \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    for (name, value) in headers { head += "\(name): \(value)\r\n" }
    if !body.isEmpty || method != "GET" { head += "Content-Length: \(body.count)\r\n" }
    guard connection.send(Array((head + "\r\n").utf8) + body) else { return nil }
    return Answer(connection.receiveAll(), hasBody: method != "HEAD")
}
