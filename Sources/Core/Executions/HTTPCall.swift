// What an agent hands to its HTTP client, and what it hears back.
//
// Contract, kept by the adapter and by the simulator's model alike: a call that was handed over
// ends with exactly one `ended`; `started` comes once, before everything else, unless it ends
// before; pieces of output come in order and before `ended`. Nothing of a call outlives the agent:
// when it comes back it knows that the request may have been sent, and no more.

/// One attempt to send a request.
package struct HTTPCall: Hashable, Sendable {
    package var execution: ExecutionID
    package var exchange: HTTPExchange
    /// For the whole, from `started` on.
    package var timeout: Duration?
    /// Sorted; none stands for every status.
    package var expectedStatuses: [Int]
    package var expectedBody: Pattern?
    /// Requests and heads of answers go into the output.
    package var isVerbose: Bool
    /// Ends the call (fencing) this long after the last `renewFences`; nil for those not fenced.
    package var fence: Duration?
}

package enum HTTPCallEvent: Hashable, Sendable {
    /// The request is on its way: calls beyond the limit of connections wait before that.
    case started(at: WallTime)
    case output([UInt8])
    case ended(HTTPCallEnd)
}

package struct HTTPCallEnd: Hashable, Sendable {
    package enum Cause: UInt8, Sendable {
        /// By itself: with an answer, or because there was none to be had.
        case finished
        case timedOut
        /// A `hangUp` effect.
        case stopped
        /// The fence was not renewed in time.
        case fenced
    }

    package var cause: Cause
    /// Why it failed, a sentence without the full stop; empty for a success.
    package var error: String
    package var at: WallTime

    package init(cause: Cause, error: String = "", at: WallTime) {
        self.cause = cause
        self.error = error
        self.at = at
    }
}
