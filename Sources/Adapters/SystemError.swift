internal import Glibc

/// A system call that failed: which one, on what, and the kernel's reason.
package struct SystemError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was being done, in words that stand before the reason ("open /var/lib/dkron/lock").
    package var action: String
    /// The value of `errno`.
    package var code: Int32

    package init(_ action: String, code: Int32) {
        self.action = action
        self.code = code
    }

    /// Takes the current value of `errno`: call it right after the failed call.
    static func last(_ action: String) -> SystemError { SystemError(action, code: errno) }

    package var reason: String { errorText(code) }
    package var description: String { "\(action): \(reason)" }
}

/// Repeats a system call for as long as a signal interrupts it.
@inline(__always)
func retryingInterrupted<Result: SignedInteger>(_ call: () -> Result) -> Result {
    while true {
        let result = call()
        if result != -1 || errno != EINTR { return result }
    }
}

/// What the C library says about an `errno`.
func errorText(_ code: Int32) -> String { String(cString: strerror(code)) }
