import Adapters
import Core
import Testing

@testable import dkron

@Suite("Relative times")
struct RelativeTimeTests {
    private static let now = WallTime(seconds: 1_800_000_000)

    @Test(
        "how far away",
        arguments: [
            (0, "now"), (1, "in 1s"), (-1, "1s ago"), (59, "in 59s"), (60, "in 1m"),
            (239, "in 3m"), (-3_599, "59m ago"), (-7_200, "2h ago"), (7_199, "in 1h"),
            (47 * 3_600, "in 47h"), (48 * 3_600, "in 2d"), (-99 * 86_400, "99d ago"),
            (100 * 86_400, "2027-04-25"), (-100 * 86_400, "2026-10-07"),
        ] as [(Int64, String)])
    func distance(seconds: Int64, text: String) {
        #expect(RelativeTime.text(Self.now + .seconds(seconds), at: Self.now) == text)
    }

    @Test("less than a second is now, and the ends of time are dates")
    func extremes() {
        #expect(RelativeTime.text(Self.now + .milliseconds(999), at: Self.now) == "now")
        #expect(RelativeTime.text(Self.now - .milliseconds(999), at: Self.now) == "now")
        #expect(RelativeTime.text(.distantPast, at: .distantFuture) == "1677-09-21")
        #expect(RelativeTime.text(.distantFuture, at: .distantPast) == "2262-04-11")
    }

    @Test(
        "lengths",
        arguments: [
            (0, "0ms"), (999, "999ms"), (1_000, "1.00s"), (2_056, "2.05s"), (9_999, "9.99s"),
            (10_000, "10s"), (59_999, "59s"), (60_000, "1m"), (200_000, "3m20s"),
            (7_500_000, "2h5m"), (349_200_000, "4d1h"), (-1_500, "-1.50s"),
        ] as [(Int64, String)])
    func length(milliseconds: Int64, text: String) {
        #expect(RelativeTime.length(.milliseconds(milliseconds)) == text)
    }
}

@Suite("Tables")
struct TableTests {
    private static func table() -> Table {
        var table = Table(["NAME", "STATE", "REASON"])
        table.add("a", Table.Cell("running", .active), "")
        table.add("größer", Table.Cell("failed", .bad), "exit status 3 of the command")
        return table
    }

    @Test("columns are as wide as their widest cell, and no line ends in blanks")
    func columns() {
        #expect(
            Self.table().lines(Style(hasColours: false)) == [
                "NAME    STATE    REASON",
                "a       running",
                "größer  failed   exit status 3 of the command",
            ])
    }

    @Test("a line is cut where the terminal ends, unless that leaves next to nothing")
    func width() {
        let plain = Style(hasColours: false)
        #expect(Self.table().lines(plain, width: 30)[2] == "größer  failed   exit status …")
        #expect(Self.table().lines(plain, width: 20)[2].hasSuffix("command"))
    }

    @Test("colours surround the text and not the padding")
    func colours() {
        let lines = Self.table().lines(Style(hasColours: true))
        #expect(lines[1] == "a       \u{1b}[33mrunning\u{1b}[0m")
        #expect(lines[2].contains("\u{1b}[31mfailed\u{1b}[0m   exit"))
    }

    @Test("what comes from elsewhere can't rewrite the screen")
    func controls() {
        var table = Table()
        table.add("a\u{1b}[2Jb\nc\u{9b}d\u{7f}é", "x")
        #expect(table.lines(Style(hasColours: false)) == ["a [2Jb c d é  x"])
    }
}

@Suite("Guesses")
struct SuggestionTests {
    @Test(
        "what was meant",
        arguments: [
            ("lsit", "list"), ("executoins", "executions"), ("Delete", "delete"), ("rnu", "run"),
            ("log", "logs"), ("xyz", nil), ("", nil), ("restore", nil),
        ] as [(String, String?)])
    func nearest(word: String, expected: String?) {
        let known = ["list", "executions", "delete", "run", "logs"]
        #expect(Suggestion.nearest(to: word, among: known) == expected)
    }

    @Test("distances")
    func distance() {
        func distance(_ a: String, _ b: String) -> Int {
            Suggestion.distance(Array(a), Array(b))
        }
        #expect(distance("", "") == 0 && distance("", "abc") == 3 && distance("abc", "") == 3)
        #expect(distance("kitten", "sitting") == 3 && distance("ab", "ba") == 1)
    }
}
