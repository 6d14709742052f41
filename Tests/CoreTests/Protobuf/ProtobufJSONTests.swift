import Testing

@testable import Core

/// A schema with a member of every kind.
enum SampleSchema {
    static func field(
        _ name: String, _ number: Int32, _ type: Int32, _ typeName: String = "",
        repeated: Bool = false, oneof: Int32? = nil
    ) -> ProtobufFieldDescriptor {
        var field = ProtobufFieldDescriptor()
        field.name = name
        field.number = number
        field.type = type
        field.typeName = typeName.isEmpty ? "" : "." + typeName
        field.label = repeated ? 3 : 1
        field.oneof = oneof
        return field
    }

    static func message(
        _ name: String, _ fields: [ProtobufFieldDescriptor], oneofs: [String] = []
    ) -> ProtobufMessageDescriptor {
        var message = ProtobufMessageDescriptor()
        message.name = name
        message.members = fields
        message.oneofs = oneofs.map {
            var oneof = ProtobufMessageDescriptor.Oneof()
            oneof.name = $0
            return oneof
        }
        return message
    }

    static func entry(_ name: String, _ key: Int32, _ value: ProtobufFieldDescriptor)
        -> ProtobufMessageDescriptor
    {
        var entry = message(name, [field("key", 1, key), value])
        entry.options = ProtobufMessageDescriptor.Options()
        entry.options?.isMapEntry = true
        return entry
    }

    static let file: ProtobufFile = {
        let scalars = [
            "double", "float", "int64", "uint64", "int32", "fixed64", "fixed32", "bool", "string",
        ].enumerated().map { field("a_\($1)", Int32($0 + 1), Int32($0 + 1)) }
        var all = message(
            "All",
            scalars + [
                field("a_bytes", 12, 12), field("a_uint32", 13, 13),
                field("color", 14, 14, "t.Color"),
                field("a_sfixed32", 15, 15), field("a_sfixed64", 16, 16), field("a_sint32", 17, 17),
                field("a_sint64", 18, 18), field("inner", 19, 11, "t.All"),
                field("numbers", 20, 5, repeated: true), field("words", 21, 9, repeated: true),
                field("all_of_them", 22, 11, "t.All", repeated: true),
                field("names", 23, 11, "t.All.NamesEntry", repeated: true),
                field("by_number", 24, 11, "t.All.ByNumberEntry", repeated: true),
                field("left", 25, 5, oneof: 0), field("right", 26, 9, oneof: 0),
                field("time", 27, 11, "google.protobuf.Timestamp"),
                field("wait", 28, 11, "google.protobuf.Duration"),
                field("any_struct", 29, 11, "google.protobuf.Struct"),
                field("value", 30, 11, "google.protobuf.Value"),
                field("wrapped", 31, 11, "google.protobuf.Int64Value"),
                field("mask", 32, 11, "google.protobuf.FieldMask"),
                field("anything", 33, 11, "google.protobuf.Any"),
                field("colors", 34, 14, "t.Color", repeated: true),
                field("nothing", 35, 14, "google.protobuf.NullValue"),
                field("wrapped_text", 36, 11, "google.protobuf.StringValue"),
                field("flags", 37, 8, repeated: true), field("lost", 38, 11, "t.Lost"),
            ], oneofs: ["side"])
        all.messages = [
            entry("NamesEntry", 9, field("value", 2, 5)),
            entry("ByNumberEntry", 5, field("value", 2, 11, "t.All")),
        ]
        var color = ProtobufEnumDescriptor()
        color.name = "Color"
        color.values = ["NONE", "RED", "BLUE"].enumerated().map {
            var value = ProtobufEnumDescriptor.Value()
            value.name = $1
            value.number = Int32($0)
            return value
        }
        var service = ProtobufServiceDescriptor()
        service.name = "Service"
        var method = ProtobufServiceDescriptor.Method()
        method.name = "Run"
        method.input = ".t.All"
        method.output = ".t.All"
        method.streamsAnswers = true
        service.methods = [method]
        var file = ProtobufFile()
        file.name = "t.proto"
        file.package = "t"
        file.syntax = "proto3"
        file.dependencies = ["google/protobuf/struct.proto"]
        file.messages = [all]
        file.enumerations = [color]
        file.services = [service]
        return file
    }()

