// What travels beside the messages: fields of the user's, and the time that is left.

/// Names and values that a call's sides give each other. A name that ends in `-bin` has bytes, any
/// other has text of printable ASCII.
package struct GRPCMetadata: Hashable, Sendable {
    package enum Value: Hashable, Sendable {
        case text(String)
        case bytes([UInt8])
    }

    package struct Entry: Hashable, Sendable {
        /// In lower case.
        package let name: String
        package let value: Value
    }

    package private(set) var entries: [Entry] = []

    package init() {}

    /// The first text of this name.
    package subscript(name: String) -> String? {
        for entry in entries where entry.name == name {
            if case .text(let text) = entry.value { return text }
        }
        return nil
    }

    /// The first bytes of this name.
    package func bytes(_ name: String) -> [UInt8]? {
        for entry in entries where entry.name == name {
            if case .bytes(let bytes) = entry.value { return bytes }
        }
        return nil
    }

    /// Adds a text. Capitals of the name become small letters. Throws INVALID_ARGUMENT for a name
    /// or a value that can't be sent.
    package mutating func append(_ name: String, _ text: String) throws(GRPCStatus) {
        let name = try Self.checked(name, isBinary: false)
        guard text.utf8.allSatisfy({ 0x20...0x7e ~= $0 }) else {
            throw GRPCStatus(
                .invalidArgument, "the value of \(name) holds characters that can't be sent")
        }
        var value = text.utf8[...]
        while value.first == 0x20 { value = value.dropFirst() }
        while value.last == 0x20 { value = value.dropLast() }
        entries.append(Entry(name: name, value: .text(String(Substring(value)))))
    }

    /// Adds bytes, under a name that ends in `-bin`. Throws as for a text.
    package mutating func append(_ name: String, bytes: [UInt8]) throws(GRPCStatus) {
        entries.append(Entry(name: try Self.checked(name, isBinary: true), value: .bytes(bytes)))
    }

    private static func checked(_ name: String, isBinary: Bool) throws(GRPCStatus) -> String {
        let small = String(
            decoding: name.utf8.map { $0 &- 0x41 < 26 ? $0 | 0x20 : $0 }, as: UTF8.self)
        let isAllowed = small.utf8.allSatisfy {
            $0 &- 0x61 < 26 || $0 &- 0x30 < 10 || "-_.".utf8.contains($0)
        }
        guard isAllowed, !small.isEmpty else {
            throw GRPCStatus(
                .invalidArgument,
                "\"\(name)\" is not a name of metadata: letters, digits, '-', '_' and '.' are")
        }
        guard !isReserved(small) else {
            throw GRPCStatus(.invalidArgument, "the name \(small) is gRPC's own")
        }
        guard small.hasSuffix("-bin") == isBinary else {
            throw GRPCStatus(
                .invalidArgument,
                isBinary
                    ? "bytes need a name that ends in -bin, and \(small) does not"
                    : "the name \(small) ends in -bin, so its value must be bytes")
        }
        return small
    }

    private static let ownNames = [
        "content-type", "te", "user-agent", "host", "connection", "keep-alive", "upgrade",
        "proxy-connection", "transfer-encoding", "content-length",
    ]
    private static let secretNames = ["authorization", "cookie", "proxy-authorization"]

    private static func isReserved(_ name: String) -> Bool {
        name.hasPrefix("grpc-") || ownNames.contains(name)
    }

    /// What a list of fields holds besides what is gRPC's and HTTP's own. Values that can't be read
    /// are left out.
    init(_ fields: HTTP2Fields) {
        for field in fields.list {
            guard field.name.utf8.first != UInt8(ascii: ":"), !Self.isReserved(field.name) else {
                continue
            }
            guard field.name.hasSuffix("-bin") else {
                entries.append(Entry(name: field.name, value: .text(field.value)))
                continue
            }
            for part in field.value.split(separator: ",") {
                if let bytes = Self.decode(part) {
                    entries.append(Entry(name: field.name, value: .bytes(bytes)))
                }
            }
        }
    }

    func write(to fields: inout HTTP2Fields) {
        for entry in entries {
            let isSecret = Self.secretNames.contains(entry.name)
            switch entry.value {
            case .text(let text): fields.append(entry.name, text, isSecret: isSecret)
            case .bytes(let bytes):
                var text = Base64Text.encode(bytes)
                while text.hasSuffix("=") { text.removeLast() }
                fields.append(entry.name, text, isSecret: isSecret)
            }
        }
    }

    /// Base64 with or without padding.
    private static func decode(_ text: Substring) -> [UInt8]? {
        var bytes = Array(text.utf8.drop { $0 == 0x20 })
        while let last = bytes.last, last == 0x20 || last == UInt8(ascii: "=") {
            bytes.removeLast()
        }
        while bytes.count % 4 != 0 { bytes.append(UInt8(ascii: "=")) }
        return try? Base64Text.decode(String(decoding: bytes, as: UTF8.self))
    }
}

/// The text of `grpc-timeout`: up to eight digits and a unit.
enum GRPCTimeout {
    private static let units: [(letter: UInt8, nanoseconds: Int64)] = [
        (UInt8(ascii: "n"), 1), (UInt8(ascii: "u"), 1_000), (UInt8(ascii: "m"), 1_000_000),
        (UInt8(ascii: "S"), 1_000_000_000), (UInt8(ascii: "M"), 60_000_000_000),
        (UInt8(ascii: "H"), 3_600_000_000_000),
    ]

    /// In the finest unit that eight digits allow, rounded up.
    static func print(_ timeout: Duration) -> String {
        let left = max(timeout.nanoseconds, 0)
        for (letter, size) in units {
            let count = left / size + (left % size > 0 ? 1 : 0)
            if count < 100_000_000 { return "\(count)\(Character(Unicode.Scalar(letter)))" }
        }
        return "99999999H"
    }

    /// Nil for anything else.
    static func parse(_ text: String) -> Duration? {
        let bytes = Array(text.utf8)
        guard 2...9 ~= bytes.count, let letter = bytes.last,
            let unit = units.first(where: { $0.letter == letter }),
            bytes.dropLast().allSatisfy({ $0 &- 0x30 < 10 }),
            let count = Int64(text.dropLast())
        else { return nil }
        return Duration(nanoseconds: unit.nanoseconds) * count
    }
}
