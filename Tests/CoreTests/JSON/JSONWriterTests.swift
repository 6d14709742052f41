import Testing

@testable import Core

@Suite("JSON writer")
struct JSONWriterTests {
    private func written(
        _ layout: JSONWriter.Layout = .compact, _ body: (inout JSONWriter) -> Void
    ) -> String {
        var writer = JSONWriter(layout)
        body(&writer)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    private func sample(_ writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("name", "a")
        writer.key("tags")
        writer.beginObject()
        writer.endObject()
        writer.key("list")
        writer.beginArray()
        writer.integer(1)
        writer.null()
        writer.beginArray()
        writer.endArray()
        writer.beginObject()
        writer.member("x", true)
        writer.endObject()
        writer.endArray()
        writer.member("n", -5)
        writer.key("raw")
        writer.raw(Array("[1, 2]".utf8))
        writer.endObject()
    }

    @Test func compact() {
        let text = #"{"name":"a","tags":{},"list":[1,null,[],{"x":true}],"n":-5,"raw":[1, 2]}"#
        #expect(written { sample(&$0) } == text)
    }

    @Test func pretty() {
        let text = """
            {
                "name": "a",
                "tags": {},
                "list": [
                    1,
                    null,
                    [],
                    {
                        "x": true
                    }
                ],
                "n": -5,
                "raw": [1, 2]
            }
            """
        #expect(written(.pretty) { sample(&$0) } == text)
        #expect(
            written(.pretty) {
                $0.beginArray(); $0.endArray()
            } == "[]")
        #expect(written(.pretty) { $0.string("x") } == "\"x\"")
    }

    @Test func integers() {
        #expect(written { $0.integer(Int64.min) } == "-9223372036854775808")
        #expect(written { $0.integer(Int64.max) } == "9223372036854775807")
        #expect(written { $0.integer(UInt64.max) } == "18446744073709551615")
        #expect(written { $0.integer(0) } == "0")
        #expect(written { $0.integer(UInt8(7)) } == "7")
        #expect(written { $0.integer(Int8.min) } == "-128")
    }

    @Test func escapesAsGoDoes() {
        let cases: [(String, String)] = [
            ("a\"b\\c/d", #"a\"b\\c/d"#), ("<a>&'", #"\u003ca\u003e\u0026'"#),
            ("\u{2028}\u{2029}\u{2027}\u{202a}", "\\u2028\\u2029\u{2027}\u{202a}"),
            ("\u{8}\u{c}\n\r\t", #"\b\f\n\r\t"#),
            ("\0\u{1}\u{b}\u{1f}", #"\u0000\u0001\u000b\u001f"#),
            ("\u{7f}é€😀", "\u{7f}é€😀"),
        ]
        for (text, escaped) in cases {
            #expect(written { $0.string(text) } == "\"\(escaped)\"")
            #expect(written { $0.string(Array(text.utf8)) } == "\"\(escaped)\"")
        }
        let keyed = written {
            $0.beginObject()
            $0.member("<\n", 1)
            $0.endObject()
        }
        #expect(keyed == #"{"\u003c\n":1}"#)
    }

    @Test func bytesThatAreNotUTF8AreReplacedOneByOne() {
        let cases: [([UInt8], String)] = [
            ([0x61, 0xff, 0x62], #"a\ufffdb"#), ([0xe2, 0x80], #"\ufffd\ufffd"#),
            ([0xe2, 0x80, 0x41], #"\ufffd\ufffdA"#), ([0xed, 0xa0, 0x80], #"\ufffd\ufffd\ufffd"#),
            ([0xc3, 0xa9, 0xc3], #"é\ufffd"#), ([0xf0, 0x9f, 0x98], #"\ufffd\ufffd\ufffd"#),
        ]
        for (bytes, escaped) in cases {
            #expect(written { $0.string(bytes) } == "\"\(escaped)\"")
        }
        #expect(written { $0.string("\u{fffd}") } == "\"\u{fffd}\"")
    }

    @Test func minimalEscapingKeepsTextReadable() {
        var writer = JSONWriter(escaping: .minimal)
        writer.string("<&>\u{2028}\n\"")
        #expect(String(decoding: writer.bytes, as: UTF8.self) == "\"<&>\u{2028}\\n\\\"\"")
    }

    @Test func longListsLeaveInPieces() {
        for layout in [JSONWriter.Layout.compact, .pretty] {
            var whole = JSONWriter(layout)
            var pieces = JSONWriter(layout)
            var taken: [UInt8] = []
            whole.beginArray()
            pieces.beginArray()
            for number in 0..<5 {
                whole.integer(number)
                pieces.integer(number)
                taken += pieces.take()
            }
            whole.endArray()
            pieces.endArray()
            taken += pieces.take()
            #expect(taken == whole.bytes)
            #expect(pieces.bytes.isEmpty)
        }
    }
}
