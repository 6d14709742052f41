// Messages of our own protocols. A type lists its fields once, with numbers, kinds and places; from
// that list it is read and written.
//
//     struct Greeting: ProtobufMessage {
//         var name = ""
//         var words: [String] = []
//         static let fields: [ProtobufRule<Greeting>] = [.string(1, \.name), .strings(2, \.words)]
//     }

/// A message of proto3: absent fields have their zero, and zeros are not sent.
package protocol ProtobufMessage: Hashable, Sendable {
    init()
    static var fields: [ProtobufRule<Self>] { get }
}

extension ProtobufMessage {
    /// Reads a message. Unknown fields are passed over; of one that comes twice the last counts.
    package init(protobuf bytes: some Collection<UInt8>) throws(ProtobufError) {
        self.init()
        var reader = ProtobufReader(Array(bytes)[...])
        try merge(&reader)
    }

    /// The message's bytes, fields in the order of the list.
    package var protobuf: [UInt8] {
        var writer = ProtobufWriter()
        write(to: &writer)
        return writer.output
    }

    mutating func merge(_ reader: inout ProtobufReader) throws(ProtobufError) {
        let fields = Self.fields
        while let field = try reader.next() {
            guard let rule = fields.first(where: { $0.number == field.number }) else { continue }
            do throws(ProtobufError) { try rule.read(&self, field) } catch {
                throw error.inside("field \(field.number)")
            }
        }
    }

    func write(to writer: inout ProtobufWriter) {
        for rule in Self.fields { rule.write(self, &writer) }
    }
}

/// One field of a message type.
package struct ProtobufRule<Message>: Sendable {
    package typealias Place<Value> = any WritableKeyPath<Message, Value> & Sendable

    package let number: Int
    let read: @Sendable (inout Message, ProtobufField) throws(ProtobufError) -> Void
    let write: @Sendable (Message, inout ProtobufWriter) -> Void

    private init(
        _ number: Int,
        read: @escaping @Sendable (inout Message, ProtobufField) throws(ProtobufError) -> Void,
        write: @escaping @Sendable (Message, inout ProtobufWriter) -> Void
    ) {
        self.number = number
        self.read = read
        self.write = write
    }

    package static func string(_ number: Int, _ place: Place<String>) -> Self {
        Self(
            number,
            read: { (message, field) throws(ProtobufError) in
                message[keyPath: place] = try field.string()
            },
            write: { message, writer in
                let value = message[keyPath: place]
                if !value.isEmpty { writer.string(number, value) }
            })
    }

    package static func strings(_ number: Int, _ place: Place<[String]>) -> Self {
        Self(
            number,
            read: { (message, field) throws(ProtobufError) in
                message[keyPath: place].append(try field.string())
            },
            write: { message, writer in
                for value in message[keyPath: place] { writer.string(number, value) }
            })
    }

    package static func bytes(_ number: Int, _ place: Place<[UInt8]>) -> Self {
        Self(
            number,
            read: { (message, field) throws(ProtobufError) in
                message[keyPath: place] = Array(try field.bytes())
            },
            write: { message, writer in
                let value = message[keyPath: place]
                if !value.isEmpty { writer.bytes(number, value) }
            })
    }

    package static func byteStrings(_ number: Int, _ place: Place<[[UInt8]]>) -> Self {
        Self(
            number,
            read: { (message, field) throws(ProtobufError) in
                message[keyPath: place].append(Array(try field.bytes()))
            },
            write: { message, writer in
                for value in message[keyPath: place] { writer.bytes(number, value) }
            })
    }

    package static func bool(_ number: Int, _ place: Place<Bool>) -> Self {
        Self(
            number,
            read: { (message, field) throws(ProtobufError) in
                message[keyPath: place] = try field.varint() != 0
            },
            write: { message, writer in
                if message[keyPath: place] { writer.varint(number, 1) }
            })
    }

    /// int32, int64, uint32, uint64 and enumerations: whatever a varint holds as it is.
    package static func integer<Value: FixedWidthInteger & Sendable>(
        _ number: Int, _ place: Place<Value>
    ) -> Self {
        Self(
            number,
            read: { (message, field) throws(ProtobufError) in
                message[keyPath: place] = Value(truncatingIfNeeded: try field.varint())
            },
            write: { message, writer in
                let value = message[keyPath: place]
                if value != 0 { writer.varint(number, UInt64(truncatingIfNeeded: value)) }
            })
    }

    /// Nil when the field is absent; a zero is sent.
    package static func optionalInteger<Value: FixedWidthInteger & Sendable>(
        _ number: Int, _ place: Place<Value?>
    ) -> Self {
        Self(
            number,
            read: { (message, field) throws(ProtobufError) in
                message[keyPath: place] = Value(truncatingIfNeeded: try field.varint())
            },
            write: { message, writer in
                if let value = message[keyPath: place] {
                    writer.varint(number, UInt64(truncatingIfNeeded: value))
                }
            })
    }

    /// Nil when the field is absent; an empty text is sent.
    package static func optionalString(_ number: Int, _ place: Place<String?>) -> Self {
        Self(
            number,
            read: { (message, field) throws(ProtobufError) in
                message[keyPath: place] = try field.string()
            },
            write: { message, writer in
                if let value = message[keyPath: place] { writer.string(number, value) }
            })
    }

    package static func message<Value: ProtobufMessage>(
        _ number: Int, _ place: Place<Value?>
    ) -> Self {
        Self(
            number,
            read: { (message, field) throws(ProtobufError) in
                var value = message[keyPath: place] ?? Value()
                var reader = try field.message()
                try value.merge(&reader)
                message[keyPath: place] = value
            },
            write: { message, writer in
                guard let value = message[keyPath: place] else { return }
                writer.nested(number) { value.write(to: &$0) }
            })
    }

    package static func messages<Value: ProtobufMessage>(
        _ number: Int, _ place: Place<[Value]>
    ) -> Self {
        Self(
            number,
            read: { (message, field) throws(ProtobufError) in
                var value = Value()
                var reader = try field.message()
                try value.merge(&reader)
                message[keyPath: place].append(value)
            },
            write: { message, writer in
                for value in message[keyPath: place] {
                    writer.nested(number) { value.write(to: &$0) }
                }
            })
    }

    /// `map<string, string>`, in the order in which the entries came. See `ProtobufEntry`.
    package static func entries(_ number: Int, _ place: Place<[ProtobufEntry]>) -> Self {
        messages(number, place)
    }
}

/// An entry of `map<string, string>`. Where a key comes twice, the last entry counts.
package struct ProtobufEntry: ProtobufMessage {
    package var key = ""
    package var value = ""

    package init() {}

    package init(_ key: String, _ value: String) {
        self.key = key
        self.value = value
    }

    package static let fields: [ProtobufRule<ProtobufEntry>] = [
        .string(1, \.key), .string(2, \.value),
    ]
}
