import Testing

@testable import Core

@Suite struct MessagePackTests {
    @Test func numbersTakeTheShortestForm() throws {
        let forms: [(Int64, [UInt8])] = [
            (0, [0]), (127, [0x7f]), (128, [0xcc, 0x80]), (255, [0xcc, 0xff]),
            (256, [0xcd, 1, 0]), (65_535, [0xcd, 0xff, 0xff]), (65_536, [0xce, 0, 1, 0, 0]),
            (1 << 32, [0xcf, 0, 0, 0, 1, 0, 0, 0, 0]), (-1, [0xff]), (-32, [0xe0]),
            (-33, [0xd0, 0xdf]), (-129, [0xd1, 0xff, 0x7f]),
            (-32_769, [0xd2, 0xff, 0xff, 0x7f, 0xff]),
            (.min, [0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        ]
        for (value, bytes) in forms {
            var writer = MessagePackWriter()
            writer.signed(value)
            #expect(writer.output == bytes)
            var reader = MessagePackReader(bytes[...])
            #expect(try reader.integer(Int64.self) == value)
        }
    }

    @Test func everyFormatOfANumberIsRead() throws {
        for bytes: [UInt8] in [
            [5], [0xcc, 5], [0xcd, 0, 5], [0xce, 0, 0, 0, 5], [0xd0, 5], [0xd1, 0, 5],
            [0xd2, 0, 0, 0, 5], [0xd3, 0, 0, 0, 0, 0, 0, 0, 5],
        ] {
            var reader = MessagePackReader(bytes[...])
            #expect(try reader.integer(UInt8.self) == 5)
        }
        var reader = MessagePackReader([0xff])
        #expect(throws: ByteError.self) { try reader.integer(UInt32.self) }
        reader = MessagePackReader([0xcd, 1, 0])
        #expect(throws: ByteError.self) { try reader.integer(UInt8.self) }
    }

    @Test func textHasTheFormsOfTheFirstEdition() throws {
        for (count, head) in [
            (0, [0xa0]), (31, [0xbf]), (32, [0xda, 0, 32]), (255, [0xda, 0, 255]),
            (65_535, [0xda, 0xff, 0xff]), (65_536, [0xdb, 0, 1, 0, 0]),
        ] as [(Int, [UInt8])] {
            let text = String(repeating: "x", count: count)
            var writer = MessagePackWriter()
            writer.text(text)
            #expect(Array(writer.output.prefix(head.count)) == head)
            #expect(writer.output.count == head.count + count)
            var reader = MessagePackReader(writer.output[...])
            #expect(try reader.text() == text)
        }
        for later: [UInt8] in [[0xd9, 1, 65], [0xc4, 1, 65], [0xc5, 0, 1, 65]] {
            var reader = MessagePackReader(later[...])
            #expect(try reader.text() == "A")
        }
        var reader = MessagePackReader([0xa1, 0xff])
        #expect(throws: ByteError.malformed(offset: 0, what: "text that is not UTF-8")) {
            try reader.text()
        }
    }

    @Test func nilIsEmpty() throws {
        var reader = MessagePackReader([0xc0, 0xc0, 0xc0])
        #expect(try reader.map() == 0)
        #expect(try reader.array() == 0)
        #expect(try reader.raw() == [])
    }

    @Test func valuesOfEveryKindAreSkipped() throws {
        let values: [[UInt8]] = [
            [0xc0], [0xc2], [0xc3], [0x7f], [0xe0], [0xca, 0, 0, 0, 0],
            [0xcb, 0, 0, 0, 0, 0, 0, 0, 0], [0xd4, 1, 2], [0xd5, 1, 2, 3],
            [0xd8, 1] + [UInt8](repeating: 9, count: 16), [0xc7, 2, 1, 8, 8],
            [0x82, 1, 2, 0xa1, 65, 0x92, 1, 2], [0xdc, 0, 1, 0xc0], [0xde, 0, 1, 1, 2],
            [UInt8](repeating: 0x91, count: 100_000) + [0xc0],
        ]
        for value in values {
            var reader = MessagePackReader((value + [0x2a])[...])
            try reader.skip()
            #expect(try reader.integer(Int.self) == 42)
            for length in 0..<min(value.count, 20) {
                reader = MessagePackReader(value[..<length])
                #expect(throws: ByteError.self) { try reader.skip() }
            }
        }
        var reader = MessagePackReader([0xc1])
        #expect(throws: ByteError.self) { try reader.skip() }
    }

    @Test func aCountBeyondTheBytesIsRefused() {
        for bytes: [UInt8] in [
            [0xdf, 0xff, 0xff, 0xff, 0xff, 1], [0xdd, 0xff, 0xff, 0xff, 0xff, 1],
            [0xdb, 0xff, 0xff, 0xff, 0xff, 1],
        ] {
            var reader = MessagePackReader(bytes[...])
            #expect(throws: ByteError.self) { try reader.skip() }
            #expect(throws: ByteError.self) { try reader.map() }
            #expect(throws: ByteError.self) { try reader.array() }
            #expect(throws: ByteError.self) { try reader.raw() }
        }
    }
}

@Suite struct LZWTests {
    /// "TOBEORNOTTOBEORTOBEORNOT" as the decoder of GIF reads it.
    @Test func aKnownText() throws {
        let text = Array("TOBEORNOTTOBEORTOBEORNOT".utf8)
        let codes =
            [256] + "TOBEORNOT".utf8.map { Int($0) } + [258, 260, 262, 267, 261, 263, 265, 257]
        var packed: [UInt8] = []
        var bits = 0
        var held = 0
        for code in codes {
            held |= code << bits
            bits += 9
            while bits >= 8 {
                packed.append(UInt8(held & 255))
                held >>= 8
                bits -= 8
            }
        }
        packed.append(UInt8(held))
        #expect(try LZW.decompress(packed[...], limit: 100) == text)
        #expect(LZW.compress(text[...]) == packed)
    }

