// What an agent hears of the calls that it makes over the network, and who makes them.
//
// Contract, kept by the adapter and by the simulator's model alike: a call that was handed over
// ends with exactly one `ended`; `started` comes once, before everything else, unless it ends
// before; pieces of output come in order and before `ended`. Nothing of a call outlives the agent:
// when it comes back it knows that the request may have been sent, and no more.

package enum CallEvent: Hashable, Sendable {
    /// It is under way: calls beyond the limit of connections wait before that.
    case started(at: WallTime)
    case output([UInt8])
    /// All of the output: what came piece by piece is part of it, or not wanted any more.
    case wholeOutput([UInt8])
    case ended(CallEnd)

    var isOutput: Bool {
        switch self {
        case .output, .wholeOutput: true
        case .started, .ended: false
        }
    }
}

package struct CallEnd: Hashable, Sendable {
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
    /// Of one that was ended from outside: what became of what it had started, if that is known.
    package var error: String
    /// Of a command that somebody else ran, when it exited.
    package var exitCode: Int32?
    package var at: WallTime

    package init(
        cause: Cause, error: String = "", exitCode: Int32? = nil, at: WallTime
    ) {
        self.cause = cause
        self.error = error
        self.exitCode = exitCode
        self.at = at
    }
}

/// What is to be done and told, in order.
package struct CallOutput: Sendable {
    package var sockets: [SocketAction] = []
    package var news: [(execution: ExecutionID, event: CallEvent)] = []

    package init() {}
}

/// Makes the calls of one kind: decides everything and has no socket. Production runs it over real
/// ones, the simulator over its model of a network.
package protocol OutgoingCalls: Sendable {
    /// One execution's call.
    associatedtype Attempt: Sendable

    /// Calls that have not ended.
    var count: Int { get }
    /// Those of them that wait for others to end, because all connections are in use.
    var waitingCount: Int { get }
    /// Connections opened so far.
    var openedCount: UInt64 { get }
    var nextDeadline: Instant? { get }

    mutating func begin(_ call: Attempt, at now: Now, into out: inout CallOutput)
    /// Ends a call; one that has ended already is none.
    mutating func hangUp(_ id: ExecutionID, at now: Now, into out: inout CallOutput)
    mutating func renewFences(ago: Duration, at now: Now)
    mutating func take(_ event: SocketEvent, at now: Now, into out: inout CallOutput)
    /// Does what is due. Early, late and repeated calls are harmless.
    mutating func deadline(at now: Now, into out: inout CallOutput)
}
