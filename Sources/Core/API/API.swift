// The HTTP API as a machine of its own: requests come in, actions go out, and what a request waits
// for (a commit, a zone, the end of a run, a piece of output, a client that reads) comes back as a
// further event. It holds no truth: what it knows of jobs it reads from the store it is shown.

package struct API: Sendable {
    let config: Config

    package init(config: Config) { self.config = config }

    /// A whole request came in. Answered at once or after further events, by one `respond`.
    package mutating func request(
        _ id: RequestID, _ request: HTTPRequest, _ context: APIContext,
        into actions: inout [APIAction]
    ) {
    }

    /// The client is gone: nothing more is sent under this id.
    package mutating func abandoned(
        _ id: RequestID, _ context: APIContext, into actions: inout [APIAction]
    ) {
    }

    /// What was sent so far has left: the next piece of a stream may follow.
    package mutating func drained(
        _ id: RequestID, _ context: APIContext, into actions: inout [APIAction]
    ) {
    }

    package mutating func applied(
        _ proposal: ProposalID, _ result: ApplyResult, at index: LogIndex, _ context: APIContext,
        into actions: inout [APIAction]
    ) {
    }

    package mutating func failed(
        _ proposal: ProposalID, _ failure: ProposalFailure, _ context: APIContext,
        into actions: inout [APIAction]
    ) {
    }

    /// A group ended: whoever waits for it is answered.
    package mutating func groupEnded(
        _ job: JobName, _ generation: Generation, _ group: GroupID, _ context: APIContext,
        into actions: inout [APIAction]
    ) {
    }

    /// A zone that requests waited for has been looked up (found or not).
    package mutating func zoneLoaded(
        _ name: String, _ context: APIContext, into actions: inout [APIAction]
    ) {
    }

    /// The answer to a `read`.
    package mutating func storage(
        _ ticket: StorageTicket, _ result: StorageResult, _ context: APIContext,
        into actions: inout [APIAction]
    ) {
    }

    /// Does a slice of long work and ends waits whose time is over.
    package mutating func deadline(_ context: APIContext, into actions: inout [APIAction]) {
    }

    package var nextDeadline: Instant? { nil }

    /// Requests that wait for something.
    package var pendingRequests: Int { 0 }
}
