// Go's format for values that describe themselves (encoding/gob): what its types and values are.

/// A type, as its sender describes it.
indirect enum GobType: Hashable, Sendable {
    case bool
    case int
    case uint
    case float
    case bytes
    case string
    case slice(GobType)
    case map(GobType, GobType)
    case structure(String, [GobField])
}

struct GobField: Hashable, Sendable {
    var name: String
    var type: GobType

    init(_ name: String, _ type: GobType) {
        self.name = name
        self.type = type
    }
}

/// A value. Fields of a structure that are zero are not sent, and not here either.
indirect enum GobValue: Hashable, Sendable {
    case bool(Bool)
    case int(Int64)
    case uint(UInt64)
    /// The bits of an IEEE 754 number.
    case float(UInt64)
    case bytes([UInt8])
    case string(String)
    case list([GobValue])
    /// Keys and values in turns.
    case map([GobValue])
    case structure([GobMember])
    /// What a type has written in a form of its own.
    case opaque([UInt8])

    /// A field of a structure.
    subscript(name: String) -> GobValue? {
        guard case .structure(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    var text: String? { if case .string(let text) = self { text } else { nil } }
    var data: [UInt8]? { if case .bytes(let bytes) = self { bytes } else { nil } }
    var flag: Bool? { if case .bool(let flag) = self { flag } else { nil } }
    var signed: Int64? { if case .int(let number) = self { number } else { nil } }
    var unsigned: UInt64? { if case .uint(let number) = self { number } else { nil } }
}

struct GobMember: Hashable, Sendable {
    var name: String
    var value: GobValue

    init(_ name: String, _ value: GobValue) {
        self.name = name
        self.value = value
    }
}

/// Why bytes are no values: a sentence without the full stop.
struct GobError: Error, Hashable, Sendable {
    let message: String

    init(_ message: String) { self.message = message }
}

/// Numbers of the types that everybody knows.
enum GobNumber {
    static let bool: Int64 = 1
    static let int: Int64 = 2
    static let uint: Int64 = 3
    static let float: Int64 = 4
    static let bytes: Int64 = 5
    static let string: Int64 = 6
    static let wireType: Int64 = 16
    static let arrayType: Int64 = 17
    static let commonType: Int64 = 18
    static let sliceType: Int64 = 19
    static let structType: Int64 = 20
    static let fieldType: Int64 = 21
    static let fieldTypes: Int64 = 22
    static let mapType: Int64 = 23
    /// Ours alone, never sent: a description that is nothing but a common type.
    static let opaqueType: Int64 = 24
    /// The first of a sender's own.
    static let firstOwn: Int64 = 65
}
