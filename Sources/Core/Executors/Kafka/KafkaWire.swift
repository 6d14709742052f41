// Kafka's protocol (kafka.apache.org/protocol) as far as a producer of one message needs it: the
// last versions of each request before tagged fields, which brokers from 0.11 to 4.x understand.

/// The requests, by their keys.
package enum KafkaRequest: Int16, Sendable {
    case produce = 0
    case metadata = 3
    case saslHandshake = 17
    case apiVersions = 18
    case initProducerID = 22
    case saslAuthenticate = 36

    /// The versions that are written and read here.
    var versions: ClosedRange<Int16> {
        switch self {
        case .produce: 3...8
        case .metadata: 1...5
        case .saslHandshake: 1...1
        case .apiVersions: 0...0
        case .initProducerID: 0...1
        case .saslAuthenticate: 0...1
        }
    }

    var name: String {
        switch self {
        case .produce: "Produce"
        case .metadata: "Metadata"
        case .saslHandshake: "SaslHandshake"
        case .apiVersions: "ApiVersions"
        case .initProducerID: "InitProducerId"
        case .saslAuthenticate: "SaslAuthenticate"
        }
    }

    /// With its length in front: header (version 1) and body.
    func framed(version: Int16, correlation: Int32, _ body: (inout KafkaWriter) -> Void) -> [UInt8]
    {
        var writer = KafkaWriter()
        writer.int16(rawValue)
        writer.int16(version)
        writer.int32(correlation)
        writer.string("dkron")
        body(&writer)
        var frame = KafkaWriter()
        frame.int32(Int32(clamping: writer.bytes.count))
        frame.raw(writer.bytes)
        return frame.bytes
    }
}

/// Integers with the high byte first, lengths in front.
struct KafkaWriter {
    private var writer = ByteWriter()

    var bytes: [UInt8] { writer.output }

    mutating func int8(_ value: Int8) { writer.u8(UInt8(bitPattern: value)) }
    mutating func int16(_ value: Int16) { writer.u16(UInt16(bitPattern: value).byteSwapped) }
    mutating func int32(_ value: Int32) { uint32(UInt32(bitPattern: value)) }
    mutating func uint32(_ value: UInt32) { writer.u32(value.byteSwapped) }
    mutating func int64(_ value: Int64) { writer.u64(UInt64(bitPattern: value).byteSwapped) }
    mutating func raw(_ bytes: [UInt8]) { writer.raw(bytes) }

    mutating func string(_ text: String?) {
        guard let text else { return int16(-1) }
        int16(Int16(clamping: text.utf8.count))
        writer.raw(Array(text.utf8))
    }

    mutating func bytes(_ value: [UInt8]) {
        int32(Int32(clamping: value.count))
        writer.raw(value)
    }

    /// Signed, seven bits a byte: small numbers of either sign are short.
    mutating func varint(_ value: Int) {
        writer.varint(UInt64(bitPattern: Int64(value &<< 1 ^ value >> 63)))
    }

    /// Within a record: the length as a varint, -1 for nothing.
    mutating func field(_ value: [UInt8]?) {
        varint(value?.count ?? -1)
        if let value { raw(value) }
    }
}

struct KafkaReader {
    private var reader: ByteReader

    init(_ bytes: ArraySlice<UInt8>) { reader = ByteReader(bytes) }

    mutating func bool() throws(ByteError) -> Bool { try reader.u8() != 0 }
    mutating func int16() throws(ByteError) -> Int16 {
        Int16(bitPattern: try reader.u16().byteSwapped)
    }
    mutating func int32() throws(ByteError) -> Int32 {
        Int32(bitPattern: try reader.u32().byteSwapped)
    }
    mutating func int64() throws(ByteError) -> Int64 {
        Int64(bitPattern: try reader.u64().byteSwapped)
    }

    /// Nothing is empty. Bytes that are not UTF-8 become U+FFFD.
    mutating func string() throws(ByteError) -> String {
        let count = try int16()
        guard count > 0 else { return "" }
        return String(decoding: try reader.raw(Int(count)), as: UTF8.self)
    }

    mutating func bytes() throws(ByteError) -> [UInt8] {
        let count = try int32()
        return count > 0 ? Array(try reader.raw(Int(count))) : []
    }

    /// A counted list; each element takes at least `elementSize` bytes.
    mutating func array<T>(
        elementSize: Int, _ read: (inout KafkaReader) throws(ByteError) -> T
    ) throws(ByteError) -> [T] {
        let start = reader.offset
        let count = Int(try int32())
        guard count <= reader.remaining / elementSize else { throw .endOfBytes(offset: start) }
        var values: [T] = []
        for _ in 0..<max(0, count) { values.append(try read(&self)) }
        return values
    }
}

// MARK: Replies

