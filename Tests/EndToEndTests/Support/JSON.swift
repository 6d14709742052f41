// JSON answers, read leniently in the way tests want: what is missing is nil, never a crash.

import Core

/// A value inside a document.
struct JSON {
    private let document: JSONDocument?
    private let value: JSONValue?

    /// Bytes that are no document make a value that has nothing in it.
    init(_ bytes: [UInt8]) {
        document = try? JSONDocument(bytes, limits: JSONLimits(bytes: 1 << 28))
        value = document?.root
    }

    private init(_ document: JSONDocument?, _ value: JSONValue?) {
        self.document = document
        self.value = value
    }

    subscript(name: String) -> JSON {
        guard let document, let value, document.kind(of: value) == .object else {
            return JSON(nil, nil)
        }
        return JSON(document, document.member(named: name, of: value))
    }

    /// The elements of an array; empty for anything else.
    var elements: [JSON] {
        guard let document, let value, document.kind(of: value) == .array else { return [] }
        return document.elements(of: value).map { JSON(document, $0) }
    }

    /// The members of an object in the order of the text; none for anything else.
    var members: [(name: String, value: JSON)] {
        guard let document, let value, document.kind(of: value) == .object else { return [] }
        return document.members(of: value).map {
            (document.string($0.name) ?? "", JSON(document, $0.value))
        }
    }

    var exists: Bool { value != nil }
    var isArray: Bool { value.flatMap { document?.kind(of: $0) } == .array }
    var isObject: Bool { value.flatMap { document?.kind(of: $0) } == .object }
    var string: String? { value.flatMap { document?.string($0) } }
    var integer: Int64? { value.flatMap { document?.int64($0) } }
    var bool: Bool? { value.flatMap { document?.bool($0) } }
}
