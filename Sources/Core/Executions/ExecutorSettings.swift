// What the settings of executors have in common.

/// A setting that an executor refuses.
package struct ExecutorSettingError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The key of `executor_config` at fault.
    package let key: String
    /// A sentence without the full stop, with the column where one is at fault.
    package let message: String

    package init(key: String, message: String) {
        self.key = key
        self.message = message
    }

    package var description: String { "\(key): \(message)" }
}

/// Time-outs: whole seconds, or a Go duration; 0 is none.
enum TimeoutText {
    static func parse(
        _ text: String?, key: String
    ) throws(ExecutorSettingError) -> Duration? {
        guard let text else { return nil }
        let duration: Duration
        if text.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) {
            guard let seconds = Int64(text), seconds <= Duration.max.wholeSeconds else {
                throw ExecutorSettingError(
                    key: key,
                    message: "\(text) seconds are too many; at most "
                        + "\(Duration.max.wholeSeconds) are allowed")
            }
            duration = .seconds(seconds)
        } else {
            do throws(TextError) { duration = try DurationText.parse(text) } catch {
                throw ExecutorSettingError(key: key, message: error.description)
            }
        }
        guard duration >= .zero else {
            throw ExecutorSettingError(key: key, message: "\(text) is negative")
        }
        return duration == .zero ? nil : duration
    }
}
