// Calls to and from another implementation of gRPC, over loopback.

import Core
import Glibc
import Testing

/// A client of ours over a socket.
private final class PeerClient {
    var client: GRPCClient
    private let link: BlockingLink
    private var messages: [UInt64: [[UInt8]]] = [:]
    private var heads: [UInt64: GRPCMetadata] = [:]
    private var ends: [UInt64: (GRPCStatus, GRPCMetadata)] = [:]

    struct Result {
        var messages: [[UInt8]]
        var head: GRPCMetadata?
        var status: GRPCStatus
        var trailers: GRPCMetadata
    }

    init(port: UInt16, messageLimit: Int = 64 << 20) throws {
        link = try BlockingLink(port: port)
        client = GRPCClient(
            authority: "127.0.0.1:\(port)", messageLimit: messageLimit, at: BlockingLink.now)
    }

    func begin(
        _ method: String, _ requests: [[UInt8]], answers: GRPCCount = .one,
        timeout: Duration? = nil, metadata: GRPCMetadata = GRPCMetadata()
    ) throws -> UInt64 {
        let now = BlockingLink.now
        let call = try client.call(
            method, metadata: metadata, answers: answers, timeout: timeout, at: now)
        for request in requests { client.send(call, request, last: false, at: now) }
        client.finish(call, at: now)
        return call
    }

    func turn() {
        link.turn(&client.http, milliseconds: 5)
        client.expire(at: BlockingLink.now)
        while let event = client.nextEvent(at: BlockingLink.now) {
            switch event {
            case .message(let call, let bytes): messages[call, default: []].append(bytes)
            case .metadata(let call, let metadata): heads[call] = metadata
            case .finished(let call, let status, let trailers): ends[call] = (status, trailers)
            case .writable, .closed: break
            }
        }
    }

    /// Waits for the end of a call, 30 seconds at most.
    func result(_ call: UInt64) -> Result {
        let limit = BlockingLink.now + .seconds(30)
        while ends[call] == nil, BlockingLink.now < limit { turn() }
        let (status, trailers) = ends[call] ?? (GRPCStatus(.unknown, "no end"), GRPCMetadata())
        return Result(
            messages: messages[call] ?? [], head: heads[call], status: status, trailers: trailers)
    }

    func call(
        _ method: String, _ requests: [[UInt8]], answers: GRPCCount = .one,
        timeout: Duration? = nil, metadata: GRPCMetadata = GRPCMetadata()
    ) throws -> Result {
        result(
            try begin(
                method, requests, answers: answers, timeout: timeout, metadata: metadata))
    }

    func message(_ call: UInt64, after count: Int) -> [UInt8]? {
        let limit = BlockingLink.now + .seconds(30)
        while messages[call]?.count ?? 0 <= count, ends[call] == nil, BlockingLink.now < limit {
            turn()
        }
        return messages[call]?.dropFirst(count).first
    }
}

/// A server of ours over a socket, with the methods that the client's program calls.
private struct PeerServer: ~Copyable {
    var server: GRPCServer
    private let link: BlockingLink
    private var sums: [UInt64: Int] = [:]
    private var chats: Set<UInt64> = []
    private var counts: [UInt64: (next: Int, end: Int, size: Int)] = [:]
    private(set) var ended = 0

    init(_ descriptor: Int32) {
        link = BlockingLink(adopting: descriptor)
        server = GRPCServer(
            methods: ["Echo", "Count", "Fail", "Never"].map { GRPCMethod("/t.Test/\($0)") }
                + ["Chat", "Collect"].map { GRPCMethod("/t.Test/\($0)", requests: .stream) },
            at: BlockingLink.now)
    }

