// Keys of the tables. Numbers are big-endian with the sign bit flipped, so that the order of bytes
// is the order of numbers.

enum Key {
    /// The first byte of a key.
    enum Table: UInt8 {
        case cluster = 0x41
        /// Job documents, by name.
        case document = 0x44
        /// Job states, by name.
        case state = 0x53
        /// Groups, by generation and id.
        case group = 0x47
        /// Groups that have not ended, by generation and id; the value is the job's name.
        case active = 0x55
        /// Executions, by generation and number.
        case execution = 0x45
        /// Rows of the ledger, by generation, time and sequence.
        case ledger = 0x4c
        /// Retries that wait, by due time, generation, group and target.
        case retry = 0x52
        /// Runs of children not decided yet, by number.
        case child = 0x43
        /// Request ids, by generation; the value is the group.
        case request = 0x49
        /// Runs of deleted jobs that are to be ended, by generation and number.
        case orphan = 0x4f
        /// Parts of a restore not committed yet, by its id and their number.
        case staged = 0x54
        /// Nodes that were last known alive, by name.
        case node = 0x4e
        /// Executions whose processors have not all run, by generation and number; the value is
        /// the job's name.
        case processing = 0x50
        /// What people are still to be told, by generation and number.
        case notice = 0x4d
    }

    static let cluster = ByteKey([Table.cluster.rawValue])

    static func document(_ name: JobName) -> ByteKey { named(.document, name) }
    static func state(_ name: JobName) -> ByteKey { named(.state, name) }

    static func node(_ name: NodeName) -> ByteKey {
        ByteKey([Table.node.rawValue] + Array(name.text.utf8))
    }

    static func jobName(of key: ByteKey) -> JobName {
        JobName(String(decoding: key.bytes.dropFirst(), as: UTF8.self))
    }

    static func group(_ generation: Generation, _ id: GroupID) -> ByteKey {
        numbered(.group, generation, id)
    }

    static func active(_ generation: Generation, _ id: GroupID) -> ByteKey {
        numbered(.active, generation, id)
    }

    static func execution(_ key: ExecutionKey) -> ByteKey {
        numbered(.execution, key.generation, key.number)
    }

    static func orphan(_ key: ExecutionKey) -> ByteKey {
        numbered(.orphan, key.generation, key.number)
    }

    static func processing(_ key: ExecutionKey) -> ByteKey {
        numbered(.processing, key.generation, key.number)
    }

    static func notice(_ key: ExecutionKey) -> ByteKey {
        numbered(.notice, key.generation, key.number)
    }

    static func ledger(_ generation: Generation, _ place: LedgerPlace) -> ByteKey {
        var bytes = prefix(.ledger, generation, capacity: 25)
        append(ordered(place.time.nanoseconds), to: &bytes)
        append(ordered(place.sequence), to: &bytes)
        return ByteKey(bytes)
    }

    static func ledgerPlace(of key: ByteKey) -> LedgerPlace {
        LedgerPlace(
            time: WallTime(nanoseconds: number(in: key, at: 9)),
            sequence: number(in: key, at: 17))
    }

    static func retry(_ retry: PendingRetry) -> ByteKey {
        var bytes = [Table.retry.rawValue]
        bytes.reserveCapacity(29)
        append(ordered(retry.due.nanoseconds), to: &bytes)
        append(retry.generation, to: &bytes)
        append(ordered(retry.group), to: &bytes)
        append(UInt64(retry.target), to: &bytes)
        return ByteKey(bytes)
    }

    static func childTrigger(_ number: Int64) -> ByteKey {
        var bytes = [Table.child.rawValue]
        append(ordered(number), to: &bytes)
        return ByteKey(bytes)
    }

    static func request(_ generation: Generation, _ request: String) -> ByteKey {
        var bytes = prefix(.request, generation)
        bytes.append(contentsOf: request.utf8)
        return ByteKey(bytes)
    }

    static func staged(_ id: UInt64, _ part: UInt32) -> ByteKey {
        var bytes = prefix(.staged, id)
        append(UInt64(part), to: &bytes)
        return ByteKey(bytes)
    }

    static func prefix(_ table: Table, _ number: UInt64, capacity: Int = 17) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(capacity)
        bytes.append(table.rawValue)
        append(number, to: &bytes)
        return bytes
    }

    static func generation(of key: ByteKey) -> Generation {
        UInt64(bitPattern: number(in: key, at: 1)) ^ (1 << 63)
    }

    static func lastNumber(of key: ByteKey) -> Int64 { number(in: key, at: key.bytes.count - 8) }

    private static func named(_ table: Table, _ name: JobName) -> ByteKey {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(1 + name.text.utf8.count)
        bytes.append(table.rawValue)
        bytes.append(contentsOf: name.text.utf8)
        return ByteKey(bytes)
    }

    private static func numbered(_ table: Table, _ generation: Generation, _ id: Int64) -> ByteKey {
        var bytes = prefix(table, generation)
        append(ordered(id), to: &bytes)
        return ByteKey(bytes)
    }

    private static func ordered(_ number: Int64) -> UInt64 {
        UInt64(bitPattern: number) ^ (1 << 63)
    }

    private static func append(_ number: UInt64, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: number.bigEndian) { bytes.append(contentsOf: $0) }
    }

    private static func number(in key: ByteKey, at offset: Int) -> Int64 {
        var value: UInt64 = 0
        for byte in key.bytes[offset..<offset + 8] { value = value << 8 | UInt64(byte) }
        return Int64(bitPattern: value ^ (1 << 63))
    }
}
