// Zone files: TZif versions 1 to 4 (RFC 8536, RFC 9636), from bytes. Every count and index of the
// file is checked against its length before it is used.

extension ZoneRules {
    /// Reads a zone file. Linear in its length.
    ///
    /// - Parameter name: checked by `ZoneName.check`.
    /// - Throws: when the name or the file's structure is not valid, or when the file counts leap
    ///   seconds.
    package init(name: String, bytes: [UInt8]) throws(ZoneError) {
        try ZoneName.check(name)
        let file: ZoneFile
        do {
            file = try ZoneFile(bytes)
        } catch {
            throw ZoneError(zone: name, "its file is not valid: \(error.message)")
        }
        self.init(
            name: name, digest: SipHash.hash24(key0: 0, key1: 0, bytes), initial: file.initial,
            transitions: file.transitions)
    }
}

/// What is wrong with a zone file.
struct ZoneFileError: Error {
    let message: String

    init(_ message: String) { self.message = message }
}

/// The contents of a zone file, its footer written out.
private struct ZoneFile {
    var initial: Int64 = 0
    /// Ascending, within `ZoneRules.reach`.
    var transitions: [ZoneTransition] = []

    init(_ bytes: [UInt8]) throws(ZoneFileError) {
        var reader = ZoneFileReader(bytes)
        let header = try ZoneFileHeader(&reader)
        guard header.version >= 2 else {
            try readBlock(header, timeSize: 4, &reader)
            return
        }
        // The first block is for readers that know 32-bit times only.
        try reader.skip(header.blockLength(timeSize: 4))
        let wideHeader = try ZoneFileHeader(&reader)
        try readBlock(wideHeader, timeSize: 8, &reader)
        try readFooter(hasTransitions: wideHeader.times > 0, &reader)
    }

    private mutating func readBlock(
        _ header: ZoneFileHeader, timeSize: Int, _ reader: inout ZoneFileReader
    ) throws(ZoneFileError) {
        guard header.leaps == 0 else { throw ZoneFileError("it counts leap seconds") }
        var block = try reader.slice(header.blockLength(timeSize: timeSize))
        var times = try block.slice(header.times * timeSize)
        var kinds = try block.slice(header.times)
        var types = try block.slice(header.types * 6)
        var offsets: [Int64] = []
        offsets.reserveCapacity(header.types)
        for _ in 0..<header.types {
            let offset = Int64(Int32(truncatingIfNeeded: try types.integer(4)))
            guard offset > -25 * 3_600, offset < 26 * 3_600 else {
                throw ZoneFileError("an offset is beyond 25 hours")
            }
            let isSaving = try types.integer(1)
            let nameIndex = try types.integer(1)
            guard isSaving <= 1, nameIndex < header.characters else {
                throw ZoneFileError("a type of local time is malformed")
            }
            offsets.append(offset)
        }
        initial = offsets[0]
        var last: Int64?
        for _ in 0..<header.times {
            let raw = try times.integer(timeSize)
            let at = timeSize == 4 ? Int64(Int32(truncatingIfNeeded: raw)) : raw
            let kind = Int(try kinds.integer(1))
            guard kind < offsets.count else {
                throw ZoneFileError("a transition leads to an unknown type of local time")
            }
            if let last, at <= last { throw ZoneFileError("its transitions don't ascend") }
            last = at
            add(ZoneTransition(at: at, offset: offsets[kind]))
        }
    }

    /// Transitions before all representable instants only set the offset to begin with.
    private mutating func add(_ transition: ZoneTransition) {
        if transition.at < -ZoneRules.reach {
            initial = transition.offset
        } else if transition.at <= ZoneRules.reach {
            transitions.append(transition)
        }
    }

    private mutating func readFooter(
        hasTransitions: Bool, _ reader: inout ZoneFileReader
    ) throws(ZoneFileError) {
        guard try reader.integer(1) == 0x0A else { throw ZoneFileError("its footer is missing") }
        var text: [UInt8] = []
        while true {
            let byte = UInt8(truncatingIfNeeded: try reader.integer(1))
            if byte == 0x0A { break }
            text.append(byte)
        }
        // An empty footer says that nothing is known about the future: the last offset stays.
        if text.isEmpty { return }
        let rule = try PosixZone(text)
        guard let saving = rule.saving else {
            if !hasTransitions { initial = rule.standard }
            return
        }
        let after = transitions.last?.at ?? -ZoneRules.reach
        let coming = rule.transitions(after: after)
        if !hasTransitions, let first = coming.first {
            initial = first.offset == rule.standard ? saving.offset : rule.standard
        }
        transitions += coming
    }
}

private struct ZoneFileHeader {
    let version: Int
    let isUTCounts: Int
    let isStandardCounts: Int
    let leaps: Int
    let times: Int
    let types: Int
    let characters: Int

    init(_ reader: inout ZoneFileReader) throws(ZoneFileError) {
        guard try reader.integer(4) == 0x545A_6966 else {
            throw ZoneFileError("it does not begin with TZif")
        }
        switch try reader.integer(1) {
        case 0: version = 1
        case 0x32...0x34: version = 2
        default: throw ZoneFileError("its version is unknown")
        }
        try reader.skip(15)
        isUTCounts = Int(try reader.integer(4))
        isStandardCounts = Int(try reader.integer(4))
        leaps = Int(try reader.integer(4))
        times = Int(try reader.integer(4))
        types = Int(try reader.integer(4))
        characters = Int(try reader.integer(4))
        guard types > 0, types <= 256, characters > 0 else {
            throw ZoneFileError("it has no valid types of local time")
        }
        guard isUTCounts == 0 || isUTCounts == types,
            isStandardCounts == 0 || isStandardCounts == types
        else { throw ZoneFileError("its counts contradict each other") }
    }

    /// Bytes of the block after the header. Counts have 32 bits, so nothing overflows.
    func blockLength(timeSize: Int) -> Int {
        times * (timeSize + 1) + types * 6 + characters + leaps * (timeSize + 4)
            + isStandardCounts + isUTCounts
    }
}

/// Takes big-endian numbers from the front of some bytes.
private struct ZoneFileReader {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    mutating func integer(_ size: Int) throws(ZoneFileError) -> Int64 {
        guard rest.count >= size else { throw ZoneFileError("it is cut short") }
        var value: UInt64 = 0
        for byte in rest.prefix(size) { value = value << 8 | UInt64(byte) }
        rest = rest.dropFirst(size)
        return Int64(bitPattern: value)
    }

    mutating func skip(_ count: Int) throws(ZoneFileError) { _ = try slice(count) }

    mutating func slice(_ count: Int) throws(ZoneFileError) -> ZoneFileReader {
        guard rest.count >= count else { throw ZoneFileError("it is cut short") }
        var part = self
        part.rest = rest.prefix(count)
        rest = rest.dropFirst(count)
        return part
    }
}
