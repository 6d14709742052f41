// The table of explained differences, and what is wrong with it.

/// Rows of `http-differences.tsv`: a difference and the key of the sentence that explains it, or
/// `follows N …`, where earlier requests, which the two took differently, left another state.
struct Explanations {
    struct Row {
        var difference: Difference
        var why: String
        var line: Int
    }

    private(set) var rows: [Row] = []
    /// What is wrong with the rows themselves.
    private(set) var faults: [String] = []

    /// - Parameter sentences: the keys of the page for people who come from Dkron.
    init(_ table: Table, sentences: Set<String>) {
        for row in table.rows {
            guard row.cells.count == 6, let number = Int(row.cells[0]) else {
                faults.append("line \(row.line): not six cells with a number first")
                continue
            }
            let difference = Difference(
                number: number, request: row.cells[1], place: row.cells[2],
                recorded: row.cells[3], ours: row.cells[4])
            rows.append(Row(difference: difference, why: row.cells[5], line: row.line))
        }
        check(sentences)
    }

    private mutating func check(_ sentences: Set<String>) {
        var seen: Set<Difference> = []
        for row in rows {
            let place = row.difference.place
            if place.contains("*") || place.contains("?") {
                faults.append("line \(row.line): a place must be named, not described: \(place)")
            }
            if !seen.insert(row.difference).inserted {
                faults.append("line \(row.line): stands there twice")
            }
            if row.why.hasPrefix("follows ") {
                let causes = row.why.split(separator: " ").dropFirst().map { Int($0) ?? 0 }
                let known = rows.filter {
                    !$0.why.hasPrefix("follows ") && $0.difference.number < row.difference.number
                }
                for cause in causes where !known.contains(where: { $0.difference.number == cause })
                {
                    faults.append("line \(row.line): no earlier row of request \(cause)")
                }
            } else if !sentences.contains(row.why) {
                faults.append("line \(row.line): nothing explains \"\(row.why)\"")
            }
        }
        if rows.map(\.difference) != rows.map(\.difference).sorted() {
            faults.append("the rows are not sorted by number and place")
        }
    }

    /// Differences without a row, and rows without a difference, as lines of the table.
    func unmatched(_ differences: [Difference]) -> [String] {
        let (found, explained) = (Set(differences), Set(rows.map(\.difference)))
        return found.subtracting(explained).sorted().map { "unexplained: \($0.cells)" }
            + rows.filter { !found.contains($0.difference) }.map {
                "not needed, line \($0.line): \($0.difference.cells)"
            }
    }
}
