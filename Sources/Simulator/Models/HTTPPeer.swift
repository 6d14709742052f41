// A server at the other end of one connection. How it behaves is data in the URL's own query, so
// that a plan says everything: `/?run=exp:2s&out=300&status=503&fail=1/5&cut=1/5&redirect=2`.
// It reads requests by itself, independently of Core.

import Core

struct HTTPPeerRequest: Hashable, Sendable {
    var method = ""
    var target = ""
    var headers: [Plan.Setting] = []
    var body: [UInt8] = []

    /// The first header of a name, in lower case.
    subscript(_ name: String) -> String? { headers.first { $0.name == name }?.value }

    /// The first whole request at the beginning of the bytes, which is taken off them.
    init?(takingFrom bytes: inout [UInt8]) {
        let gap = Array("\r\n\r\n".utf8)
        guard
            let end = bytes.indices.first(where: { bytes[$0...].starts(with: gap) })
        else { return nil }
        let lines = String(decoding: bytes[..<end], as: UTF8.self).split(separator: "\r\n")
        let words = lines[0].split(separator: " ")
        guard words.count == 3 else { return nil }
        (method, target) = (String(words[0]), String(words[1]))
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { return nil }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            headers.append(
                Plan.Setting(name: line[..<colon].lowercased(), value: String(value)))
        }
        let length = self["content-length"].flatMap { Int($0) } ?? 0
        guard bytes.count >= end + 4 + length else { return nil }
        body = Array(bytes[(end + 4)..<(end + 4 + length)])
        bytes.removeFirst(end + 4 + length)
    }

    /// The pairs of the query.
    var query: [String: String] {
        guard let mark = target.firstIndex(of: "?") else { return [:] }
        var pairs: [String: String] = [:]
        for part in target[target.index(after: mark)...].split(separator: "&") {
            let words = part.split(separator: "=", maxSplits: 1)
            pairs[String(words[0])] = words.count == 2 ? String(words[1]) : ""
        }
        return pairs
    }
}

/// What a server made of a request.
struct HTTPPeerAnswer: Hashable, Sendable {
    var status: Int
    var bodyLength: Int
}

struct HTTPPeer: Sendable {
    /// Each follows the one before it.
    struct Step: Sendable {
        enum Kind: Sendable {
            /// With the last bytes of a whole final answer comes what it was.
            case send([UInt8], whole: HTTPPeerAnswer?)
            case close
            case reset
        }

        var after: Duration
        var kind: Kind
    }

    private var buffer: [UInt8] = []
    private var served = 0
    private var isDeaf = false

    /// Takes what a client has sent; `draws` belong to the request.
    mutating func receive(
        _ bytes: [UInt8], bodyKey: UInt64, draws: (HTTPPeerRequest) -> DrawStream
    ) -> (requests: [HTTPPeerRequest], steps: [Step]) {
        guard !isDeaf else { return ([], []) }
        buffer += bytes
        var requests: [HTTPPeerRequest] = []
        var steps: [Step] = []
        while !isDeaf, let request = HTTPPeerRequest(takingFrom: &buffer) {
            requests.append(request)
            var stream = draws(request)
            steps += answer(request, bodyKey, &stream)
            served += 1
        }
        return (requests, steps)
    }

    private mutating func answer(
        _ request: HTTPPeerRequest, _ bodyKey: UInt64, _ draws: inout DrawStream
    ) -> [Step] {
        let query = request.query
        func happens(_ name: String) -> Bool {
            guard let ratio = query[name].flatMap({ Ratio($0) }) else { return false }
            return draws.chance(ratio.numerator, ratio.denominator)
        }
        if served > 0, happens("stale") {
            isDeaf = true
            return [Step(after: .zero, kind: draws.chance(1, 2) ? .close : .reset)]
        }
        var pause = Duration.milliseconds(1)
        if let text = query["run"] {
            pause =
                text.hasPrefix("exp:")
                ? draws.exponential(parseDuration(text.dropFirst(4)) ?? .zero)
                : parseDuration(text) ?? .zero
        }
        if happens("hang") {
            isDeaf = true
            return []
        }
        if let left = query["redirect"].flatMap({ Int($0) }), left > 0 {
            return redirect(request, left, after: pause)
        }
        var status = query["status"].flatMap { Int($0) } ?? 200
        if happens("fail") { status = 500 }
        let count = query["out"].flatMap { Int($0) } ?? 0
        let body =
            query["body"].map { Array($0.utf8) }
            ?? RealRun.output(bodyKey, 0..<count, binary: query["bin"] == "1")
        var wire = wire(status, body, request)
        let cut = happens("cut") ? draws.int(0...(wire.count - 1)) : nil
        if let cut { wire.removeLast(wire.count - cut) }
        let sent = Self.hasBody(request, status) ? body.count : 0
        let whole = cut == nil ? HTTPPeerAnswer(status: status, bodyLength: sent) : nil
        let end: Step.Kind? =
            cut != nil
            // A body up to the end of the connection that ends early looks whole.
            ? draws.chance(1, 2) && query["eof"] != "1" ? .close : .reset
            : closes(request) ? .close : nil
        return pieces(wire, whole, end, after: pause, &draws)
    }

