import Testing

@testable import Core

/// Texts with what they say, as compact JSON in which every single value is a string.
private let valid: [(String, String)] = [
    ("", #""""#), ("# only a comment\n", #""""#), ("---\n", #""""#), ("a", #""a""#),
    ("a: b", #"{"a":"b"}"#), ("a: b\n", #"{"a":"b"}"#), ("a: b\r\nc: d\r\n", #"{"a":"b","c":"d"}"#),
    ("\u{FEFF}a: b\n", #"{"a":"b"}"#), ("---\na: b\n...\n# end\n", #"{"a":"b"}"#),
    ("--- # start\na: b", #"{"a":"b"}"#), ("a:\nb:   # none\n", #"{"a":"","b":""}"#),
    // Plain.
    ("a: b c # d\n", #"{"a":"b c"}"#), ("a: b#c", #"{"a":"b#c"}"#), ("a: :8080", #"{"a":":8080"}"#),
    ("a: http://b:80/?c", #"{"a":"http://b:80/?c"}"#), ("a: -1", #"{"a":"-1"}"#),
    ("a b: c", #"{"a b":"c"}"#), ("a:\tb\t# c", #"{"a":"b"}"#), ("a: b \t \n", #"{"a":"b"}"#),
    ("a: ?b", #"{"a":"?b"}"#), ("a: b - c", #"{"a":"b - c"}"#), ("a: b, c]", #"{"a":"b, c]"}"#),
    // Quoted.
    ("a: 'it''s # : \\n'", #"{"a":"it's # : \\n"}"#), ("a: \"\"", #"{"a":""}"#),
    ("'a: b': \"c\" # d", #"{"a: b":"c"}"#), ("\"a\" : b", #"{"a":"b"}"#),
    (#"a: "\t\"\\\/\x41\u00e9\U0001F600\ \n""#, #"{"a":"\t\"\\/Aé😀 \n"}"#),
    // Lists.
    ("- a\n- b\n", #"["a","b"]"#), ("-\n- a\n-\n", #"["","a",""]"#),
    ("- - a\n  - b\n", #"[["a","b"]]"#),
    ("a:\n- b\n- c\nd: e", #"{"a":["b","c"],"d":"e"}"#), ("a:\n  - b\n", #"{"a":["b"]}"#),
    ("- a: b\n  c: d\n- e", #"[{"a":"b","c":"d"},"e"]"#), ("-\n  a: b\n", #"[{"a":"b"}]"#),
    ("- # c\n  a\n", #"["a"]"#), ("a:\n\n  # c\n\n  b: c\n # d\n", #"{"a":{"b":"c"}}"#),
    // Flow.
    ("a: [b, 'c', \"d\", ]", #"{"a":["b","c","d"]}"#), ("[]", "[]"), ("{}", "{}"),
    (
        "a: {b: c, 'd':e, f: , g: [h, {i: j}]}",
        #"{"a":{"b":"c","d":"e","f":"","g":["h",{"i":"j"}]}}"#
    ),
    ("a: [\nb, # c\n  d\n]\ne: f", #"{"a":["b","d"],"e":"f"}"#),
    ("a: [b:c, d#e]", #"{"a":["b:c","d#e"]}"#),
    (#"{"a":1,"b":[true,null]}"#, #"{"a":"1","b":["true","null"]}"#),
    // Blocks.
    ("a: |\n  b\n   c\n\n  d\n\n", #"{"a":"b\n c\n\nd\n"}"#), ("a: |-\n  b\n\n", #"{"a":"b"}"#),
    ("a: |+\n  b\n\n\nc: d", #"{"a":"b\n\n\n","c":"d"}"#), ("a: |\n  b", #"{"a":"b"}"#),
    ("a: >\n  b\n  c\n\n  d\n    e\n  f\n", #"{"a":"b c\nd\n  e\nf\n"}"#),
    ("a: >-\n\n  b\n  c\n", #"{"a":"\nb c"}"#), ("a: |2-\n    b\n   c\n", #"{"a":"  b\n c"}"#),
    ("- |\n a\n- >-  # c\n  b\n", #"["a\n","b"]"#), ("a: |\nb: c", #"{"a":"","b":"c"}"#),
    ("a: |\n  # b\n  \tc\n", ##"{"a":"# b\n\tc\n"}"##), ("a:\n  |\n  b\n", #"{"a":"b\n"}"#),
]

/// Texts that are refused: line, column, a part of the message.
private let invalid: [(String, Int, Int, String)] = [
    ("a: &b c", 1, 4, "anchors"), ("a: *b", 1, 4, "aliases"), ("a: !b c", 1, 4, "tags"),
    ("&a b: c", 1, 1, "anchors"), ("%YAML 1.2\n---\n", 1, 1, "directives"),
    ("a: b\n---\nc: d", 2, 1, "several documents"), ("a: [\n---\n]", 2, 1, "several documents"),
    ("--- a", 1, 5, "the line must end"), ("a: b\n...\nc", 3, 1, "nothing may follow"),
    ("? a\n: b", 1, 1, "complex keys"), ("a: b\n[c]: d", 2, 1, "complex keys"),
    ("a: {{ GetPrivateIP }}:8946", 1, 5, "'{{' must be quoted"), ("<<: {a: b}", 1, 1, "merge keys"),
    ("a:\n\tb: c", 2, 1, "tabs"), ("a:\n  \tb: c", 2, 3, "tabs"), ("-\ta", 1, 2, "tabs"),
    ("a: [\n\tb]", 2, 1, "tabs"),
    ("a: b\nc: d\na: e", 3, 1, "\"a\" stands here twice"), ("a: {b: c, b: d}", 1, 11, "twice"),
    ("é: b\n\"é\": c", 2, 1, "twice"), ("a:\n  b: 1\n  c: 2\n  b: 3\n  c: 4", 4, 3, "\"b\""),
    ("a: b\n  c: d", 2, 3, "indented further"), ("a: b\n  c", 2, 3, "'|' or '>'"),
    ("a:\n  b: c\n d: e", 3, 2, "indented"), ("  a: b\nc: d", 2, 1, "not indented like"),
    ("- a\nb: c", 2, 1, "not indented like"), ("a: b\n- c", 2, 1, "list item"),
    ("a: - b", 1, 4, "line of its own"), ("a: b: c", 1, 5, "quoted"), ("a: 'b' c", 1, 8, "behind"),
    ("a: 'b", 1, 4, "not closed"), ("a: \"b\n  c\"", 1, 4, "not closed"),
    ("a: 'é' b", 1, 8, "behind"),
    (#"a: "\q""#, 1, 5, "no escape"), (#"a: "\xg0""#, 1, 5, "2 hexadecimal"),
    (#"a: "\ud83d""#, 1, 5, "no such character"), ("a\nb: c", 2, 1, "several lines"),
    ("a: [b", 1, 4, "not closed"), ("a: [b c: d]", 1, 8, "braces"),
    ("a: [,b]", 1, 5, "begin with ','"),
    ("a: [b,,c]", 1, 7, "between the commas"), ("a: {b}", 1, 6, "':' must follow"),
    ("a: [b\nc]", 2, 1, "',' or the closing ']'"), ("a: ]", 1, 4, "begin with ']'"),
    ("a: [|]", 1, 5, "block"), ("a: |b\n", 1, 5, "behind '|'"),
    ("a: |\n   \n  b", 3, 3, "empty line"),
    ("a: @b", 1, 4, "'@' must be quoted"), (": b", 1, 1, "key is missing"),
    ("a: b\nc", 2, 2, "':'"),
    ("a: b\u{7}", 1, 5, "control"), ("a: b\rc", 1, 5, "control"),
]

@Suite("YAML")
struct YAMLTests {
    private func json(_ node: YAMLNode) -> String {
        var writer = JSONWriter(escaping: .minimal)
        write(node, to: &writer)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    private func write(_ node: YAMLNode, to writer: inout JSONWriter) {
        switch node.content {
        case .scalar(let text, _): writer.string(text)
        case .list(let items):
            writer.beginArray()
            for item in items { write(item, to: &writer) }
            writer.endArray()
        case .map(let members):
            writer.beginObject()
            for member in members {
                writer.key(member.key)
                write(member.value, to: &writer)
            }
            writer.endObject()
        }
    }

    @Test(arguments: valid)
    func `what is accepted means what YAML says`(text: String, expected: String) throws {
        #expect(json(try YAML.parse(Array(text.utf8))) == expected)
    }

    @Test(arguments: invalid)
    func `the rest is refused by name and place`(
        text: String, line: Int, column: Int, message: String
    ) {
        let error = #expect(throws: YAMLError.self) { try YAML.parse(Array(text.utf8)) }
        #expect(error?.line == line, "\(text): \(error as Any)")
        #expect(error?.column == column, "\(text): \(error as Any)")
        #expect(error?.message.contains(message) == true, "\(text): \(error as Any)")
    }

    @Test func `values know their lines and whether they were quoted`() throws {
        let text = "# c\na: null\n\nb:\n  - 'null'\n  - ~\nc: [d,\n e]\n"
        guard case .map(let members) = try YAML.parse(Array(text.utf8)).content else {
            Issue.record("not a map")
            return
        }
        #expect(members.map(\.line) == [2, 4, 7])
        #expect(members.map(\.value.line) == [2, 5, 7])
        #expect(members[0].value.isNull)
        guard case .list(let items) = members[1].value.content,
            case .list(let flow) = members[2].value.content
        else {
            Issue.record("not lists")
            return
        }
        #expect(items.map(\.line) == [5, 6])
        #expect(items.map(\.isNull) == [false, true])
        #expect(flow.map(\.line) == [7, 8])
    }

    @Test func `depth and size are bounded`() {
        let limits = YAMLLimits(bytes: 40, depth: 3)
        for text in ["[[[a]]]", "- - - a", "a:\n b:\n  c: d", "{a: {b: {c: d}}}"] {
            #expect(throws: Never.self) { try YAML.parse(Array(text.utf8), limits: limits) }
        }
        for text in ["[[[[a]]]]", "- - - - a", "a:\n b:\n  c:\n   d: e", "- [{a: {b: c}}]"] {
            let error = #expect(throws: YAMLError.self) {
                try YAML.parse(Array(text.utf8), limits: limits)
            }
            #expect(error?.message.hasPrefix("more than 3 ") == true)
        }
        let long = [UInt8](repeating: UInt8(ascii: "a"), count: 41)
        #expect(throws: YAMLError.self) { try YAML.parse(long, limits: limits) }
        let brackets = [UInt8](repeating: UInt8(ascii: "["), count: 1 << 18)
        #expect(throws: YAMLError.self) { try YAML.parse(brackets) }
    }

    @Test func `bytes that are not UTF-8 have a place`() {
        let error = #expect(throws: YAMLError.self) {
            try YAML.parse(Array("a: b\nc: ".utf8) + [0xC3, 0x28])
        }
        #expect(error?.description == "line 2, column 4: the text is not UTF-8")
    }
}
