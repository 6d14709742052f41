import Glibc
import Testing

extension EndToEnd {
    @Suite("Replay", .serialized)
    struct ReplayTests {
        static let tables = "Tests/EndToEndTests/Tables/"
        static let page = "docs/dkron.md"

        /// The keys that begin the rows of the page's first table.
        static let sentences = Set(
            Table.file(page).split(separator: "\n## ")[0].split(separator: "\n").compactMap {
                line -> String? in
                let cells = line.split(separator: "|", omittingEmptySubsequences: false)
                    .map { $0.drop { $0 == " " } }
                guard cells.count == 4, cells[1].hasPrefix("`") else { return nil }
                return String(cells[1].dropFirst().prefix { $0 != "`" })
            })

        @Test("a recorded Dkron and this server differ only where a row explains it")
        func replay() throws {
            let rules = try MemberRules(Table(Table.file(Self.tables + "http-members.tsv")))
            let explanations = Explanations(
                Table(Table.file(Self.tables + "http-differences.tsv")),
                sentences: Self.sentences)
            let record = Table.file(Self.tables + "http-exchanges.jsonl")
            try #require(record.split(separator: "\n").count == 114)
            var comparison: Comparison?
            for _ in 0..<3 where comparison == nil {
                comparison = try Replay.run(record, rules)
            }
            let result = try #require(comparison, "the machine is too slow for the record")
            #expect(result.faults == [])
            #expect(explanations.faults == [])
            let unmatched = explanations.unmatched(result.differences)
            if let path = getenv("REPLAY_DIFFERENCES") {
                writeText(
                    result.differences.sorted().map { $0.cells + "\n" }.joined(),
                    to: String(cString: path))
            }
            #expect(unmatched.isEmpty, "\n\(unmatched.joined(separator: "\n"))")
            let needless = rules.rules.filter { !result.used.contains($0.line) }
            #expect(needless.map { "line \($0.line): \($0.shape) \($0.member)" } == [])
            let cited = Set(explanations.rows.map(\.why) + rules.rules.map(\.why))
            #expect(Self.sentences.subtracting(cited).sorted() == [])
            #expect(rules.rules.allSatisfy { $0.why.isEmpty || Self.sentences.contains($0.why) })
        }
    }
}