    mutating func turn() throws {
        link.turn(&server.http, milliseconds: 5)
        let now = BlockingLink.now
        server.expire(at: now)
        while let event = server.nextEvent(at: now) {
            switch event {
            case .request(let call, let method, let metadata, let bytes):
                try take(call, method, metadata, bytes, at: now)
            case .opened(let call, let method, _):
                if method.hasSuffix("Chat") { chats.insert(call) } else { sums[call] = 0 }
            case .message(let call, let bytes):
                if chats.contains(call) {
                    server.send(call, bytes, at: now)
                } else {
                    sums[call, default: 0] += bytes.count
                }
            case .halfClosed(let call):
                if chats.remove(call) != nil {
                    server.finish(call, at: now)
                } else {
                    server.answer(call, Array("\(sums[call] ?? -1)".utf8), at: now)
                }
            case .writable(let call): goOn(call, at: now)
            case .ended: ended += 1
            case .closed: break
            }
        }
    }

    private mutating func take(
        _ call: UInt64, _ method: String, _ metadata: GRPCMetadata, _ bytes: [UInt8],
        at now: Instant
    ) throws {
        switch method {
        case "/t.Test/Echo":
            server.sendMetadata(call, metadata, at: now)
            server.answer(call, bytes, at: now)
        case "/t.Test/Count":
            let words = String(decoding: bytes, as: UTF8.self).split(separator: " ")
            counts[call] = (0, Int(words[0]) ?? 0, Int(words[1]) ?? 0)
            goOn(call, at: now)
        case "/t.Test/Fail":
            var trailers = GRPCMetadata()
            try trailers.append("x-why-bin", bytes: [0, 255])
            let status = GRPCStatus(.invalidArgument, "100% übel\n")
            server.finish(call, status, trailers: trailers, at: now)
        default: break
        }
    }

    /// Sends as many messages of a stream as there is room for.
    private mutating func goOn(_ call: UInt64, at now: Instant) {
        while let (next, end, size) = counts[call], server.hasRoom(call) {
            guard next < end else {
                counts[call] = nil
                server.finish(call, at: now)
                return
            }
            counts[call]?.next += 1
            server.send(call, [UInt8](repeating: UInt8(next % 256), count: size), at: now)
        }
    }
}

@Suite("gRPC with another implementation", .serialized, .enabled(if: PythonPeer.isThere))
struct GRPCPeerTests {
    @Test("our client calls its server")
    func client() throws {
        let peer = try PythonPeer(PythonPrograms.server)
        defer { #expect(peer.end() == 0) }
        let port = try #require(UInt16(peer.line()))
        let client = try PeerClient(port: port)

        var metadata = GRPCMetadata()
        try metadata.append("x-a", "1")
        try metadata.append("x-b-bin", bytes: [0, 255])
        let echo = try client.call("/t.Test/Echo", [[1, 2]], metadata: metadata)
        #expect(echo.status == .ok)
        #expect(echo.messages == [[1, 2]])
        #expect(echo.head?["x-a"] == "1" && echo.head?.bytes("x-b-bin") == [0, 255])
        #expect(echo.trailers["x-size"] == "2")

        let large = (0..<8_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7 >> 3) }
        #expect(try client.call("/t.Test/Echo", [large]).messages == [large])
        let count = try client.call("/t.Test/Count", [Array("500 20000".utf8)], answers: .stream)
        #expect(count.messages.map(\.count) == Array(repeating: 20_000, count: 500))
        let words = (0..<50).map { [UInt8]("\($0)".utf8) }
        #expect(try client.call("/t.Test/Chat", words, answers: .stream).messages == words)
        let pieces = Array(repeating: [UInt8](repeating: 1, count: 100_000), count: 20)
        #expect(try client.call("/t.Test/Collect", pieces).messages == [Array("2000000".utf8)])

        let failed = try client.call("/t.Test/Fail", [[]])
        #expect(failed.status == GRPCStatus(.invalidArgument, "100% übel\n"))
        #expect(failed.trailers.bytes("x-why-bin") == [0, 255])
        #expect(try client.call("/t.Test/Nothing", [[]]).status.code == .unsupported)
        let late = try client.call(
            "/t.Test/Sleep", [Array("5".utf8)], timeout: .milliseconds(300))
        #expect(late.status.code == .deadlineExceeded)

        let calls = try (0..<300).map {
            try client.begin("/t.Test/Echo", [Array(String(repeating: "\($0)", count: 1_000).utf8)])
        }
        for (index, call) in calls.enumerated() {
            let wanted = Array(String(repeating: "\(index)", count: 1_000).utf8)
            #expect(client.result(call).messages == [wanted])
        }
    }

