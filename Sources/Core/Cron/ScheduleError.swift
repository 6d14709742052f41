/// Why a text is not a schedule.
package struct ScheduleError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The first character at fault, counted from 1 in Unicode scalars.
    package let column: Int
    /// What is wrong and what is allowed, without the place and without the full stop.
    package let message: String

    package init(column: Int, _ message: String) {
        self.column = column
        self.message = message
    }

    package var description: String { "column \(column): \(message)" }
}
