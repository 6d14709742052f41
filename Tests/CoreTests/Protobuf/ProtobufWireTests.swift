import Testing

@testable import Core

private struct Inner: ProtobufMessage {
    var number: Int64 = 0
    var inner: [Inner] = []

    static let fields: [ProtobufRule<Inner>] = [.integer(1, \.number), .messages(2, \.inner)]
}

private struct Outer: ProtobufMessage {
    var text = ""
    var words: [String] = []
    var data: [UInt8] = []
    var flag = false
    var small: UInt32 = 0
    var signed: Int32 = 0
    var maybe: Int32?
    var name: String?
    var inner: Inner?
    var pairs: [ProtobufEntry] = []

    static let fields: [ProtobufRule<Outer>] = [
        .string(1, \.text), .strings(2, \.words), .bytes(3, \.data), .bool(4, \.flag),
        .integer(5, \.small), .integer(6, \.signed), .optionalInteger(7, \.maybe),
        .optionalString(8, \.name), .message(9, \.inner), .entries(1_000, \.pairs),
    ]
}

@Suite("Protobuf: bytes")
struct ProtobufWireTests {
    @Test("known encodings")
    func encodings() throws {
        var outer = Outer()
        #expect(outer.protobuf == [])
        outer.small = 150
        #expect(outer.protobuf == hex("2896 01"))
        outer = Outer()
        outer.text = "testing"
        #expect(outer.protobuf == hex("0a07 7465 7374 696e 67"))
        outer = Outer()
        outer.signed = -2
        #expect(outer.protobuf == hex("30fe ffff ffff ffff ffff 01"))
        outer = Outer()
        outer.maybe = 0
        outer.name = ""
        #expect(outer.protobuf == hex("3800 4200"))
        outer = Outer()
        outer.pairs = [ProtobufEntry("a", "b")]
        #expect(outer.protobuf == hex("c23e 06 0a01 61 1201 62"))
        #expect(ProtobufZigzag.encode(-1) == 1)
        #expect(ProtobufZigzag.encode(.max) == UInt64.max - 1)
        #expect(ProtobufZigzag.decode(.max) == .min)
    }

    @Test("what is written is read", arguments: 1...30 as ClosedRange<UInt64>)
    func roundTrip(seed: UInt64) throws {
        var random = PRNG(seed: seed)
        func inner(_ depth: Int) -> Inner {
            var value = Inner()
            value.number = Int64(bitPattern: random.next() >> UInt64(random.int(in: 0...63)))
            if depth > 0 { value.inner = (0..<random.int(in: 0...2)).map { _ in inner(depth - 1) } }
            return value
        }
        var outer = Outer()
        outer.text = String(repeating: "ä", count: random.int(in: 0...100))
        outer.words = (0..<random.int(in: 0...3)).map { "\($0)" }
        outer.data = (0..<random.int(in: 0...300)).map { UInt8(truncatingIfNeeded: $0) }
        outer.flag = random.chance(1, 2)
        outer.small = UInt32(truncatingIfNeeded: random.next())
        outer.signed = Int32(truncatingIfNeeded: random.next())
        outer.maybe = random.chance(1, 2) ? nil : outer.signed
        outer.inner = inner(4)
        outer.pairs = [ProtobufEntry("k", "v"), ProtobufEntry("", "")]
        #expect(try Outer(protobuf: outer.protobuf) == outer)
    }

    @Test("unknown fields and groups are passed over, the last of a field counts, messages merge")
    func tolerance() throws {
        // Field 20 of each wire type, and a group with a group in it.
        let unknown =
            "a001 01 a101 0102 0304 0506 0708 a201 0161 a501 01020304 a301 0801 ab01 ac01 a401"
        let outer = try Outer(protobuf: hex(unknown + "2805 2806 4a02 0801 4a04 1202 0803"))
        #expect(outer.small == 6)
        #expect(outer.inner?.number == 1)
        #expect(outer.inner?.inner.first?.number == 3)
    }

    @Test(
        "bytes that are no message",
        arguments: [
            ("08", "the bytes end within a field"), ("0a05 61", "the bytes end within a field"),
            ("00", "a field's number is not between 1 and 536870911"),
            ("0e", "field 1 has the wire type 6, which does not exist"),
            ("0aff ffff ffff ffff ffff 01", "the bytes end within a field"),
            ("28ff ffff ffff ffff ffff ffff", "a varint has more than ten bytes"),
            ("a401", "a group ends that has not begun"), ("a301", "group 20 has no end"),
            ("a301 ac01", "group 20 ends as group 21"),
            ("0801", "field 1: the field has the wire type varint, and bytes is expected"),
            ("0a01 ff", "field 1: the text is not UTF-8"),
            (
                "4a02 0a00",
                "field 9.field 1: the field has the wire type bytes, and varint is expected"
            ),
        ])
    func malformed(bytes: String, message: String) {
        let error = #expect(throws: ProtobufError.self) { _ = try Outer(protobuf: hex(bytes)) }
        #expect(error?.description == message)
    }

    @Test("nesting has a bound, for messages and groups")
    func depth() {
        var bytes: [UInt8] = []
        for _ in 0..<200 {
            var writer = ProtobufWriter()
            writer.bytes(2, bytes)
            bytes = writer.output
        }
        let error = #expect(throws: ProtobufError.self) { _ = try Inner(protobuf: bytes) }
        #expect(error?.reason == "messages nest more than 100 deep")
        #expect(throws: ProtobufError.self) {
            _ = try Inner(protobuf: [UInt8](repeating: 0x0b, count: 100_000))
        }
    }

    @Test("numbers come packed or not")
    func packed() throws {
        var reader = ProtobufReader(
            hex("0a03 0196 01 0805 1504 0000 00 1208 0100 0000 0200 0000")[...])
        var numbers: [UInt64] = []
        while let field = try reader.next() {
            try field.numbers(field.number == 1 ? .varint : .fixed32) { numbers.append($0) }
        }
        #expect(numbers == [1, 150, 5, 4, 1, 2])
    }
}
