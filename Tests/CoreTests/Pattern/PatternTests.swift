import Testing

@testable import Core

@Suite("Regular expressions")
struct PatternTests {
    @Test(
        "what matches",
        arguments: [
            ("ok", "it is ok", true), ("ok", "it is not", false), ("", "", true),
            ("a|b", "xb", true),
            ("^ok$", "ok", true), ("^ok$", "ok\n", false), ("^b", "a\nb", false),
            ("(?m)^b$", "a\nb\nc", true), ("a.c", "a\nc", false), ("(?s)a.c", "a\nc", true),
            ("(?i)HeLLo", "hEllO", true), ("(?i)[a-c]x", "Bx", true), ("(?i)[^a]", "A", false),
            (#"\bcat\b"#, "a cat.", true), (#"\bcat\b"#, "concat", false),
            (#"\Bcat"#, "concat", true),
            (#"^\d{3}-\d{4}$"#, "555-1234", true), (#"^\d{3}-\d{4}$"#, "55-1234", false),
            ("^a{2,3}$", "aa", true), ("^a{2,3}$", "aaaa", false), ("^a{2,}$", "aaaaa", true),
            ("^a{0}b$", "b", true), ("^(ab)*$", "ababab", true), ("^(ab)*$", "aba", false),
            ("^(a|ab)(c|bcd)$", "abcd", true), ("^(a*)*$", "aaa", true), ("^(|a)+$", "aa", true),
            ("(a*)+b", "aaac", false), ("x*", "", true), ("[]a]", "]", true), ("[^]a]", "]", false),
            ("[a-]", "-", true), (#"[\d.]+x"#, "1.5x", true), (#"[^\s]"#, " \t", false),
            (#"{"ok":true}"#, #"{"ok":true}"#, true), ("a{,3}", "a{,3}", true), ("{}", "{}", true),
            ("ä+", "xääx", true), ("^.$", "€", true), ("^.$", "😀", true), ("[α-ω]", "λ", true),
            (#"\x41\x{20AC}"#, "A€", true), (#"\x{1F600}"#, "😀", true), ("a+?b", "aab", true),
            ("(?:a|b)c", "bc", true), ("(?P<n>a)b", "ab", true), ("(?<n>a)b", "ab", true),
            (#"\A\w+\z"#, "word_1", true), (#"\W"#, "word_1", false), (#"\."#, "a", false),
            (#"\$\^\/"#, "$^/", true), ("a||b", "zz", true), ("^*a", "ba", true),
        ] as [(String, String, Bool)])
    func matches(_ row: (pattern: String, text: String, isMatch: Bool)) throws {
        let pattern = try Pattern(row.pattern)
        let bytes = Array(row.text.utf8)
        #expect(pattern.matches(bytes) == row.isMatch)
        // How the text is cut up changes nothing.
        var search = PatternSearch(pattern)
        for byte in bytes { search.feed([byte]) }
        #expect(search.finish() == row.isMatch)
    }

    @Test(
        "what is refused, where and why",
        arguments: [
            ("(?=a)", 2, "looking ahead"), ("a(?<!b)c", 3, "looking ahead"),
            (#"(a)\1"#, 5, "references"),
            (#"\pL"#, 2, "Unicode classes"), ("[[:alpha:]]", 2, "POSIX classes"),
            ("*a", 1, "nothing"),
            ("a|+", 3, "nothing"), ("{2}", 1, "nothing"), ("a**", 3, "can't be repeated"),
            ("a{2}{3}", 5, "can't be repeated"), ("(a", 1, "not closed"),
            ("a)", 2, "closes no group"),
            ("[a", 1, "not closed"), ("[z-a]", 2, "lower to a higher"),
            (#"[\d-z]x[\w-\d"#, 8, "not closed"),
            ("a{3,2}", 2, "larger"), ("a{1001}", 2, "1000"), (#"a\"#, 3, "backslash"),
            (#"\q"#, 2, "not supported"), (#"\Z"#, 2, "not supported"), (#"\x4"#, 4, "hexadecimal"),
            ("a(?i)b", 3, "beginning"), ("(?x)a", 2, "begins only"), ("(?ix)a", 4, "flags"),
            ("((a{100}){100}){100}", 1, "too large"), ("((){1000}){1000}", 1, "too large"),
        ] as [(String, Int, String)])
    func refusals(_ row: (pattern: String, column: Int, words: String)) {
        let error = #expect(throws: TextError.self) { try Pattern(row.pattern) }
        #expect(error?.message.contains(row.words) == true, "\(error.map { "\($0)" } ?? "taken")")
        #expect(error?.column == row.column)
    }

    @Test("size and nesting are bounded")
    func bounds() throws {
        #expect(throws: TextError.self) { try Pattern(String(repeating: "a", count: 1_001)) }
        let deep = String(repeating: "(", count: 51) + String(repeating: ")", count: 51)
        #expect(throws: TextError.self) { try Pattern(deep) }
        _ = try Pattern(String(repeating: "(", count: 50) + String(repeating: ")", count: 50))
    }

    @Test("bytes that are not UTF-8 are U+FFFD, one or several")
    func malformed() throws {
        #expect(try Pattern(#"^a\x{FFFD}b$"#).matches([0x61, 0xff, 0x62]))
        #expect(try Pattern(#"^\x{FFFD}b$"#).matches([0xe2, 0x82, 0x62]))
        #expect(try Pattern(#"^\x{FFFD}+$"#).matches([0xc0, 0x80, 0xf5, 0xe2]))
        #expect(try Pattern(#"^\x{FFFD}$"#).matches([0xed, 0xa0, 0x80]))
    }

    @Test(
        "the work is linear in the text, counted in steps",
        arguments: [
            "(a*)*c", "(a|a)*c", "(a|aa)+$x", "((a*)*)*c", "^(a?){100}a{100}$x",
            "(.*)(.*)(.*)(.*)y",
            "[a-z]*[a-z]*[a-z]*[a-z]*1", "(x+x+)+y", "a.{200}z", "(a|b|ab)*c",
        ])
    func linear(_ text: String) throws {
        let pattern = try Pattern(text)
        func steps(_ count: Int) -> UInt64 {
            var search = PatternSearch(pattern)
            var random = PRNG(seed: 7)
            search.feed((0..<count).map { _ in random.chance(9, 10) ? 0x61 : 0x62 })
            let isMatch = search.finish()
            #expect(!isMatch, "the worst case is no match")
            return search.steps
        }
        let (small, large) = (steps(1_000), steps(10_000))
        let bound = UInt64(10_001 * 4 * Pattern.mostInstructions)
        #expect(large <= bound)
        #expect(large <= 12 * small + 100_000, "\(small) steps for 1,000, \(large) for 10,000")
    }

    @Test("agrees with a reference that tries everything")
    func reference() throws {
        var random = PRNG(seed: 20_260)
        var found = 0
        for _ in 0..<4_000 {
            var text = random.chance(1, 6) ? "^" : ""
            text += Self.expression(&random, depth: 3)
            if random.chance(1, 6) { text += "$" }
            guard let pattern = try? Pattern(text) else { continue }
            var parser = PatternParser(text)
            let tree = try parser.parse()
            for _ in 0..<6 {
                let subject = (0..<random.int(in: 0..<7)).map { _ in
                    ["a", "b", " "][random.int(in: 0..<3)]
                }.joined()
                let scalars = Array(subject.unicodeScalars)
                let expected = !Self.ends(tree, Set(0...scalars.count), scalars).isEmpty
                #expect(pattern.matches(Array(subject.utf8)) == expected, "\(text) in \(subject)")
                if expected { found += 1 }
            }
        }
        #expect(found > 2_000 && found < 22_000)
    }

    private static func expression(_ random: inout PRNG, depth: Int) -> String {
        let atoms = ["a", "b", ".", "[ab]", "[^a]", #"\b"#, #"\B"#, " ", #"\w"#]
        guard depth > 0 else { return atoms[random.int(in: 0..<atoms.count)] }
        let part = { (random: inout PRNG) in expression(&random, depth: depth - 1) }
        switch random.int(in: 0..<5) {
        case 0: return part(&random) + part(&random)
        case 1: return "(\(part(&random))|\(part(&random)))"
        case 2: return "(\(part(&random)))" + ["*", "+", "?"][random.int(in: 0..<3)]
        case 3: return "(\(part(&random))){\(random.int(in: 0..<2)),\(random.int(in: 2..<4))}"
        default: return part(&random)
        }
    }

    /// Where the text may go on behind a match that begins at one of the places.
    private static func ends(
        _ tree: PatternTree, _ starts: Set<Int>, _ text: [Unicode.Scalar]
    ) -> Set<Int> {
        switch tree {
        case .empty: return starts
        case .set(let set):
            let taken = starts.filter { $0 < text.count && set.contains(text[$0].value) }
            return Set(taken.map { $0 + 1 })
        case .assertion(let assertion):
            return starts.filter { place in
                func isWord(_ index: Int) -> Bool {
                    text.indices.contains(index) && ScalarSet.word.contains(text[index].value)
                }
                let isBoundary = isWord(place - 1) != isWord(place)
                return switch assertion {
                case .textStart, .lineStart: place == 0
                case .textEnd, .lineEnd: place == text.count
                case .wordBoundary: isBoundary
                case .noWordBoundary: !isBoundary
                }
            }
        case .sequence(let parts): return parts.reduce(starts) { ends($1, $0, text) }
        case .choice(let parts):
            return parts.reduce(into: []) { $0.formUnion(ends($1, starts, text)) }
        case .repeated(let part, let least, let most):
            var now = starts
            for _ in 0..<least { now = ends(part, now, text) }
            var all = now
            for _ in 0..<((most ?? least + text.count + 1) - least) {
                now = ends(part, now, text)
                all.formUnion(now)
            }
            return all
        }
    }
}