    private static func hasBody(_ request: HTTPPeerRequest, _ status: Int) -> Bool {
        request.method != "HEAD" && status != 204 && status != 304
    }

    private func closes(_ request: HTTPPeerRequest) -> Bool {
        request["connection"] == "close" || request.query["close"] == "1"
            || request.query["eof"] == "1"
    }

    private func wire(_ status: Int, _ body: [UInt8], _ request: HTTPPeerRequest) -> [UInt8] {
        let query = request.query
        var head = "HTTP/1.1 \(status) Simulated\r\nServer: model\r\n"
        if closes(request) { head += "Connection: close\r\n" }
        var wire: [UInt8] = []
        if query["interim"] == "1" { wire += "HTTP/1.1 103 Early\r\nLink: x\r\n\r\n".utf8 }
        if query["eof"] == "1" {
            wire += (head + "\r\n").utf8
        } else if query["chunk"] == "1" {
            wire += (head + "Transfer-Encoding: chunked\r\n\r\n").utf8
        } else {
            wire += (head + "Content-Length: \(body.count)\r\n\r\n").utf8
        }
        guard Self.hasBody(request, status) else { return wire }
        guard query["chunk"] == "1", query["eof"] != "1" else { return wire + body }
        let middle = body.count / 3
        for part in [body[..<middle], body[middle...]] where !part.isEmpty {
            wire += "\(String(part.count, radix: 16))\r\n".utf8
            wire += part
            wire += "\r\n".utf8
        }
        return wire + Array("0\r\n\r\n".utf8)
    }

    private func redirect(
        _ request: HTTPPeerRequest, _ left: Int, after pause: Duration
    ) -> [Step] {
        let status = request.query["via"] ?? "302"
        let rest = request.target.split(separator: "?")[1].split(separator: "&").map {
            $0.hasPrefix("redirect=") ? "redirect=\(left - 1)" : String($0)
        }
        var location = "/?" + rest.joined(separator: "&")
        if left == 1, let host = request.query["to"] { location = "http://\(host)\(location)" }
        let text =
            "HTTP/1.1 \(status) Elsewhere\r\nLocation: \(location)\r\nContent-Length: 5\r\n"
            + (closes(request) ? "Connection: close\r\n" : "") + "\r\nthere"
        var steps = [Step(after: pause, kind: .send(Array(text.utf8), whole: nil))]
        if closes(request) { steps.append(Step(after: .zero, kind: .close)) }
        return steps
    }

    /// A connection cuts what is sent wherever it likes.
    private func pieces(
        _ wire: [UInt8], _ whole: HTTPPeerAnswer?, _ end: Step.Kind?, after pause: Duration,
        _ draws: inout DrawStream
    ) -> [Step] {
        var steps: [Step] = []
        var rest = wire[...]
        for piece in 0..<draws.int(1...4) {
            let isLast = piece == 3 || rest.count < 2
            let part = isLast ? rest : rest.prefix(draws.int(1...(rest.count - 1)))
            rest = rest.dropFirst(part.count)
            if !part.isEmpty {
                steps.append(
                    Step(
                        after: piece == 0 ? pause : draws.exponential(pause),
                        kind: .send(Array(part), whole: nil)))
            }
            if isLast { break }
        }
        if !rest.isEmpty {
            steps.append(
                Step(
                    after: steps.isEmpty ? pause : .milliseconds(1),
                    kind: .send(Array(rest), whole: nil)))
        }
        if let last = steps.indices.last, case .send(let bytes, _) = steps[last].kind {
            steps[last].kind = .send(bytes, whole: whole)
        }
        if let end { steps.append(Step(after: steps.isEmpty ? pause : .zero, kind: end)) }
        return steps
    }
}
