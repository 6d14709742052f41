/// Messages as Kafka stores them (record batch, version 2), and where they go.
package enum KafkaRecords {
    /// A batch of one message, the producer's first: brokers that have it already notice that.
    /// - Parameter at: milliseconds since 1970.
    static func batch(
        key: [UInt8]?, value: [UInt8], headers: [HTTPHeaders.Field], at milliseconds: Int64,
        by producer: KafkaProducer
    ) -> [UInt8] {
        var record = KafkaWriter()
        record.int8(0)
        // Its distance in time and place from the first one.
        record.varint(0)
        record.varint(0)
        record.field(key)
        record.field(value)
        record.varint(headers.count)
        for header in headers {
            record.field(Array(header.name.utf8))
            record.field(Array(header.value.utf8))
        }
        // What the checksum covers.
        var body = KafkaWriter()
        body.int16(0)
        body.int32(0)
        body.int64(milliseconds)
        body.int64(milliseconds)
        body.int64(producer.id)
        body.int16(producer.epoch)
        body.int32(0)
        body.int32(1)
        body.varint(record.bytes.count)
        body.raw(record.bytes)
        var batch = KafkaWriter()
        batch.int64(0)
        // Epoch of the leader, format, checksum and the body.
        batch.int32(Int32(clamping: 4 + 1 + 4 + body.bytes.count))
        batch.int32(-1)
        batch.int8(2)
        batch.uint32(Checksum.crc32c(body.bytes))
        batch.raw(body.bytes)
        return batch.bytes
    }

    /// The partition that Kafka's own clients choose for a key.
    /// - Parameter count: of all partitions, those without a leader too; greater than zero.
    package static func partition(of key: [UInt8], among count: Int) -> Int {
        Int(hash(key) & 0x7fff_ffff) % count
    }

    /// MurmurHash2 (Appleby, 2008) with the seed that Kafka's clients use.
    package static func hash(_ bytes: [UInt8]) -> UInt32 {
        let factor: UInt32 = 0x5bd1_e995
        var hash: UInt32 = 0x9747_b28c ^ UInt32(truncatingIfNeeded: bytes.count)
        var index = 0
        while index + 4 <= bytes.count {
            var word = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[index + $1]) << (8 * $1) }
            word = word &* factor
            word ^= word >> 24
            word = word &* factor
            hash = hash &* factor ^ word
            index += 4
        }
        if index < bytes.count {
            for (place, byte) in bytes[index...].enumerated() {
                hash ^= UInt32(byte) << (8 * place)
            }
            hash = hash &* factor
        }
        hash ^= hash >> 13
        hash = hash &* factor
        return hash ^ hash >> 15
    }
}
