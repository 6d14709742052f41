import Adapters
import Core
import Glibc

/// A listener on a port of its own with an echo behind it, turned by hand on the test's thread.
///
/// `/hold…` is not answered until `release`; `/stream` answers pieces of `pieceSize` bytes, each
/// after the `drained` of the one before; everything else is answered at once by its method, path
/// and body.
final class ListenerBench {
    let listener: HTTPListener
    let endpoint: Endpoint
    private let loop: EventLoop
    private(set) var requests: [HTTPRequest] = []
    private(set) var abandoned = 0
    private(set) var drained = 0
    private var held: [RequestID] = []
    private var pieces: [RequestID: Int] = [:]
    private var inputs: [Input] = []
    private var events: [EventLoop.Event] = []
    /// Moves the listener's clock ahead of the real one.
    var ahead = Duration.zero
    let pieceSize = 256 << 10
    let pieceCount = 40

    init(
        mostConnections: Int = 1_024, mostHeldBytes: Int = 512 << 20,
        limits: HTTPLimits = HTTPLimits()
    ) throws {
        loop = try EventLoop()
        listener = HTTPListener(
            loop: loop, log: LogWriter(level: .error), handshakes: try TLSHandshakes(),
            mostConnections: mostConnections, mostHeldBytes: mostHeldBytes, limits: limits)
        let bound = try listener.listen(on: Endpoint(host: "127.0.0.1", port: 0))
        endpoint = Endpoint(host: "127.0.0.1", port: bound[0].port)
    }

    var now: Now {
        var now = Clocks.now()
        now.monotonic = now.monotonic + ahead
        return now
    }

    /// One round of what a driver does.
    func turn(milliseconds: Int32 = 1) {
        loop.wait(milliseconds: milliseconds, into: &events)
        for event in events { listener.handle(event, at: now, into: &inputs) }
        if let deadline = listener.nextDeadline, deadline <= now.monotonic {
            listener.expire(at: now, into: &inputs)
        }
        let batch = inputs
        inputs = []
        for input in batch { handle(input) }
        listener.flush(at: now, into: &inputs)
    }

    /// Turns until the condition holds; false after five seconds without.
    func turn(until condition: () -> Bool) -> Bool {
        let start = Clocks.monotonic()
        while !condition() {
            if Clocks.monotonic() - start > .seconds(5) { return false }
            turn()
        }
        return true
    }

    func release() {
        for id in held { listener.respond(id, Self.text("released"), at: now) }
        held = []
    }

    private func handle(_ input: Input) {
        switch input {
        case .request(let id, let request):
            requests.append(request)
            if request.path.hasPrefix("/hold") {
                held.append(id)
            } else if request.path == "/stream" {
                listener.respond(id, HTTPResponse(status: 200, body: .stream), at: now)
                pieces[id] = 0
            } else {
                let body = String(decoding: request.body, as: UTF8.self)
                let answer = Self.text("\(request.method) \(request.path) \(body)")
                listener.respond(id, answer, at: now)
            }
        case .drained(let id):
            drained += 1
            guard let sent = pieces[id] else { return }
            pieces[id] = sent + 1
            let piece = [UInt8](repeating: UInt8(ascii: "x"), count: pieceSize)
            listener.respondChunk(id, piece, last: sent + 1 == pieceCount, at: now)
        case .requestAbandoned(let id):
            abandoned += 1
            held.removeAll { $0 == id }
            pieces[id] = nil
        default: break
        }
    }

    private static func text(_ text: String) -> HTTPResponse {
        HTTPResponse(status: 200, body: .bytes(Array(text.utf8)))
    }
}

/// A client that sends and receives bytes as they are.
final class RawClient {
    private let descriptor: Int32
    private(set) var received: [UInt8] = []
    private(set) var ended = false

    init(_ endpoint: Endpoint, receiveBuffer: Int32? = nil) {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        if var size = receiveBuffer {
            let length = socklen_t(MemoryLayout<Int32>.size)
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, length)
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = endpoint.port.bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if result != 0 { ended = true }
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
    }

    deinit { close(descriptor) }

    func send(_ text: String) { _ = Glibc.send(descriptor, text, text.utf8.count, 0x4000) }

    /// Ends our direction only.
    func shutdownSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Ends the connection by a reset, as a client that died would.
    func reset() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        let length = socklen_t(MemoryLayout.size(ofValue: linger))
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, length)
        var unspecified = sockaddr()
        unspecified.sa_family = sa_family_t(AF_UNSPEC)
        connect(descriptor, &unspecified, socklen_t(MemoryLayout<sockaddr>.size))
    }

    /// Takes what is there, up to `limit` bytes.
    func receive(atMost limit: Int = 1 << 20) {
        var buffer = [UInt8](repeating: 0, count: limit)
        let count = recv(descriptor, &buffer, limit, 0)
        if count > 0 { received += buffer[..<count] }
        if count == 0 || count < 0 && errno != EAGAIN { ended = true }
    }

    var text: String { String(decoding: received, as: UTF8.self) }

    /// How many whole answers of status 200 came.
    var answers: Int { text.components(of: "HTTP/1.1 200 OK").count - 1 }
}

extension String {
    func components(of separator: String) -> [Substring] {
        split(separator: separator, omittingEmptySubsequences: false)
    }
}
