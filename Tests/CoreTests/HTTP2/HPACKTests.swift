import Testing

@testable import Core

/// Bytes from hexadecimal digits; blanks are passed over.
func hex(_ text: String) -> [UInt8] {
    let digits = text.utf8.compactMap { hexadecimalDigit($0) }
    return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

private func lines(_ fields: [HTTP2Field]) -> [String] {
    fields.map { "\($0.name): \($0.value)" }
}

@Suite("HPACK")
struct HPACKTests {
    /// A field block of RFC 7541 appendix C, what it means, and the table's size behind it.
    struct Step {
        let block: String
        let fields: [String]
        let tableSize: Int

        init(_ block: String, _ fields: [String], _ tableSize: Int) {
            self.block = block
            self.fields = fields
            self.tableSize = tableSize
        }
    }

    private static let first = [
        ":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com",
    ]
    private static let third = [
        ":method: GET", ":scheme: https", ":path: /index.html", ":authority: www.example.com",
        "custom-key: custom-value",
    ]
    private static func answer(_ status: String, _ second: String, _ more: [String] = [])
        -> [String]
    {
        [
            ":status: \(status)", "cache-control: private",
            "date: Mon, 21 Oct 2013 20:13:\(second) GMT", "location: https://www.example.com",
        ] + more
    }
    private static let cookie = [
        "content-encoding: gzip",
        "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
    ]

    static let examples: [(name: String, limit: Int, steps: [Step])] = [
        (
            "C.2.1", 4_096,
            [
                Step(
                    "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
                    ["custom-key: custom-header"], 55)
            ]
        ),
        ("C.2.2", 4_096, [Step("040c 2f73 616d 706c 652f 7061 7468", [":path: /sample/path"], 0)]),
        (
            "C.2.3", 4_096,
            [Step("1008 7061 7373 776f 7264 0673 6563 7265 74", ["password: secret"], 0)]
        ),
        ("C.2.4", 4_096, [Step("82", [":method: GET"], 0)]),
        (
            "C.3", 4_096,
            [
                Step("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", first, 57),
                Step(
                    "8286 84be 5808 6e6f 2d63 6163 6865", first + ["cache-control: no-cache"], 110),
                Step(
                    """
                    8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65
                    """, third, 164),
            ]
        ),
        (
            "C.4", 4_096,
            [
                Step("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", first, 57),
                Step("8286 84be 5886 a8eb 1064 9cbf", first + ["cache-control: no-cache"], 110),
                Step("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", third, 164),
            ]
        ),
        (
            "C.5", 256,
            [
                Step(
                    """
                    4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133
                    2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70
                    6c65 2e63 6f6d
                    """, answer("302", "21"), 222),
                Step("4803 3330 37c1 c0bf", answer("307", "21"), 222),
                Step(
                    """
                    88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d
                    54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049
                    5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e
                    3d31
                    """, answer("200", "22", cookie), 215),
            ]
        ),
        (
            "C.6", 256,
            [
                Step(
                    """
                    4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6
                    2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3
                    """, answer("302", "21"), 222),
                Step("4883 640e ffc1 c0bf", answer("307", "21"), 222),
                Step(
                    """
                    88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab
                    77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f
                    9587 3160 65c0 03ed 4ee5 b106 3d50 07
                    """, answer("200", "22", cookie), 215),
            ]
        ),
    ]

    @Test("RFC 7541 appendix C", arguments: examples.indices)
    func appendix(index: Int) throws {
        let (name, limit, steps) = Self.examples[index]
        var decoder = HPACKDecoder(tableLimit: limit)
        for step in steps {
            let (fields, isWhole) = try decoder.decode(hex(step.block).span, sizeLimit: 65_536)
            #expect(lines(fields) == step.fields, "\(name)")
            #expect(isWhole)
            #expect(decoder.tableSize == step.tableSize, "\(name)")
        }
    }

    @Test("never-indexed fields are known as such")
    func secrets() throws {
        var decoder = HPACKDecoder()
        let block = hex("1008 7061 7373 776f 7264 0673 6563 7265 74")
        #expect(try decoder.decode(block.span, sizeLimit: 1_000).fields[0].isSecret)
        var encoder = HPACKEncoder()
        var output: [UInt8] = []
        let secret = HTTP2Field("authorization", "Bearer abc", isSecret: true)
        encoder.encode([secret, secret], to: &output)
        #expect(encoder.tableSize == 0)
        #expect(output[0] & 0xf0 == 0x10)
        #expect(try decoder.decode(output.span, sizeLimit: 1_000).fields == [secret, secret])
        // A secret that is in the table from elsewhere isn't named by its index either.
        encoder.encode([HTTP2Field("a", "b"), HTTP2Field("a", "b", isSecret: true)], to: &output)
        #expect(try decoder.decode(output.span, sizeLimit: 1_000).fields.last?.isSecret == true)
    }

    @Test("integers: RFC 7541 section C.1")
    func integers() throws {
        for (value, prefix, bytes) in [
            (10, 5, "0a"), (1_337, 5, "1f9a0a"), (42, 7, "2a"), (31, 5, "1f00"),
            (Int(UInt32.max), 7, "7f80ffffff0f"),
        ] as [(Int, UInt8, String)] {
            var output: [UInt8] = []
            HPACKEncoder.integer(value, prefix: prefix, flags: 0, to: &output)
            #expect(output == hex(bytes))
            var position = 0
            #expect(
                try HPACKDecoder.integer(output.span, &position, prefix: prefix) == value)
            #expect(position == output.count)
        }
        for (bytes, error) in [
            ("7fffffffff7f", HPACKError.integerTooLong), ("7f808080808000", .integerTooLong),
            ("7f", .endOfBlock), ("7f80", .endOfBlock),
        ] {
            let input = hex(bytes)
            #expect(throws: error) {
                var position = 0
                _ = try HPACKDecoder.integer(input.span, &position, prefix: 7)
            }
        }
    }

    @Test(
        "blocks that are refused",
        arguments: [
            ("80", HPACKError.noSuchIndex(0)), ("be", .noSuchIndex(62)), ("40", .endOfBlock),
            ("4003", .endOfBlock), ("400361", .endOfBlock), ("7e0161", .noSuchIndex(62)),
            ("3fe21f", .tableSizeTooLarge(4_097, limit: 4_096)), ("8220", .tableSizeTooLate),
            // The end of string; nine ones of filling; filling with a zero.
            ("0084ffffffff0161", .huffmanEnd), ("00821fff0161", .huffmanFilling),
            ("0081180161", .huffmanFilling),
        ])
    func refused(block: String, error: HPACKError) {
        #expect(throws: error) {
            var decoder = HPACKDecoder()
            _ = try decoder.decode(hex(block).span, sizeLimit: 1_000)
        }
        #expect(!error.description.isEmpty)
    }

    @Test("a smaller table is announced, obeyed, and demanded")
    func tableSizes() throws {
        var encoder = HPACKEncoder()
        var decoder = HPACKDecoder()
        var output: [UInt8] = []
        encoder.encode([HTTP2Field("x-name", "value")], to: &output)
        _ = try decoder.decode(output.span, sizeLimit: 1_000)
        #expect(decoder.tableSize == 43)
        // Two changes between blocks: both the least and the last are told (section 4.2).
        encoder.setTableLimit(0)
        encoder.setTableLimit(100)
        output = []
        encoder.encode([HTTP2Field("x-name", "value")], to: &output)
        #expect(Array(output.prefix(3)) == hex("203f45"))
        decoder.setTableLimit(0)
        decoder.setTableLimit(100)
        let (fields, _) = try decoder.decode(output.span, sizeLimit: 1_000)
        #expect(lines(fields) == ["x-name: value"])
        #expect(decoder.tableSize == encoder.tableSize)
        // An encoder that goes on as before is found out.
        decoder.setTableLimit(20)
        #expect(throws: HPACKError.tableSizeMissing) {
            _ = try decoder.decode(hex("82").span, sizeLimit: 1_000)
        }
    }

    @Test("a list beyond the limit is not kept, but the table goes on to agree")
    func listLimit() throws {
        var encoder = HPACKEncoder()
        var decoder = HPACKDecoder()
        let long = (0..<20).map { HTTP2Field("name-\($0)", String(repeating: "v", count: 100)) }
        var output: [UInt8] = []
        encoder.encode(long, to: &output)
        let (fields, isWhole) = try decoder.decode(output.span, sizeLimit: 500)
        #expect(!isWhole)
        #expect(fields.count == 3)
        output = []
        encoder.encode([long[19]], to: &output)
        #expect(output.count == 1)
        #expect(try decoder.decode(output.span, sizeLimit: 500).fields == [long[19]])
    }

    @Test("an entry larger than the table empties it")
    func largeEntry() throws {
        var decoder = HPACKDecoder(tableLimit: 64)
        _ = try decoder.decode(hex("4001610162").span, sizeLimit: 1_000)
        #expect(decoder.tableSize == 34)
        let value = String(repeating: "61", count: 40)
        _ = try decoder.decode(hex("40016128" + value).span, sizeLimit: 1_000)
        #expect(decoder.tableSize == 0)
    }

    @Test("what is encoded is decoded, whatever it is", arguments: 1...40 as ClosedRange<UInt64>)
    func roundTrips(seed: UInt64) throws {
        var random = PRNG(seed: seed)
        var encoder = HPACKEncoder(tableLimit: 512)
        var decoder = HPACKDecoder()
        let names = [":path", "content-type", "x", "grpc-timeout", "date", "accept-encoding"]
        for _ in 0..<60 {
            if random.chance(1, 8) {
                let limit = random.int(in: 0...600)
                encoder.setTableLimit(limit)
                decoder.setTableLimit(max(limit, 0))
            }
            let fields = (0..<random.int(in: 0...8)).map { _ in
                var text = String.UnicodeScalarView()
                for _ in 0..<random.int(in: 0...30) {
                    text.append(
                        Unicode.Scalar(UInt32(random.int(in: 0...0x24f))) ?? "?")
                }
                let name =
                    random.chance(1, 2)
                    ? names[random.int(in: 0..<6)] : "n\(random.int(in: 0...20))"
                return HTTP2Field(
                    name, random.chance(1, 2) ? String(text) : "v\(random.int(in: 0...9))",
                    isSecret: random.chance(1, 10))
            }
            var output: [UInt8] = []
            encoder.encode(fields, to: &output)
            let (decoded, _) = try decoder.decode(output.span, sizeLimit: 1 << 20)
            #expect(decoded.count == fields.count)
            #expect(zip(decoded, fields).allSatisfy { sameBytes($0.value, $1.value) })
            #expect(decoded.map(\.name) == fields.map(\.name))
            #expect(decoded.map(\.isSecret) == fields.map(\.isSecret))
            #expect(encoder.tableSize == decoder.tableSize)
        }
    }

    @Test("every byte has its code")
    func huffman() throws {
        for byte in 0...255 as ClosedRange<UInt8> {
            // Seven bits and more of a text need no filling of their own kind.
            let text = String(decoding: [byte &>> 1, byte & 0x7f, 0x30], as: UTF8.self)
            var coded: [UInt8] = []
            HPACKHuffman.encode(text, to: &coded)
            #expect(coded.count == HPACKHuffman.encodedCount(text))
            var decoded: [UInt8] = []
            try HPACKHuffman.decode(coded.span, to: &decoded)
            #expect(decoded == Array(text.utf8))
        }
        // The code of a byte that is no UTF-8 by itself: 255 has 26 ones less two.
        var decoded: [UInt8] = []
        try HPACKHuffman.decode(hex("ffff fbbf").span, to: &decoded)
        #expect(decoded == [255])
    }
}