    static let schema: ProtobufSchema = {
        var schema = ProtobufSchema()
        // By way of its bytes, as it comes from a server.
        try? schema.add(ProtobufFile(protobuf: file.protobuf))
        return schema
    }()

    static func encode(_ json: String) throws -> [UInt8] {
        let document = try JSONDocument(Array(json.utf8))
        return try ProtobufJSON(schema).encode(document.root, of: document, as: "t.All")
    }

    static func decode(_ bytes: [UInt8]) throws -> String {
        var writer = JSONWriter(.compact, escaping: .minimal)
        try ProtobufJSON(schema).decode(bytes, as: "t.All", to: &writer)
        return String(decoding: writer.take(), as: UTF8.self)
    }
}

@Suite("Protobuf: JSON")
struct ProtobufJSONTests {
    @Test(
        "JSON, its bytes, and the JSON that they give",
        arguments: [
            (#"{}"#, "", #"{}"#),
            (#"{"aInt32":5,"a_string":"x"}"#, "2805 4a0178", #"{"aInt32":5,"aString":"x"}"#),
            (#"{"aInt64":"-1"}"#, "18 ffff ffff ffff ffff ff01", #"{"aInt64":"-1"}"#),
            (#"{"aInt64":1e3}"#, "18e8 07", #"{"aInt64":"1000"}"#),
            (
                #"{"aUint64":18446744073709551615}"#, "20 ffff ffff ffff ffff ff01",
                #"{"aUint64":"18446744073709551615"}"#
            ),
            (
                #"{"aDouble":1.5,"aFloat":-0.25}"#, "09 0000 0000 0000 f83f 15 0000 80be",
                #"{"aDouble":1.5,"aFloat":-0.25}"#
            ),
            (
                #"{"aDouble":"-Infinity","aFloat":"NaN"}"#, "09 0000 0000 0000 f0ff 15 0000 c07f",
                #"{"aDouble":"-Infinity","aFloat":"NaN"}"#
            ),
            (#"{"aDouble":"1e20"}"#, "09 408c b578 1daf 1544", #"{"aDouble":1e+20}"#),
            (
                #"{"aFixed64":"1","aFixed32":2}"#, "31 0100 0000 0000 0000 3d 0200 0000",
                #"{"aFixed64":"1","aFixed32":2}"#
            ),
            (
                #"{"aSfixed32":-1,"aSfixed64":-2}"#, "7d ffff ffff 8101 feff ffff ffff ffff",
                #"{"aSfixed32":-1,"aSfixed64":"-2"}"#
            ),
            (
                #"{"aSint32":-2147483648,"aSint64":-1}"#, "8801 ffff ffff 0f 9001 01",
                #"{"aSint32":-2147483648,"aSint64":"-1"}"#
            ),
            (
                #"{"aBool":true,"aUint32":4294967295}"#, "4001 68ff ffff ff0f",
                #"{"aBool":true,"aUint32":4294967295}"#
            ),
            (#"{"aBytes":"-_8"}"#, "6202 fbff", #"{"aBytes":"+/8="}"#),
            (#"{"color":"BLUE"}"#, "7002", #"{"color":"BLUE"}"#),
            (#"{"color":7}"#, "7007", #"{"color":7}"#),
            (
                #"{"colors":["RED",2,-1]}"#, "9202 0c 0102 ffff ffff ffff ffff ff01",
                #"{"colors":["RED","BLUE",-1]}"#
            ),
            (#"{"inner":{"aInt32":1}}"#, "9a01 02 2801", #"{"inner":{"aInt32":1}}"#),
            (
                #"{"numbers":[1,2,300],"words":["a",""]}"#, "a201 04 0102 ac02 aa01 0161 aa01 00",
                #"{"numbers":[1,2,300],"words":["a",""]}"#
            ),
            (
                #"{"allOfThem":[{},{"aInt32":1}]}"#, "b201 00 b201 02 2801",
                #"{"allOfThem":[{},{"aInt32":1}]}"#
            ),
            (
                #"{"names":{"b":1,"a":2}}"#, "ba01 05 0a01 62 1001 ba01 05 0a01 61 1002",
                #"{"names":{"a":2,"b":1}}"#
            ),
            (
                #"{"byNumber":{"-3":{"aBool":true}}}"#,
                "c201 0f 08fd ffff ffff ffff ffff 01 1202 4001",
                #"{"byNumber":{"-3":{"aBool":true}}}"#
            ),
            (#"{"right":"r"}"#, "d201 0172", #"{"right":"r"}"#),
            (#"{"left":1,"right":null}"#, "c801 01", #"{"left":1}"#),
            (
                #"{"time":"1970-01-01T00:00:01.5Z"}"#, "da01 08 0801 1080 cab5 ee01",
                #"{"time":"1970-01-01T00:00:01.500Z"}"#
            ),
            (
                #"{"time":"0001-01-01T00:00:00Z"}"#, "da01 0b 0880 92b8 c398 feff ffff 01",
                #"{"time":"0001-01-01T00:00:00Z"}"#
            ),
            (#"{"time":"9999-12-31T23:59:59Z"}"#, "da01 07 08ff 82d1 ffaf 07", nil),
            (
                #"{"wait":"-1.5s"}"#,
                "e201 16 08ff ffff ffff ffff ffff 01 1080 b6ca 91fe ffff ffff 01",
                #"{"wait":"-1.500s"}"#
            ),
            (#"{"wait":"3s"}"#, "e201 02 0803", #"{"wait":"3s"}"#),
            (
                #"{"anyStruct":{"a":[null,true,"x",1]}}"#,
                """
                ea01 21 0a1f 0a01 61 121a 3218 0a02 0800 0a02 2001 0a03 1a01 78 0a09 11 0000 0000
                0000 f03f
                """,
                #"{"anyStruct":{"a":[null,true,"x",1]}}"#
            ),
            (#"{"value":null}"#, "f201 02 0800", #"{"value":null}"#),
            (#"{"value":{}}"#, "f201 02 2a00", #"{"value":{}}"#),
            (
                #"{"wrapped":"0","wrappedText":"a"}"#, "fa01 00 a202 030a 0161",
                #"{"wrapped":"0","wrappedText":"a"}"#
            ),
            (
                #"{"mask":"userId,name"}"#, "8202 0f 0a07 7573 6572 5f69 64 0a04 6e61 6d65",
                #"{"mask":"userId,name"}"#
            ),
            (#"{"nothing":null,"aString":null}"#, "9802 00", #"{"nothing":null}"#),
            (#"{"flags":[true,false]}"#, "aa02 02 0100", #"{"flags":[true,false]}"#),
        ] as [(String, String, String?)])
    func table(json: String, bytes: String, back: String?) throws {
        #expect(try SampleSchema.encode(json) == hex(bytes))
        #expect(try SampleSchema.decode(hex(bytes)) == back ?? json)
    }

    @Test(
        "what is refused, and where",
        arguments: [
            (#"[]"#, "an object (t.All) is expected, found an array"),
            (#"{"x":1}"#, "x: the message t.All has no such member"),
            (#"{"aInt32":"x"}"#, "aInt32: a whole number is expected, found x"),
            (#"{"aInt32":2147483648}"#, "aInt32: the number does not fit int32"),
            (#"{"aInt32":1.5}"#, "aInt32: a whole number is expected, found 1.5"),
            (#"{"aInt32":true}"#, "aInt32: a number is expected, found a boolean"),
            (#"{"aUint32":-1}"#, "aUint32: the number does not fit uint32"),
            (#"{"aUint64":1e20}"#, "aUint64: a whole number is expected, found 1e20"),
            (#"{"aFloat":1e39}"#, "aFloat: the number 1e39 does not fit float"),
            (#"{"aDouble":"0x1p4"}"#, "aDouble: a number is expected, found \"0x1p4\""),
            (#"{"aBool":"true"}"#, "aBool: a boolean is expected, found a string"),
            (#"{"aString":1}"#, "aString: a string is expected, found a number"),
            (#"{"aBytes":"a"}"#, "aBytes: the base64 text ends within a byte"),
            (
                #"{"aBytes":"!a"}"#,
                "aBytes: column 1: this is not a character of standard base64"
            ),
            (
                #"{"color":"PINK"}"#,
                "color: \"PINK\" is not a value of t.Color; it has NONE, RED, BLUE"
            ),
            (#"{"numbers":[1,"b"]}"#, "numbers[1]: a whole number is expected, found b"),
            (#"{"numbers":1}"#, "numbers: an array is expected, found a number"),
            (#"{"words":["a",null]}"#, "words[1]: a string is expected, found null"),
            (
                #"{"allOfThem":[{"inner":{"y":1}}]}"#,
                "allOfThem[0].inner.y: the message t.All has no such member"
            ),
            (#"{"byNumber":{"a":{}}}"#, "byNumber[\"a\"]: the key must be a whole number"),
            (
                #"{"byNumber":{"1":{"z":1}}}"#,
                "byNumber[\"1\"].z: the message t.All has no such member"
            ),
            (#"{"left":1,"right":"a"}"#, "right: only one of left and right can be given"),
            (#"{"aInt32":1,"a_int32":2}"#, "a_int32: the member comes twice"),
            (#"{"time":"yesterday"}"#, "time: a time is expected, such as 2006-01-02T15:04:05Z"),
            (#"{"wait":"1m"}"#, "wait: a duration is expected, such as 1.5s or -30s"),
            (#"{"anything":1}"#, "anything: an object with \"@type\" is expected, found a number"),
            (
                #"{"anything":{"aBool":true}}"#,
                "anything: one \"@type\" is expected, which names the message's type"
            ),
            (
                #"{"anything":{"@type":"t.All"}}"#,
                "anything.@type: a name behind a slash is expected, such as "
                    + "type.googleapis.com/shop.Order"
            ),
            (#"{"anything":{"@type":1}}"#, "anything.@type: a string is expected, found a number"),
            (
                #"{"anything":{"@type":"x/t.All","aBol":true}}"#,
                "anything.aBol: the message t.All has no such member"
            ),
            (
                #"{"anything":{"@type":"x/t.Lost","name":"a"}}"#,
                "anything: the message t.Lost is not described; its bytes can be given in base64, "
                    + "as \"@value\""
            ),
            (
                #"{"anything":{"@type":"x/t.Lost","@value":"a"}}"#,
                "anything.@value: the base64 text ends within a byte"
            ),
            (
                #"{"anything":{"@type":"x/google.protobuf.Duration","value":"1m"}}"#,
                "anything.value: a duration is expected, such as 1.5s or -30s"
            ),
            (
                #"{"anything":{"@type":"x/google.protobuf.Duration","valeu":"1s"}}"#,
                "anything.valeu: only one \"value\" can stand beside \"@type\" here"
            ),
            (#"{"lost":{}}"#, "lost: the message t.Lost is not described"),
            (
                #"{"anyStruct":{"a":{"b":1e999}}}"#,
                "anyStruct.a.b: the number 1e999 does not fit double"
            ),
        ])
    func refused(json: String, message: String) {
        let error = #expect(throws: ProtobufError.self) { _ = try SampleSchema.encode(json) }
        #expect(error?.description.hasPrefix(message) == true, "\(error?.description ?? "")")
    }

    @Test(
        "what is in an Any goes by its type, or by its bytes",
        arguments: [
            (
                #"{"anything":{"@type":"a.b/t.All","aBool":true,"words":["x"]}}"#,
                "8a02 13 0a09 612e622f742e416c6c 1206 4001 aa01 0178"
            ),
            (
                #"{"anything":{"@type":"x/google.protobuf.Duration","value":"1.500s"}}"#,
                "8a02 26 0a1a 782f676f6f676c652e70726f746f6275662e4475726174696f6e"
                    + " 1208 0801 1080cab5ee01"
            ),
            (
                #"{"anything":{"@type":"x/t.Lost","@value":"CAE="}}"#,
                "8a02 0e 0a08 782f742e4c6f7374 1202 0801"
            ),
            (#"{"anything":{}}"#, "8a02 00"),
        ])
    func anything(json: String, bytes: String) throws {
        #expect(try SampleSchema.encode(json) == hex(bytes))
        #expect(try SampleSchema.decode(hex(bytes)) == json)
    }

    @Test("what is in an Any has its place in errors, and an end of its depth")
    func wrongAnything() throws {
        let error = #expect(throws: ProtobufError.self) {
            _ = try SampleSchema.decode(hex("8a02 0f 0a09 612e622f742e416c6c 1202 4801"))
        }
        #expect(error?.path == "anything.aString", "\(error?.path ?? "")")
        var deep = "{}"
        for _ in 0..<60 { deep = #"{"@type":"x/t.All","anything":\#(deep)}"# }
        let tooDeep = #expect(throws: ProtobufError.self) {
            _ = try SampleSchema.encode(#"{"anything":\#(deep)}"#)
        }
        #expect(tooDeep?.reason.contains("nest more than 100 deep") == true)
    }

    @Test("fields of other kinds than declared, of others, and several at once")
    func odd() throws {
        #expect(try SampleSchema.decode(hex("2801 2802")) == #"{"aInt32":2}"#)
        #expect(try SampleSchema.decode(hex("f83f 01")) == "{}")
        #expect(try SampleSchema.decode(hex("a201 00")) == "{}")
        // Two halves of a message; a packed list in two parts; the last of a oneof.
        #expect(
            try SampleSchema.decode(hex("9a01 02 2801 9a01 02 4001"))
                == #"{"inner":{"aInt32":1,"aBool":true}}"#)
        #expect(try SampleSchema.decode(hex("a201 02 0102 a001 03")) == #"{"numbers":[1,2,3]}"#)
        #expect(try SampleSchema.decode(hex("c801 01 d201 0172 c801 02")) == #"{"left":2}"#)
        #expect(
            try SampleSchema.decode(hex("ba01 05 0a01 61 1001 ba01 03 0a01 61"))
                == #"{"names":{"a":0}}"#)
        let error = #expect(throws: ProtobufError.self) {
            _ = try SampleSchema.decode(hex("9a01 02 4801"))
        }
        #expect(
            error?.description
                == "inner.aString: the field has the wire type varint, and bytes is expected")
    }

    @Test("unknown members may be passed over")
    func unknown() throws {
        var json = ProtobufJSON(SampleSchema.schema)
        json.ignoresUnknown = true
        let document = try JSONDocument(Array(#"{"x":[1],"aInt32":1}"#.utf8))
        #expect(try json.encode(document.root, of: document, as: "t.All") == [0x28, 1])
    }

    @Test("nesting has a bound in both directions")
    func depth() throws {
        let deep =
            String(repeating: #"{"inner":"#, count: 99) + "{}" + String(repeating: "}", count: 99)
        let bytes = try SampleSchema.encode(deep)
        #expect(try SampleSchema.decode(bytes) == deep)
        #expect(throws: ProtobufError.self) {
            _ = try SampleSchema.encode(#"{"inner":"# + deep + "}")
        }
        var writer = ProtobufWriter()
        writer.bytes(19, bytes)
        var outer = ProtobufWriter()
        outer.bytes(19, writer.output)
        #expect(throws: ProtobufError.self) { _ = try SampleSchema.decode(outer.output) }
    }

    @Test("services, methods, and files that are missing")
    func services() throws {
        #expect(SampleSchema.schema.missingFiles == ["google/protobuf/struct.proto"])
        let method = try SampleSchema.schema.method("t.Service", "Run")
        #expect(method.input == "t.All" && method.streamsAnswers && !method.streamsRequests)
        let error = #expect(throws: ProtobufError.self) {
            _ = try SampleSchema.schema.method("t.Service", "Walk")
        }
        #expect(error?.reason == "the service t.Service has no method Walk; it has Run")
        #expect(throws: ProtobufError.self) { _ = try SampleSchema.schema.method("t.Other", "Run") }
    }
}
