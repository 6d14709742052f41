// How a simulated command behaves. It is data in the job's own command text, so that a plan says
// everything: `sim run=exp:8s out=300 fail=1/5 signal=1/20 refuse=1/50 hold=20s ignoreterm=1/2`.

import Core

struct Ratio: Hashable, Sendable {
    var numerator: UInt64
    var denominator: UInt64

    static let never = Ratio(numerator: 0, denominator: 1)

    /// `a/b`, or `0` and `1` for never and always.
    init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard let first = UInt64(parts[0]) else { return nil }
        numerator = first
        denominator = 1
        if parts.count == 2 {
            guard let second = UInt64(parts[1]), second > 0 else { return nil }
            denominator = second
        } else if parts.count != 1 || first > 1 {
            return nil
        }
    }

    init(numerator: UInt64, denominator: UInt64) {
        self.numerator = numerator
        self.denominator = denominator
    }

    var text: String { denominator == 1 ? "\(numerator)" : "\(numerator)/\(denominator)" }
}

struct Behaviour: Hashable, Sendable {
    enum Length: Hashable, Sendable {
        case fixed(Duration)
        case exponential(mean: Duration)
        case forever
    }

    var length = Length.fixed(.milliseconds(10))
    /// Bytes of output of a run that gets to its end.
    var output = 0
    /// The output is arbitrary bytes instead of text.
    var isBinary = false
    /// Exits with another status than zero.
    var fails = Ratio.never
    /// Ends by a signal of its own.
    var diesOfSignal = Ratio.never
    /// Can't be started.
    var refuses = Ratio.never
    /// A grandchild keeps the output open for so long after the command's end.
    var holdsOutput = Duration.zero
    /// Does not end at the polite signal.
    var ignoresTerm = Ratio.never

    init() {}

    /// Reads the words after `sim` in a command; nil if the command is not one of ours.
    init?(command: [String]) {
        let words = command.flatMap { $0.split(separator: " ") }
        guard let first = words.firstIndex(of: "sim") else { return nil }
        for word in words[(first + 1)...] {
            let parts = word.split(separator: "=", maxSplits: 1)
            guard parts.count == 2 else { continue }
            let value = parts[1]
            switch parts[0] {
            case "run": length = Self.length(value) ?? length
            case "out": output = Int(value) ?? output
            case "bin": isBinary = value == "1"
            case "fail": fails = Ratio(value) ?? fails
            case "signal": diesOfSignal = Ratio(value) ?? diesOfSignal
            case "refuse": refuses = Ratio(value) ?? refuses
            case "hold": holdsOutput = parseDuration(value) ?? holdsOutput
            case "ignoreterm": ignoresTerm = Ratio(value) ?? ignoresTerm
            default: continue
            }
        }
    }

    private static func length(_ text: Substring) -> Length? {
        if text == "forever" { return .forever }
        if text.hasPrefix("exp:") {
            return parseDuration(text.dropFirst(4)).map { .exponential(mean: $0) }
        }
        return parseDuration(text).map { .fixed($0) }
    }
}

/// `12`, `1.5` followed by `ns`, `us`, `ms`, `s`, `m`, `h` or `d`: the durations of plans, in one
/// unit each.
func parseDuration(_ text: some StringProtocol) -> Duration? {
    let units: [(String, Int64)] = [
        ("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000),
        ("h", 3_600_000_000_000), ("d", 86_400_000_000_000),
    ]
    for (suffix, unit) in units where text.hasSuffix(suffix) {
        var digits = text.dropLast(suffix.count)
        var sign: Int64 = 1
        if digits.first == "-" || digits.first == "+" {
            sign = digits.first == "-" ? -1 : 1
            digits = digits.dropFirst()
        }
        let parts = digits.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count <= 2, let whole = Int64(parts[0]) else { continue }
        var nanoseconds = whole.multipliedReportingOverflow(by: unit)
        guard !nanoseconds.overflow else { return nil }
        if parts.count == 2 {
            var scale = unit
            for digit in parts[1] {
                guard let value = digit.wholeNumberValue else { return nil }
                scale /= 10
                nanoseconds.partialValue += Int64(value) * scale
            }
        }
        return .nanoseconds(sign * nanoseconds.partialValue)
    }
    return nil
}

/// The shortest text that `parseDuration` reads back.
func durationText(_ duration: Duration) -> String {
    let n = duration.nanoseconds
    let units: [(String, Int64)] = [
        ("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000),
        ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1),
    ]
    for (name, unit) in units where n % unit == 0 && n != 0 { return "\(n / unit)\(name)" }
    return "0s"
}