/// Which versions of which requests a broker takes.
package struct KafkaVersions: Sendable {
    var error: KafkaError
    var ranges: [(request: Int16, least: Int16, most: Int16)]

    package init(_ bytes: ArraySlice<UInt8>) throws(ByteError) {
        var reader = KafkaReader(bytes)
        error = KafkaError(try reader.int16())
        ranges = try reader.array(elementSize: 6) { (reader) throws(ByteError) in
            (try reader.int16(), try reader.int16(), try reader.int16())
        }
    }

    /// The newest version that both sides know; nil if there is none.
    func version(of request: KafkaRequest) -> Int16? {
        guard let range = ranges.first(where: { $0.request == request.rawValue }) else {
            return nil
        }
        let most = min(range.most, request.versions.upperBound)
        return most >= max(range.least, request.versions.lowerBound) ? most : nil
    }
}

/// Brokers, and the partitions of the one topic that was asked for.
package struct KafkaMetadata: Sendable {
    struct Broker {
        var id: Int32
        var host: String
        var port: Int32
    }

    struct Partition {
        var error: KafkaError
        var index: Int32
        /// The id of a broker, -1 for none.
        var leader: Int32
    }

    var brokers: [Broker]
    /// Nil: the topic is not among them.
    var topic: (error: KafkaError, partitions: [Partition])?

    package init(
        _ bytes: ArraySlice<UInt8>, version: Int16, topic name: String
    ) throws(ByteError) {
        var reader = KafkaReader(bytes)
        if version >= 3 { _ = try reader.int32() }
        brokers = try reader.array(elementSize: 12) { (reader) throws(ByteError) in
            let broker = Broker(
                id: try reader.int32(), host: try reader.string(), port: try reader.int32())
            _ = try reader.string()
            return broker
        }
        if version >= 2 { _ = try reader.string() }
        _ = try reader.int32()
        let topics = try reader.array(elementSize: 9) { (reader) throws(ByteError) in
            let error = KafkaError(try reader.int16())
            let name = try reader.string()
            _ = try reader.bool()
            let partitions = try reader.array(elementSize: 18) { (reader) throws(ByteError) in
                let partition = Partition(
                    error: KafkaError(try reader.int16()), index: try reader.int32(),
                    leader: try reader.int32())
                for _ in 0..<(version >= 5 ? 3 : 2) {
                    _ = try reader.array(elementSize: 4) { (reader) throws(ByteError) in
                        try reader.int32()
                    }
                }
                return partition
            }
            return (name: name, error: error, partitions: partitions)
        }
        topic = topics.first { $0.name == name }.map { ($0.error, $0.partitions) }
    }
}

/// A producer that brokers tell from others, so that they notice what they have already.
package struct KafkaProducer: Hashable, Sendable {
    var error: KafkaError
    var id: Int64
    var epoch: Int16

    init(id: Int64, epoch: Int16) { (error, self.id, self.epoch) = (.none, id, epoch) }

    package init(_ bytes: ArraySlice<UInt8>) throws(ByteError) {
        var reader = KafkaReader(bytes)
        _ = try reader.int32()
        error = KafkaError(try reader.int16())
        id = try reader.int64()
        epoch = try reader.int16()
    }
}

/// What became of a message.
package struct KafkaReceipt: Sendable {
    var error: KafkaError
    var partition: Int32
    /// Its place in the partition; -1: not told.
    var offset: Int64
    /// What the broker says about the error, perhaps nothing.
    var words = ""

    package init(_ bytes: ArraySlice<UInt8>, version: Int16) throws(ByteError) {
        var reader = KafkaReader(bytes)
        let receipts = try reader.array(elementSize: 6) { (reader) throws(ByteError) in
            _ = try reader.string()
            return try reader.array(elementSize: 22) { (reader) throws(ByteError) in
                try KafkaReceipt(of: &reader, version)
            }
        }
        guard let receipt = receipts.first?.first else {
            throw .malformed(offset: 0, what: "no answer for the message")
        }
        self = receipt
    }

    private init(of reader: inout KafkaReader, _ version: Int16) throws(ByteError) {
        partition = try reader.int32()
        error = KafkaError(try reader.int16())
        offset = try reader.int64()
        _ = try reader.int64()
        if version >= 5 { _ = try reader.int64() }
        guard version >= 8 else { return }
        let errors = try reader.array(elementSize: 6) { (reader) throws(ByteError) in
            _ = try reader.int32()
            return try reader.string()
        }
        words = try reader.string()
        if words.isEmpty { words = errors.first ?? "" }
    }
}

/// Which mechanisms a broker offers.
package struct KafkaHandshake: Sendable {
    var error: KafkaError
    var mechanisms: [String]

    package init(_ bytes: ArraySlice<UInt8>) throws(ByteError) {
        var reader = KafkaReader(bytes)
        error = KafkaError(try reader.int16())
        mechanisms = try reader.array(elementSize: 2) { (reader) throws(ByteError) in
            try reader.string()
        }
    }
}

/// A word of the broker's in a SASL exchange.
package struct KafkaAuthentication: Sendable {
    var error: KafkaError
    var words: String
    var bytes: [UInt8]

    package init(_ bytes: ArraySlice<UInt8>) throws(ByteError) {
        var reader = KafkaReader(bytes)
        error = KafkaError(try reader.int16())
        words = try reader.string()
        self.bytes = try reader.bytes()
    }
}
