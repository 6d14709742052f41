// What a document promises is shown by tests that exist.

import Testing

@Suite("Tidy: evidence")
struct EvidenceTests {
    private static let page = "docs/coming-from-dkron.md"

    /// Rows of the tables of sharp edges, by their letters and numbers.
    private static let rows: [(letter: Character, number: Int, cells: [Substring])] =
        SourceTree.text(page).split(separator: "\n").compactMap { line in
            let cells = line.split(separator: "|").map { $0.drop { $0 == " " } }
            guard line.hasPrefix("| "), let first = cells.first, let letter = first.first,
                letter.isUppercase, let number = Int(first.dropFirst().prefix { $0.isNumber })
            else { return nil }
            return (letter, number, cells)
        }

    @Test("every sharp edge has one row, in order")
    func complete() {
        for (letter, count) in [("J", 51), ("A", 36), ("C", 20), ("E", 28), ("P", 12), ("K", 34)] {
            let numbers = Self.rows.filter { "\($0.letter)" == letter }.map(\.number)
            #expect(numbers == Array(1...count), "\(letter)")
        }
    }

    @Test("a row says what became of its edge, and names tests")
    func verdicts() {
        let verdicts: Set = ["mended", "in part", "kept"]
        for row in Self.rows {
            let place = "\(row.letter)\(row.number)"
            let verdict = row.cells.count > 2 ? String(row.cells[2].dropLast()) : ""
            #expect(verdicts.contains(verdict), "\(place): \(verdict)")
            #expect(row.cells.contains { $0.contains(".swift`") }, "\(place)")
        }
    }

    @Test("each test that the page names exists")
    func tests() {
        let named = Self.named()
        #expect(named.count > 150)
        let broken = named.filter { file, name in
            let paths = SourceTree.paths.filter { $0.hasSuffix("/" + file) }
            guard paths.count == 1, let path = paths.first,
                path.hasPrefix("Tests/") || path.hasPrefix("SimTests/")
            else { return true }
            let text = SourceTree.text(path)
            let forms = ["\"\(name)\"", "func \(name)(", "func `\(name)`("]
            return !forms.contains { text.contains($0) }
        }
        #expect(broken.map { "\($0.file) \($0.name)" } == [])
    }

    /// Every `File.swift` "name" of the page.
    private static func named() -> [(file: Substring, name: Substring)] {
        let pieces = SourceTree.text(page).split(separator: "`")
        return zip(pieces, pieces.dropFirst()).compactMap { file, rest in
            guard file.hasSuffix(".swift"), rest.hasPrefix(" \"") else { return nil }
            return (file, rest.dropFirst(2).prefix { $0 != "\"" })
        }
    }
}
