internal import Core

/// Times as people say them: how far away, in one unit.
enum RelativeTime {
    /// `in 3m`, `2h ago`, `now`; the UTC date when it is more than 99 days away. Cut, not rounded:
    /// "in 2h" means that there are at least two hours.
    static func text(_ time: WallTime, at now: WallTime) -> String {
        let distance = time - now
        let seconds = distance.wholeSeconds.magnitude
        if seconds == 0 { return "now" }
        if seconds >= 100 * 86_400 { return String(RFC3339.print(time).prefix(10)) }
        let length = coarse(seconds)
        return distance > .zero ? "in \(length)" : "\(length) ago"
    }

    /// `40ms`, `2.50s`, `12s`, `3m20s`, `2h5m`, `4d1h`: two units above a minute.
    static func length(_ duration: Duration) -> String {
        if duration < .zero { return "-" + length(.zero - duration) }
        let milliseconds = duration.wholeMilliseconds
        if milliseconds < 1_000 { return "\(milliseconds)ms" }
        if milliseconds < 10_000 {
            let hundredths = milliseconds / 10 % 100
            return "\(milliseconds / 1_000).\(hundredths < 10 ? "0" : "")\(hundredths)s"
        }
        let seconds = duration.wholeSeconds
        switch seconds {
        case ..<60: return "\(seconds)s"
        case ..<3_600: return two(seconds / 60, "m", seconds % 60, "s")
        case ..<86_400: return two(seconds / 3_600, "h", seconds % 3_600 / 60, "m")
        default: return two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h")
        }
    }

    private static func two(_ large: Int64, _ a: String, _ small: Int64, _ b: String) -> String {
        small == 0 ? "\(large)\(a)" : "\(large)\(a)\(small)\(b)"
    }

    private static func coarse(_ seconds: UInt64) -> String {
        switch seconds {
        case ..<60: "\(seconds)s"
        case ..<3_600: "\(seconds / 60)m"
        case ..<(48 * 3_600): "\(seconds / 3_600)h"
        default: "\(seconds / 86_400)d"
        }
    }
}
