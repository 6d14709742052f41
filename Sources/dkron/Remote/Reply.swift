internal import Core

/// A whole answer.
struct Reply {
    var head = HTTPResponseHead(status: 200)
    var body: [UInt8] = []

    var status: Int { head.status }

    /// The body's value; nil when it is not JSON.
    var json: JSONView? {
        guard let document = try? JSONDocument(body, limits: JSONLimits(bytes: 1 << 30)) else {
            return nil
        }
        return JSONView(document: document, value: document.root)
    }

    /// The body's value where nothing else would be an answer of this API.
    func value() throws(CommandFailure) -> JSONView {
        guard let json else {
            throw .unreachable("What answers is no dkron server: its answer is not JSON.")
        }
        return json
    }

    /// How long a list is of which only a part came.
    var total: Int? { head.headers["X-Total-Count"].flatMap { Int($0) } }

    /// Why the server refused: its own sentence where there is one.
    var refusal: String {
        if let sentence = json?["error"]?.string { return sentence }
        let reason = head.reason.isEmpty ? HTTPResponse.reason(status) : head.reason
        return "The server answered \(status) \(reason)."
    }
}

/// A value of a JSON text, with its members by name.
struct JSONView {
    let document: JSONDocument
    let value: JSONValue

    subscript(name: String) -> JSONView? {
        guard let member = document.member(named: name, of: value), !document.isNull(member) else {
            return nil
        }
        return JSONView(document: document, value: member)
    }

    var elements: [JSONView] {
        document.elements(of: value).map { JSONView(document: document, value: $0) }
    }

    /// Names and values of an object.
    var members: [(name: String, value: JSONView)] {
        document.members(of: value).map {
            (document.string($0.name) ?? "", JSONView(document: document, value: $0.value))
        }
    }

    var string: String? { document.string(value) }
    var integer: Int64? { document.int64(value) }
    var isTrue: Bool { document.bool(value) == true }

    /// The text of a string that is not empty.
    var text: String? {
        guard let string, !string.isEmpty else { return nil }
        return string
    }

    /// As it would be shown: texts bare, everything else as JSON.
    var shown: String { string ?? String(decoding: document.compact(value), as: UTF8.self) }

    /// Nil for what is no time, and for the zero time of Dkron's clients.
    var time: WallTime? { string.flatMap { try? RFC3339.parse($0) } }
}
