/// What becomes of local times that daylight saving skips or repeats (the job field `dst`).
package enum DSTPolicy: UInt8, CaseIterable, Sendable {
    /// A skipped time fires at the first instant after the gap, a repeated one the first time.
    /// Schedules whose hours all begin with `*` or `?` follow `literal`: they repeat.
    case once
    /// Fires whenever the local clock shows a matching time: never in a gap, twice in an overlap.
    case literal

    /// Reads the job field; nil for other words than `once` and `literal`.
    package init?(text: String) {
        switch text {
        case "once": self = .once
        case "literal": self = .literal
        default: return nil
        }
    }

    package var text: String {
        switch self {
        case .once: "once"
        case .literal: "literal"
        }
    }
}