    @Test func everyTextComesBack() throws {
        var random = PRNG(seed: 5)
        for alphabet in [1, 2, 3, 16, 256] {
            for length in [0, 1, 2, 3, 10, 255, 256, 257, 3_900, 4_000, 20_000, 100_000] {
                let text = (0..<length).map { _ in UInt8(random.int(in: 0..<alphabet)) }
                let packed = LZW.compress(text[...])
                #expect(try LZW.decompress(packed[...], limit: length) == text)
            }
        }
    }

    /// A writer that never clears leaves the table full.
    @Test func aFullTableGoesOn() throws {
        var text: [UInt8] = []
        var codes: [Int] = [256]
        for round in 0..<5_000 {
            let byte = UInt8(truncatingIfNeeded: round &* 7)
            text.append(byte)
            codes.append(Int(byte))
        }
        codes.append(257)
        var packed: [UInt8] = []
        var held = 0
        var bits = 0
        var next = 257
        for (index, code) in codes.enumerated() {
            let width = min(12, max(9, Int.bitWidth - next.leadingZeroBitCount))
            held |= code << bits
            bits += width
            while bits >= 8 {
                packed.append(UInt8(held & 255))
                held >>= 8
                bits -= 8
            }
            if index > 0 { next += 1 }
        }
        packed.append(UInt8(held))
        #expect(try LZW.decompress(packed[...], limit: 5_000) == text)
    }

    @Test func damageIsAnErrorAndNeverATrap() {
        let packed = LZW.compress(Array(repeating: 7, count: 1_000)[...])
        for length in 0..<packed.count - 1 {
            #expect(throws: ByteError.self) { try LZW.decompress(packed[..<length], limit: 9_999) }
        }
        #expect(throws: ByteError.self) { try LZW.decompress(packed[...], limit: 999) }
        #expect(throws: ByteError.self) { try LZW.decompress([0xff, 0xff], limit: 999) }
    }
}
