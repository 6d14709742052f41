import Testing

@testable import Core

/// Texts that RFC 8259 allows, with their compact form.
private let valid: [(String, String)] = [
    ("null", "null"), ("true", "true"), ("false", "false"), ("0", "0"), ("-0", "-0"),
    ("-1", "-1"), ("10", "10"), ("1.5", "1.5"), ("0.10", "0.10"), ("1e5", "1e5"),
    ("1E+05", "1E+05"), ("-1.0e-10", "-1.0e-10"),
    ("123456789012345678901234567890", "123456789012345678901234567890"),
    ("\"\"", "\"\""), ("\"a\"", "\"a\""), (" \t\r\n1 \t\r\n", "1"), ("[]", "[]"), ("{}", "{}"),
    ("[ ]", "[]"), ("{ }", "{}"), ("[1]", "[1]"), ("[1 , 2]", "[1,2]"), ("[[],{}]", "[[],{}]"),
    ("{\"a\":1}", "{\"a\":1}"), ("{ \"a\" : 1 , \"b\" : [ ] }", "{\"a\":1,\"b\":[]}"),
    ("{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":2}"), ("{\"\":0}", "{\"\":0}"),
    ("[null,true,false]", "[null,true,false]"),
    (#""\"\\\/\b\f\n\r\t""#, #""\"\\/\b\f\n\r\t""#), (#""\u0041\u00e9\u20AC""#, "\"Aé€\""),
    (#""\ud83d\ude00""#, "\"😀\""), (#""\uD83D\uDE00x""#, "\"😀x\""),
    (#""\u0000\u001f""#, #""\u0000\u001f""#),
    (
        "\"\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}\"",
        "\"\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}\""
    ),
    (#""\u2028<>&""#, "\"\u{2028}<>&\""), ("\"1234567\"", "\"1234567\""),
    ("\"12345678\"", "\"12345678\""), ("\"123456789012345é\"", "\"123456789012345é\""),
]

/// Texts that are refused: text, offset, a part of the message.
private let invalid: [(String, Int, String)] = [
    ("", 0, "empty"), (" \n", 2, "empty"), ("nul", 0, "null"), ("nulL", 0, "null"),
    ("True", 0, "value"), ("tru", 0, "true"), ("NaN", 0, "value"), ("Infinity", 0, "value"),
    ("+1", 0, "value"), ("-", 1, "digit"), ("-a", 1, "digit"), ("01", 0, "start with 0"),
    ("-01", 1, "start with 0"), ("00", 0, "start with 0"), ("1.", 2, "digit"),
    ("1.e1", 2, "digit"), (".5", 0, "value"), ("1e", 2, "digit"), ("1e+", 3, "digit"),
    ("0x1", 1, "nothing may follow"), ("1 2", 2, "nothing may follow"),
    ("1,", 1, "nothing may follow"), ("{}}", 2, "nothing may follow"),
    ("[1]]", 3, "nothing may follow"), ("\u{feff}1", 0, "byte order mark"),
    ("1\u{a0}", 1, "nothing may follow"), ("[", 1, "inside an array"),
    ("[1", 2, "inside an array"), ("[1,", 3, "inside an array"), ("[1,]", 3, "value"),
    ("[,1]", 1, "value"), ("[1 2]", 3, "',' or ']'"), ("[1}", 2, "',' or ']'"),
    ("[}", 1, "value"), ("{", 1, "inside an object"), ("{\"a\"", 4, "inside an object"),
    ("{\"a\":", 5, "inside an object"), ("{\"a\":1", 6, "inside an object"),
    ("{\"a\":1,", 7, "inside an object"), ("{\"a\":1,}", 7, "name in quotes"),
    ("{\"a\" 1}", 5, "':'"), ("{\"a\"}", 4, "':'"), ("{\"a\":}", 5, "value"),
    ("{a:1}", 1, "name in quotes"), ("{1:1}", 1, "name in quotes"), ("{,}", 1, "name in quotes"),
    ("{\"a\":1 \"b\":2}", 7, "',' or '}'"), ("{\"a\":1]", 6, "',' or '}'"),
    ("'a'", 0, "value"), ("\"", 0, "not closed"), ("\"a", 0, "not closed"),
    ("[\"a\\", 1, "not closed"), ("\"a\\\"", 0, "not closed"), ("\"\\x\"", 1, "not an escape"),
    ("\"\\U0041\"", 1, "not an escape"), ("\"\\u004\"", 1, "four hex"),
    ("\"\\u00g0\"", 1, "four hex"), ("\"\\u\"", 1, "four hex"), ("\"\\u00", 1, "four hex"),
    ("\"\\ud800\"", 1, "first half"), ("\"\\ud800x\"", 1, "first half"),
    ("\"\\ud800\\n\"", 1, "first half"), ("\"\\ud800\\u0041\"", 1, "first half"),
    ("\"\\ud800\\ud800\"", 1, "first half"), ("\"\\udc00\"", 1, "second half"),
    ("\"\\ud800\\udbff\"", 1, "first half"), ("\"\n\"", 1, "line break"),
    ("\"\t\"", 1, "a tab"), ("\"\0\"", 1, "control"), ("\"abcdefgh\u{1f}\"", 9, "control"),
    ("// a\n1", 0, "value"), ("[1/*a*/]", 2, "',' or ']'"), ("\u{c}1", 0, "value"),
    ("[1\u{b}]", 2, "',' or ']'"), ("é", 0, "outside of ASCII"),
]

/// Bytes inside a string that are not UTF-8.
private let invalidUTF8: [[UInt8]] = [
    [0x80], [0xbf], [0xc0, 0x80], [0xc1, 0xbf], [0xc2], [0xc2, 0x20], [0xc2, 0xc2],
    [0xe0, 0x80, 0x80], [0xe0, 0x9f, 0xbf], [0xe1, 0x80], [0xe1, 0x80, 0x20], [0xed, 0xa0, 0x80],
    [0xed, 0xbf, 0xbf], [0xf0, 0x80, 0x80, 0x80], [0xf0, 0x8f, 0xbf, 0xbf], [0xf1, 0x80, 0x80],
    [0xf4, 0x90, 0x80, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xf8, 0x88, 0x80, 0x80, 0x80], [0xfe],
    [0xff],
]

@Suite("JSON documents")
struct JSONDocumentTests {
    @Test func readsWhatTheStandardAllows() throws {
        for (text, compact) in valid {
            let document = try JSONDocument(Array(text.utf8))
            #expect(String(decoding: document.compact(document.root), as: UTF8.self) == compact)
        }
    }

    @Test func refusesEverythingElseAndSaysWhere() {
        for (text, offset, message) in invalid {
            do {
                _ = try JSONDocument(Array(text.utf8))
                Issue.record("accepted \(text)")
            } catch {
                #expect(error.offset == offset, "\(text): \(error)")
                #expect(error.message.contains(message), "\(text): \(error)")
            }
        }
    }

    @Test func refusesWhatIsNotUTF8() {
        for bytes in invalidUTF8 {
            for padding in [0, 3, 7, 8, 20] {
                let text = [0x22] + [UInt8](repeating: 0x61, count: padding) + bytes + [0x22]
                do {
                    _ = try JSONDocument(text)
                    Issue.record("accepted \(bytes)")
                } catch {
                    #expect(error.offset == padding + 1, "\(bytes)")
                    #expect(error.message.contains("UTF-8"))
                }
            }
        }
    }

    @Test func everyPrefixOfAnObjectIsRefused() {
        let text = Array(#"{"a":[1,-2.5e3,"é\n\ud83d\ude00"],"b":{"c":null,"d":true}}"#.utf8)
        for length in 0..<text.count {
            #expect(throws: JSONError.self) { try JSONDocument(Array(text[..<length])) }
        }
        #expect(throws: Never.self) { try JSONDocument(text) }
    }

    /// Texts that start as many values as their length allows and end none of them.
    @Test func nothingButStarts() {
        let limits = JSONLimits(bytes: 1 << 20, depth: 100_000)
        for piece in [
            "[", "[[", "{\"\":", "[0,", "[{\"\":", "[\"\",", "[,", "{,", "[:", "0,", "::",
        ] {
            for count in Array(1...40) + [1000, 5000] {
                let text = Array(String(repeating: piece, count: count).utf8)
                #expect(throws: JSONError.self) { try JSONDocument(text, limits: limits) }
                #expect(throws: JSONError.self) { try JSONDocument(text) }
            }
        }
    }

    @Test func countsLinesAndCharacters() throws {
        do {
            _ = try JSONDocument(Array("{\n  \"é\": 1,\r\n  \"€😀\" 2\n}".utf8))
            Issue.record("accepted")
        } catch {
            #expect(error.line == 3)
            #expect(error.column == 8)
            #expect(
                error.description == "line 3, column 8: ':' must follow a member's name, found '2'")
        }
        let document = try JSONDocument(Array("[\n 1,\n  [2]]".utf8))
        let elements = Array(document.elements(of: document.root))
        #expect(document.position(of: elements[1]).line == 3)
        #expect(document.position(of: elements[1]).column == 3)
        #expect(document.error("no", at: elements[0]).description == "line 2, column 2: no")
    }

    @Test func keepsLimits() {
        let limits = JSONLimits(bytes: 20, depth: 3)
        #expect(throws: Never.self) {
            try JSONDocument(Array("[[[1]],[[{}]]]".utf8), limits: JSONLimits(bytes: 20, depth: 4))
        }
        #expect(throws: Never.self) { try JSONDocument(Array("[[[1]],[[]]]".utf8), limits: limits) }
        do {
            _ = try JSONDocument(Array("[[[[1]]]]".utf8), limits: limits)
            Issue.record("accepted")
        } catch {
            #expect(error.offset == 3)
            #expect(error.message.contains("3 deep"))
        }
        do {
            _ = try JSONDocument([UInt8](repeating: 0x20, count: 21), limits: limits)
            Issue.record("accepted")
        } catch {
            #expect(error.message.contains("the limit is 20"))
        }
        #expect(throws: JSONError.self) {
            try JSONDocument([UInt8](repeating: 0x5b, count: 1_000_000))
        }
    }

    @Test func numbersAreExact() throws {
        func number(_ text: String) throws -> (Int64?, UInt64?, String?) {
            let document = try JSONDocument(Array(text.utf8))
            let root = document.root
            return (document.int64(root), document.uint64(root), document.numberText(root))
        }
        #expect(try number("9223372036854775807") == (.max, 1 << 63 - 1, "9223372036854775807"))
        #expect(try number("9223372036854775808") == (nil, 1 << 63, "9223372036854775808"))
        #expect(try number("-9223372036854775808") == (.min, nil, "-9223372036854775808"))
        #expect(try number("-9223372036854775809") == (nil, nil, "-9223372036854775809"))
        #expect(try number("18446744073709551615") == (nil, .max, "18446744073709551615"))
        #expect(try number("18446744073709551616") == (nil, nil, "18446744073709551616"))
        #expect(try number("1.0") == (nil, nil, "1.0"))
        #expect(try number("1e2") == (nil, nil, "1e2"))
        #expect(try number("-0") == (0, nil, "-0"))
        #expect(try number("\"1\"") == (nil, nil, nil))
    }

    @Test func valuesOfOneKindAreNotOfAnother() throws {
        let text = #"[null,true,1,"s",[],{}]"#
        let document = try JSONDocument(Array(text.utf8))
        let kinds: [JSONKind] = [.null, .bool, .number, .string, .array, .object]
        for (value, kind) in zip(document.elements(of: document.root), kinds) {
            #expect(document.kind(of: value) == kind)
            #expect(document.isNull(value) == (kind == .null))
            #expect((document.bool(value) != nil) == (kind == .bool))
            #expect((document.int64(value) != nil) == (kind == .number))
            #expect((document.string(value) != nil) == (kind == .string))
            #expect((document.stringBytes(value) != nil) == (kind == .string))
            #expect(Array(document.elements(of: value)).isEmpty)
            #expect(Array(document.members(of: value)).isEmpty)
        }
        #expect(document.count(of: document.root) == 6)
    }

    @Test func walksMembersInOrderAndTheLastDuplicateWins() throws {
        let text = #"{"b":[1,[2]],"a":{"x":{}},"B":true,"b":null,"\u0061":3}"#
        let document = try JSONDocument(Array(text.utf8))
        let members = Array(document.members(of: document.root))
        #expect(members.map { document.string($0.name) } == ["b", "a", "B", "b", "a"])
        #expect(document.count(of: document.root) == 5)
        let sources = members.map { String(decoding: document.source(of: $0.value), as: UTF8.self) }
        #expect(sources == ["[1,[2]]", "{\"x\":{}}", "true", "null", "3"])
        func compact(_ value: JSONValue?) -> String? {
            value.map { String(decoding: document.compact($0), as: UTF8.self) }
        }
        #expect(compact(document.member(named: "b", of: document.root)) == "null")
        #expect(compact(document.member(named: "B", of: document.root)) == "true")
        #expect(compact(document.member(ignoringCase: "B", of: document.root)) == "null")
        #expect(compact(document.member(ignoringCase: "A", of: document.root)) == "3")
        #expect(document.member(named: "c", of: document.root) == nil)
    }

    @Test func namesAreFoundWithoutRegardToCase() throws {
        let names = JSONNames([
            "id", "name", "displayname", "timezone", "schedule", "owner", "owner_email",
            "success_count", "error_count", "last_success", "last_error", "disabled", "tags",
            "metadata", "retries", "dependent_jobs", "parent_job", "processors", "concurrency",
            "executor", "executor_config", "status", "next", "ephemeral", "starts_at",
            "expires_at", "",
        ])
        for (index, name) in names.names.enumerated() {
            let spellings = [name, name.uppercased(), "\\u006e" + name.dropFirst()]
            for spelling in spellings where name.first == "n" || !spelling.hasPrefix("\\") {
                let document = try JSONDocument(Array("{\"\(spelling)\":0}".utf8))
                for member in document.members(of: document.root) {
                    #expect(names.index(of: member.name, in: document) == index)
                }
            }
        }
        let document = try JSONDocument(Array(#"["names","nam","ſtatus","näme"]"#.utf8))
        for element in document.elements(of: document.root) {
            #expect(names.index(of: element, in: document) == nil)
        }
    }

    @Test func randomDocumentsSurviveWritingAndReading() throws {
        var random = PRNG(seed: 7)
        for _ in 0..<500 {
            var writer = JSONWriter(random.int(in: 0..<2) == 0 ? .pretty : .compact)
            writeRandomValue(&writer, &random, depth: 0)
            let first = try JSONDocument(writer.bytes)
            let compact = first.compact(first.root)
            let second = try JSONDocument(compact)
            #expect(second.compact(second.root) == compact)
            var again = JSONWriter(writer.layout)
            second.write(second.root, to: &again)
            #expect(again.bytes == writer.bytes)
        }
    }

    private func writeRandomValue(
        _ writer: inout JSONWriter, _ random: inout PRNG, depth: Int
    ) {
        switch random.int(in: 0..<(depth > 4 ? 4 : 6)) {
        case 0: writer.null()
        case 1: writer.bool(random.int(in: 0..<2) == 0)
        case 2: writer.integer(Int64(bitPattern: random.next()))
        case 3: writer.string(randomText(&random))
        case 4:
            writer.beginArray()
            for _ in 0..<random.int(in: 0..<5) {
                writeRandomValue(&writer, &random, depth: depth + 1)
            }
            writer.endArray()
        default:
            writer.beginObject()
            for _ in 0..<random.int(in: 0..<5) {
                writer.key(randomText(&random))
                writeRandomValue(&writer, &random, depth: depth + 1)
            }
            writer.endObject()
        }
    }

    private func randomText(_ random: inout PRNG) -> String {
        let alphabet: [Unicode.Scalar] = [
            "a", "Z", "\"", "\\", "\n", "\0", "<", "\u{7f}", "é", "\u{2028}", "€", "😀", "\u{ffff}",
        ]
        var text = String.UnicodeScalarView()
        for _ in 0..<random.int(in: 0..<20) {
            text.append(alphabet[random.int(in: 0..<alphabet.count)])
        }
        return String(text)
    }
}
