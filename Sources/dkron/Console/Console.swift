internal import Adapters
internal import Core
internal import Glibc

/// Standard output as a command for people sees it.
struct Console {
    let isTerminal = isatty(STDOUT_FILENO) == 1
    let style: Style
    /// Characters of a line of the terminal; nil when there is none.
    let width: Int?

    init() {
        let wantsNone = environmentValue("NO_COLOR") != nil || environmentValue("TERM") == "dumb"
        style = Style(hasColours: isTerminal && !wantsNone)
        var size = winsize()
        let isKnown = isTerminal && ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0
        width = isKnown && size.ws_col > 0 ? Int(size.ws_col) : nil
    }

    func print(_ table: Table) {
        printOut(table.lines(style, width: width).joined(separator: "\n"))
    }

    /// Bytes as they are, as `cat` would print them.
    func write(_ bytes: some Collection<UInt8>) { writeOut(Array(bytes)) }

    /// A remark that is no part of the result.
    func note(_ text: String) { printError(printable(text)) }

    // MARK: Cells

    /// How far away a time is; `-` for none.
    func when(_ time: WallTime?) -> String {
        time.map { RelativeTime.text($0, at: Clocks.wall()) } ?? "-"
    }

    /// The time in UTC, whole seconds, with its distance.
    func timeAndDistance(_ time: WallTime) -> String {
        "\(exact(time)) (\(when(time)))"
    }

    func exact(_ time: WallTime) -> String { RFC3339.print(WallTime(seconds: time.seconds)) }
}

/// The value of a variable of the environment; nil when it is unset or empty.
func environmentValue(_ name: String) -> String? {
    guard let value = getenv(name).map({ String(cString: $0) }), !value.isEmpty else { return nil }
    return value
}
