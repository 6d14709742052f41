import Testing

@testable import Core

@Suite("Plugins: Go's values")
struct GobTests {
    @Test(
        "numbers as the format's description has them",
        arguments: [
            (0, [0]), (7, [7]), (127, [127]), (128, [0xff, 0x80]), (256, [0xfe, 1, 0]),
            (UInt64.max, [0xf8] + Array(repeating: 0xff, count: 8)),
        ] as [(UInt64, [UInt8])])
    func unsigned(_ value: UInt64, _ expected: [UInt8]) throws {
        var output: [UInt8] = []
        GobEncoder.append(unsigned: value, to: &output)
        #expect(output == expected)
        var cursor = GobCursor(output[...])
        #expect(try cursor.unsigned() == value)
    }

    @Test(
        "signed numbers",
        arguments: [(0, [0]), (-1, [1]), (1, [2]), (-65, [0xff, 129]), (64, [0xff, 128])]
            as [(Int64, [UInt8])])
    func signed(_ value: Int64, _ expected: [UInt8]) throws {
        var output: [UInt8] = []
        GobEncoder.append(signed: value, to: &output)
        #expect(output == expected)
        var cursor = GobCursor(output[...])
        #expect(try cursor.signed() == value)
    }

    @Test("a structure with its description, byte for byte")
    func structure() throws {
        let type = GobType.structure("Point", [GobField("X", .int), GobField("Y", .int)])
        let value = GobValue.structure([GobMember("X", .int(22)), GobMember("Y", .int(33))])
        var encoder = GobEncoder()
        let bytes = encoder.encode(value, as: type)
        let expected: [UInt8] =
            [0x1f, 0xff, 0x81, 3, 1, 1, 5] + Array("Point".utf8)
            + [1, 0xff, 0x82, 0, 1, 2, 1, 1, UInt8(ascii: "X"), 1, 4, 0]
            + [1, 1, UInt8(ascii: "Y"), 1, 4, 0, 0, 0]
            + [7, 0xff, 0x82, 1, 0x2c, 1, 0x42, 0]
        #expect(bytes == expected)
        // Described once only.
        #expect(encoder.encode(value, as: type) == [7, 0xff, 0x82, 1, 0x2c, 1, 0x42, 0])
        var decoder = GobDecoder()
        decoder.receive(bytes)
        #expect(try decoder.next() == value)
        #expect(try decoder.next() == nil)
    }

    @Test("an execution comes back as it went, in whatever pieces")
    func execution() throws {
        var execution = PluginExecution(
            job: "j", isSuccess: true, output: [0, 255, 10], node: "n", group: -5, attempt: 2,
            startedAt: WallTime(seconds: 1_700_000_000) + .nanoseconds(5), finishedAt: nil)
        for output in [[], [UInt8](repeating: 7, count: 1 << 20), [1]] {
            execution.output = output
            var encoder = GobEncoder()
            let bytes = encoder.encode(
                ProcessorService.arguments(execution, [ProtobufEntry("k", "v")]),
                as: ProcessorService.arguments)
            var decoder = GobDecoder()
            var found: [GobValue] = []
            for start in stride(from: 0, to: bytes.count, by: 1_001) {
                decoder.receive(Array(bytes[start..<min(start + 1_001, bytes.count)]))
                while let value = try decoder.next() { found.append(value) }
            }
            #expect(found.count == 1)
            #expect(found.first?["Config"] == .map([.string("k"), .string("v")]))
            #expect(found.first?["Execution"].flatMap { PluginExecution($0) } == execution)
        }
    }

    @Test("simple values, lists, and types with a form of their own")
    func others() throws {
        var encoder = GobEncoder()
        var decoder = GobDecoder()
        let list = GobType.slice(.string)
        let values: [(GobValue, GobType)] = [
            (.bool(true), .bool), (.uint(0), .uint), (.string("x"), .string),
            (.float(0x3ff0_0000_0000_0000), .float), (.list([.string("a"), .string("")]), list),
        ]
        for (value, type) in values {
            decoder.receive(encoder.encode(value, as: type))
            #expect(try decoder.next() == value)
        }
        // A GobEncoder type (field 4 of the description), and a value of it.
        let description: [UInt8] = [10, 0xff, 0x81, 5, 1, 2, 0xff, 0x82, 0, 0, 0]
        var own = GobDecoder()
        own.receive(description + [6, 0xff, 0x82, 0, 2, 8, 9])
        #expect(try own.next() == .opaque([8, 9]))
    }

    @Test(
        "what is no value is refused with a reason",
        arguments: [
            ([2, 4, 1], "begins as none does"), ([3, 0xff, 0x90, 0], "not described"),
            ([1, 0x80], "64 bits"), ([0x80], "64 bits"), ([2, 4], nil), ([1, 4], "ends before"),
            ([0xfc, 0x7f, 0xff, 0xff, 0xff], "are allowed"), ([4, 12, 0, 5, 1], "ends before"),
            ([3, 0x1f, 1, 0], "can't be described"),
        ] as [([UInt8], String?)])
    func refusals(_ bytes: [UInt8], _ reason: String?) {
        var decoder = GobDecoder()
        decoder.receive(bytes)
        do throws(GobError) {
            #expect(try decoder.next() == nil && reason == nil)
        } catch {
            #expect(error.message.contains(reason ?? "-"), "\(error.message)")
        }
    }
}
