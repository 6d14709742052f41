import Testing

@testable import Core

@Suite("Bytes, checksums, chance")
struct BytesTests {
    static let varints: [UInt64] = [
        0, 1, 0x7f, 0x80, 0x3fff, 0x4000, UInt64(UInt32.max), 1 << 62, 1 << 63, .max,
    ]

    @Test func whatIsWrittenIsRead() throws {
        var writer = ByteWriter()
        writer.u8(7)
        writer.u16(0x1234)
        writer.u32(0x1234_5678)
        writer.u64(.max - 1)
        writer.i64(.min)
        writer.bool(true)
        for value in Self.varints { writer.varint(value) }
        writer.bytes([1, 2, 3])
        writer.bytes([9, 1, 2, 9][1..<3])
        writer.string("é")
        writer.optional(5 as UInt8?) { $0.u8($1) }
        writer.optional(nil as UInt8?) { $0.u8($1) }
        writer.array([1, 2, 3]) { $0.u32($1) }
        writer.patch(u32: 0x8765_4321, at: 3)
        // A slice whose indices do not start at zero reads alike.
        let shifted = [0, 0] + writer.output
        var reader = ByteReader(shifted[2...])
        #expect(try reader.u8() == 7)
        #expect(try reader.u16() == 0x1234)
        #expect(try reader.u32() == 0x8765_4321)
        #expect(try reader.u64() == .max - 1)
        #expect(try reader.i64() == .min)
        #expect(try reader.bool())
        for value in Self.varints { #expect(try reader.varint() == value) }
        #expect(try reader.bytes() == [1, 2, 3])
        #expect(try reader.bytes() == [1, 2])
        #expect(try reader.string() == "é")
        #expect(try reader.optional { r throws(ByteError) in try r.u8() } == 5)
        #expect(try reader.optional { r throws(ByteError) in try r.u8() } == nil)
        #expect(
            try reader.array(elementSize: 4) { r throws(ByteError) in try r.u32() } == [1, 2, 3])
        #expect(reader.isAtEnd && reader.offset == writer.count)
        try reader.expectEnd()
    }

    @Test(
        arguments: [
            [], [0x80], [0x80, 0x00], [0xff, 0x00],
            [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02],
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        ] as [[UInt8]])
    func varintsHaveOneEncoding(bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        #expect(throws: ByteError.self) { try reader.varint() }
    }

    @Test func hostileLengthsAreRefusedBeforeAllocating() {
        var writer = ByteWriter()
        writer.varint(.max)
        writer.raw([1, 2, 3])
        #expect(throws: ByteError.endOfBytes(offset: 0)) {
            var reader = ByteReader(writer.output)
            _ = try reader.bytes()
        }
        #expect(throws: ByteError.self) {
            var reader = ByteReader([4, 0, 0, 0])
            _ = try reader.array(elementSize: 4) { r throws(ByteError) in try r.u32() }
        }
        #expect(throws: ByteError.self) {
            var reader = ByteReader([2, 0xc3, 0x28])
            _ = try reader.string()
        }
        #expect(throws: ByteError.malformed(offset: 0, what: "a flag of 2")) {
            var reader = ByteReader([2])
            _ = try reader.bool()
        }
    }

    /// RFC 3720 appendix B.4, and the usual check value.
    @Test func crc32cMatchesTheStandard() {
        #expect(Checksum.crc32c(Array("123456789".utf8)) == 0xe306_9283)
        #expect(Checksum.crc32c([UInt8](repeating: 0, count: 32)) == 0x8a91_36aa)
        #expect(Checksum.crc32c([UInt8](repeating: 0xff, count: 32)) == 0x62a8_ab43)
        #expect(Checksum.crc32c(Array(0..<32)) == 0x46dd_794e)
        let bytes = (0..<100).map { UInt8($0) }
        for cut in 0...100 {
            let first = Checksum.crc32c(bytes[..<cut])
            #expect(Checksum.crc32c(bytes[cut...], continuing: first) == Checksum.crc32c(bytes))
        }
    }

    /// Every way to cut a length into lanes, words and bytes, against one bit at a time.
    @Test func crc32cIsThatOfTheBits() {
        let bytes = (0..<700).map { UInt8(truncatingIfNeeded: $0 &* 167 ^ $0 >> 3) }
        var crc = ~UInt32(0)
        for count in 0...bytes.count {
            #expect(Checksum.crc32c(bytes[..<count]) == ~crc, "\(count) bytes")
            guard count < bytes.count else { break }
            crc ^= UInt32(bytes[count])
            for _ in 0..<8 { crc = crc & 1 == 1 ? (crc >> 1) ^ 0x82f6_3b78 : crc >> 1 }
        }
    }

    /// Long inputs are folded in whole blocks; what is left of them is as long as may be, or short.
    @Test func crc32cOfLongInputsIsThatOfTheirParts() {
        let bytes = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* 167 ^ $0 >> 3) }
        var parts: [UInt32] = [0]
        for start in stride(from: 0, to: bytes.count, by: 100) {
            parts.append(Checksum.crc32c(bytes[start..<start + 100], continuing: parts.last!))
        }
        for (index, part) in parts.enumerated() {
            #expect(Checksum.crc32c(bytes[..<(index * 100)]) == part, "\(index * 100) bytes")
            let whole = Checksum.crc32c(bytes[(index * 100)...], continuing: part)
            #expect(whole == parts.last, "from \(index * 100) on")
        }
    }

    @Test func recordHashesAddUpInAnyOrder() {
        let a = RecordHash(of: [1])
        let b = RecordHash(of: [2])
        #expect(a != b)
        #expect(a &+ b == b &+ a)
        #expect((a &+ b) &- a == b)
        #expect(a &- a == .zero)
        #expect(RecordHash(value: 0xab).description == "000000000000000000000000000000ab")
    }

    /// First outputs of xoshiro256** from the state that splitmix64 makes of seed 0; the state
    /// begins with the published first value of splitmix64.
    @Test func generatorsAreStable() {
        var random = PRNG(seed: 0)
        #expect(random.next() == 0x99ec_5f36_cb75_f2b4)
        #expect(random.next() == 0xbf6e_1f78_4956_452a)
        var again = PRNG(seed: 0)
        _ = again.next()
        #expect(again.split(label: "raft") == PRNG(seed: 0).split(label: "raft"))
        #expect(again.split(label: "raft") != again.split(label: "gossip"))
    }

    @Test func drawsStayInBounds() {
        var random = PRNG(seed: 3)
        var seen = [Int](repeating: 0, count: 7)
        for _ in 0..<7_000 { seen[random.int(in: 0..<7)] += 1 }
        #expect(seen.allSatisfy { $0 > 850 && $0 < 1_150 })
        for _ in 0..<100 {
            #expect((-3 ... -1).contains(random.int(in: -3 ... -1)))
            let drawn = random.duration(from: .milliseconds(5), through: .milliseconds(6))
            #expect(drawn >= .milliseconds(5) && drawn <= .milliseconds(6))
        }
        _ = random.int(in: Int.min...Int.max)
        #expect(random.below(1) == 0)
        #expect(random.chance(1, 1) && !random.chance(0, 1))
        var deck = Array(0..<52)
        random.permute(&deck)
        #expect(deck != Array(0..<52) && deck.sorted() == Array(0..<52))
    }
}
