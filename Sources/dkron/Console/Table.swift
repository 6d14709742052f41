/// Columns of text. Each is as wide as its widest cell; the last has no padding, and is cut where
/// the line would not fit.
struct Table {
    /// A cell with what its colour should say.
    struct Cell: ExpressibleByStringLiteral {
        var text: String
        var tone = Tone.plain

        init(_ text: String, _ tone: Tone = .plain) {
            self.text = printable(text)
            self.tone = tone
        }

        init(stringLiteral text: String) { self.init(text) }
    }

    private let titles: [String]
    private var rows: [[Cell]] = []

    /// - Parameter titles: of the columns; with none there is no first line.
    init(_ titles: [String] = []) { self.titles = titles }

    var isEmpty: Bool { rows.isEmpty }

    mutating func add(_ cells: Cell...) { rows.append(cells) }

    /// The lines without their ends.
    ///
    /// - Parameter width: how many characters a line may have; nil for any number.
    func lines(_ style: Style, width: Int? = nil) -> [String] {
        var all = rows
        if !titles.isEmpty { all.insert(titles.map { Cell($0, .faint) }, at: 0) }
        var widths: [Int] = []
        for row in all {
            for (column, cell) in row.enumerated() {
                if column == widths.count { widths.append(0) }
                widths[column] = max(widths[column], cell.text.count)
            }
        }
        return all.map { row in
            var line = ""
            var used = 0
            for (column, cell) in row.enumerated() {
                let isLast = column == row.count - 1
                let text = isLast ? Self.cut(cell.text, width.map { $0 - used }) : cell.text
                line += style.paint(text, cell.tone)
                guard !isLast else { break }
                line += String(repeating: " ", count: widths[column] - text.count + Self.gap)
                used += widths[column] + Self.gap
            }
            // An empty last cell would leave blanks.
            while line.last == " " { line.removeLast() }
            return line
        }
    }

    private static let gap = 2

    private static func cut(_ text: String, _ room: Int?) -> String {
        // Below ten characters a cut tells nothing, so that such a line is left to the terminal.
        guard let room, room >= 10, text.count > room else { return text }
        return text.prefix(room - 1) + "…"
    }
}

/// What a colour says.
enum Tone {
    case plain, good, bad, active, faint
}

/// Whether and how text is coloured.
struct Style {
    var hasColours: Bool

    func paint(_ text: String, _ tone: Tone) -> String {
        guard hasColours, !text.isEmpty else { return text }
        let code =
            switch tone {
            case .plain: ""
            case .good: "32"
            case .bad: "31"
            case .active: "33"
            case .faint: "2"
            }
        return code.isEmpty ? text : "\u{1b}[\(code)m\(text)\u{1b}[0m"
    }
}

/// Text from elsewhere on one line: control characters, which could rewrite the screen, become
/// spaces, and so do line ends.
func printable(_ text: String) -> String {
    let isClean = text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f && $0 != 0xc2 }
    if isClean { return text }
    var scalars = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
        let isControl = scalar.value < 0x20 || 0x7f...0x9f ~= scalar.value
        scalars.append(isControl ? " " : scalar)
    }
    return String(scalars)
}
