// How records become bytes. The encoding is canonical (equal records, equal bytes): it is what a
// snapshot holds and what the state hash sums up.

/// A record of the replicated state, kept as packed bytes and decoded on use.
protocol StoreRecord {
    func encode(into writer: inout ByteWriter)
    init(from reader: inout ByteReader) throws(ByteError)
}

extension StoreRecord {
    var encoded: [UInt8] {
        var writer = ByteWriter(capacity: 128)
        encode(into: &writer)
        return writer.output
    }

    /// Decodes a stored record. The bytes were written by this code and passed the checksums of
    /// the journal or the snapshot, so anything unreadable is a bug and stops the node.
    init(stored bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        do throws(ByteError) {
            try self.init(from: &reader)
            try reader.expectEnd()
        } catch {
            fatalError("invariant broken: a stored \(Self.self) can't be read: \(error)")
        }
    }
}

extension ByteWriter {
    mutating func settings(_ settings: [Setting]) {
        array(settings) { writer, setting in
            writer.string(setting.name)
            writer.string(setting.value)
        }
    }

    mutating func time(_ time: WallTime) { i64(time.nanoseconds) }

    mutating func optionalTime(_ time: WallTime?) { optional(time) { $0.i64($1.nanoseconds) } }
}

extension ByteReader {
    mutating func settings() throws(ByteError) -> [Setting] {
        try array(elementSize: 2) { reader throws(ByteError) in
            Setting(name: try reader.string(), value: try reader.string())
        }
    }

    mutating func time() throws(ByteError) -> WallTime { WallTime(nanoseconds: try i64()) }

    mutating func optionalTime() throws(ByteError) -> WallTime? {
        try optional { reader throws(ByteError) in try reader.time() }
    }

    mutating func optionalDuration() throws(ByteError) -> Duration? {
        try optional { reader throws(ByteError) in Duration(nanoseconds: try reader.i64()) }
    }

    /// An enum stored as its raw byte.
    mutating func choice<E: RawRepresentable<UInt8>>(_ what: String) throws(ByteError) -> E {
        let start = offset
        let raw = try u8()
        guard let value = E(rawValue: raw) else {
            throw .malformed(offset: start, what: "\(what) numbered \(raw)")
        }
        return value
    }

    mutating func expectVersion(_ version: UInt8, of what: String) throws(ByteError) {
        let found = try u8()
        guard found == version else {
            throw .malformed(offset: 0, what: "\(what) of version \(found), this is \(version)")
        }
    }
}