    @Test("our client calls a method that it learns about by reflection, in JSON")
    func reflection() throws {
        let peer = try PythonPeer(PythonPrograms.server)
        defer { #expect(peer.end() == 0) }
        let port = try #require(UInt16(peer.line()))
        let client = try PeerClient(port: port)
        // This server has the older name only.
        let first = try client.begin(GRPCReflection.methods[0], [[]], answers: .stream)
        #expect(client.result(first).status.code == .unsupported)
        var reflection = GRPCReflection(service: "typed.Shop")
        let call = try client.client.call(
            GRPCReflection.methods[1], answers: .stream, at: BlockingLink.now)
        var asked = 0
        while let request = reflection.request {
            client.client.send(call, request, last: false, at: BlockingLink.now)
            let answer = try #require(client.message(call, after: asked))
            try reflection.receive(answer)
            asked += 1
        }
        client.client.finish(call, at: BlockingLink.now)
        #expect(client.result(call).status == .ok)

        let method = try reflection.schema.method("typed.Shop", "Buy")
        let json = ProtobufJSON(reflection.schema)
        let document = try JSONDocument(
            Array(
                #"""
                {"itemName": "a \u00fc", "count": "9007199254740993", "price": 0.1, "raw": "/w==",
                 "at": "1970-01-01T00:00:01Z", "extra": {"kind": "book", "n": [1, null]},
                 "parts": [{"item_name": "x"}]}
                """#.utf8))
        let request = try json.encode(document.root, of: document, as: method.input)
        let result = try client.call("/typed.Shop/Buy", [request])
        #expect(result.status == .ok)
        var writer = JSONWriter(.compact, escaping: .minimal)
        try json.decode(try #require(result.messages.first), as: method.output, to: &writer)
        #expect(
            String(decoding: writer.take(), as: UTF8.self)
                == #"{"itemName":"a ü","count":"9007199254740994","price":0.1,"raw":"/w==","#
                + #""at":"1970-01-01T00:00:01Z","extra":{"kind":"book","n":[1,null]},"#
                + #""parts":[{"itemName":"x"},{"itemName":"part"}]}"#)
        let wrong = try client.call("/typed.Shop/Buy", [[0xff]])
        #expect(!wrong.status.isOK)
    }

    @Test("its client calls our server")
    func server() throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        defer { close(listener) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, size) == 0 && listen(listener, 8) == 0
                    && getsockname(listener, $0, &size) == 0
            }
        }
        try #require(isBound)
        let peer = try PythonPeer(
            PythonPrograms.client, ["\(UInt16(bigEndian: address.sin_port))"])
        defer { #expect(peer.end() == 0) }
        guard wait(listener, POLLIN, milliseconds: 20_000) else {
            Issue.record("nobody connects")
            return
        }
        var server = PeerServer(accept(listener, nil, nil))
        let limit = BlockingLink.now + .seconds(60)
        var lines: [String] = []
        while lines.last != "end", BlockingLink.now < limit {
            try server.turn()
            if peer.hasOutput {
                let line = peer.line()
                if line.isEmpty { break }
                lines.append(line)
            }
        }
        #expect(
            lines == [
                "echo", "metadata", "large", "count", "chat", "collect", "fail", "deadline",
                "unknown", "many", "cancel",
            ].map { "ok \($0) " } + ["end"])
        #expect(server.ended >= 1)
        #expect(server.server.openCalls == 0)
    }
}
