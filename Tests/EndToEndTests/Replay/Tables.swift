// The tables beside the tests, found by the path of this file.

/// A table of cells separated by tabs; lines that begin with `#` say what it is.
struct Table {
    struct Row {
        var line: Int
        var cells: [String]
    }

    let rows: [Row]

    init(_ text: String) {
        rows = text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
            .filter { !$0.element.isEmpty && !$0.element.hasPrefix("#") }
            .map { index, line in
                let cells = line.split(separator: "\t", omittingEmptySubsequences: false)
                return Row(line: index + 1, cells: cells.map(String.init))
            }
    }

    /// The text of a file of the repository, by its path from the root.
    static func file(_ path: String) -> String {
        let root = #filePath.split(separator: "/", omittingEmptySubsequences: false)
            .dropLast(["Tests", "EndToEndTests", "Replay", "Tables.swift"].count)
        return readText(root.joined(separator: "/") + "/" + path)
    }

    /// A value as a cell: what is not visible is written out.
    static func cell(_ text: String) -> String {
        text.unicodeScalars.reduce(into: "") { cell, scalar in
            switch scalar {
            case "\n": cell += "\\n"
            case "\t": cell += "\\t"
            case "\u{0}"..."\u{1f}", "\u{7f}"..."\u{9f}":
                cell += "\\u{\(String(scalar.value, radix: 16))}"
            default: cell.unicodeScalars.append(scalar)
            }
        }
    }
}
