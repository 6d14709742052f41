// The HTTP API as a machine of its own: requests come in, actions go out, and what a request waits
// for (a commit, a zone, the end of a run, a piece of output, a client that reads) comes back as a
// further event. It holds no truth: what it knows of jobs it reads from the store it is shown.
//
// Invariants: every request is answered once, by one `respond`, unless it was abandoned; whatever
// waits is in `pending` and in exactly one of the tables that an event looks into.

package struct API {
    /// Bounds of what outside input can grow.
    enum Limit {
        /// Requests that wait for something; beyond it the answer is 503.
        static let pending = 1_024
        /// Lists under way: each holds on to the state of the moment it began.
        static let streams = 64
        /// Outputs under way; each holds a piece, or the whole of a stored one.
        static let outputs = 128
        /// How often followers hear that the server lives: below what proxies take for silence.
        static let beat = Duration.seconds(15)
        /// How long a run by hand is waited for unless the request says otherwise, and at most.
        static let wait = Duration.seconds(30)
        static let longestWait = Duration.minutes(10)
        /// How often an edit that found the job changed is computed anew.
        static let recomputations = 8
    }

    let config: Config
    /// What each unanswered request waits for.
    var pending = SortedMap<RequestID, Pending>()
    var proposals = SortedMap<ProposalID, Proposal>()
    /// Requests that wait for the end of a group.
    var waiters = SortedMap<GroupWaiter, Void>()
    /// When waiting for a group is over.
    var timeouts = SortedMap<WaitEnd, GroupWaiter>()
    var streams = SortedMap<RequestID, ListStream>()
    /// Metrics of jobs under way.
    var scrapes = SortedMap<RequestID, MetricsStream>()
    /// Outputs under way.
    var outputs = SortedMap<RequestID, OutputStream>()
    /// Those of them that wait for more, by execution.
    var followers = SortedMap<Follower, Void>()
    /// When followers hear from the server although nothing is printed.
    var nextBeat: Instant?
    /// The backup under way; there is one at a time.
    var backup: BackupStream?
    /// Lists that are over and still hold an index.
    var finished: [ListStream] = []
    /// Whose read a ticket is.
    var reads = SortedMap<UInt64, RequestID>()
    /// The restore under way; there is one at a time.
    var restore: RestoreJob?
    var restoreCount: UInt64 = 0
    /// Requests with a slice of long work to do, first come, first served.
    var work: [RequestID] = []
    /// The time of the last event: work that is there is due then.
    var lastEvent = Instant.zero
    private(set) var lastProposal: UInt64 = 0
    /// What the last change of the settings made of them.
    var lastSettings: (proposal: ProposalID, settings: ClusterSettings)?
    private var lastTicket: UInt64 = 0
    private var lastRun: UInt64 = 0

    package init(config: Config) { self.config = config }

    // MARK: Events

    /// A whole request came in. Answered at once or after further events, by one `respond`.
    package mutating func request(
        _ id: RequestID, _ request: HTTPRequest, _ context: APIContext,
        into actions: inout [APIAction]
    ) {
        lastEvent = context.now.monotonic
        if request.method == .options {
            let answer = Answer.preflight(request)
            return actions.append(
                .respond(id, answer.response(to: request, isKnown: false, context)))
        }
        let call: Call
        do throws(APIError) {
            guard let routed = try route(id, request, context, &actions) else { return }
            call = routed
        } catch {
            let answer = Answer(error, layout: .compact)
            let isKnown = error.status != 404
            return actions.append(
                .respond(id, answer.response(to: request, isKnown: isKnown, context)))
        }
        handle(call, context, &actions)
    }

    /// The client is gone: nothing more is sent under this id. What it asked for goes on.
    package mutating func abandoned(
        _ id: RequestID, _ context: APIContext, into actions: inout [APIAction]
    ) {
        lastEvent = context.now.monotonic
        guard let waiting = pending.remove(id) else { return }
        switch waiting {
        case .proposal(let proposal):
            proposals.update(proposal) { $0.isAbandoned = true }
        case .group(let wait): forget(wait)
        case .stream:
            if let stream = streams.remove(id) { finish(stream) }
        case .output:
            if let stream = outputs[id] { forget(stream) }
        case .metrics: scrapes.remove(id)
        case .backup: backup = nil
        case .restore: abandonRestore(&actions)
        case .zone, .measurement, .seats: break
        }
    }

    /// The leader did not answer a request that was handed to it.
    package mutating func forwardFailed(
        _ id: RequestID, _ request: HTTPRequest, _ failure: ProposalFailure,
        _ context: APIContext, into actions: inout [APIAction]
    ) {
        lastEvent = context.now.monotonic
        let answer = Answer(context.error(failure), layout: .compact)
        actions.append(.respond(id, answer.response(to: request, isKnown: true, context)))
    }

    /// What was sent so far has left: the next piece of a stream may follow.
    package mutating func drained(
        _ id: RequestID, _ context: APIContext, into actions: inout [APIAction]
    ) {
        lastEvent = context.now.monotonic
        switch pending[id] {
        case .stream where streams[id]?.awaits == .drain: advanceStream(id, context, &actions)
        case .metrics: advanceMetrics(id, context, &actions)
        case .backup: advanceBackup(&actions)
        case .output where outputs[id]?.awaits != .read: advanceOutput(id, context, &actions)
        default: break
        }
    }

    package mutating func applied(
        _ proposal: ProposalID, _ result: ApplyResult, at index: LogIndex, _ context: APIContext,
        into actions: inout [APIAction]
    ) {
        lastEvent = context.now.monotonic
        guard let made = proposals.remove(proposal) else { return }
        release(made)
        do throws(APIError) {
            try conclude(made, result, context, &actions)
        } catch {
            reply(made, Answer(error, layout: made.call.layout), context, &actions)
        }
    }

    package mutating func failed(
        _ proposal: ProposalID, _ failure: ProposalFailure, _ context: APIContext,
        into actions: inout [APIAction]
    ) {
        lastEvent = context.now.monotonic
        guard let made = proposals.remove(proposal) else { return }
        release(made)
        let error = context.error(failure)
        switch made.intent {
        case .restorePart, .restoreCommit:
            // Of several parts that fail, the first one answers.
            guard restore?.call.id == made.call.id else { return }
            return failRestore(error, context, &actions)
        case .restoreAbandon: return
        default: break
        }
        reply(made, Answer(error, layout: made.call.layout), context, &actions)
    }

    /// A group ended: whoever waits for it is answered.
    package mutating func groupEnded(
        _ job: JobName, _ generation: Generation, _ group: GroupID, _ context: APIContext,
        into actions: inout [APIAction]
    ) {
        lastEvent = context.now.monotonic
        var place = GroupWaiter(generation: generation, group: group, request: RequestID(0))
        while let entry = waiters.first(atOrAfter: place), entry.key.generation == generation,
            entry.key.group == group
        {
            waiters.remove(entry.key)
            place = entry.key
            endWait(of: entry.key.request, hasEnded: true, context, &actions)
        }
    }

    /// A zone that requests waited for has been looked up (found or not).
    package mutating func zoneLoaded(
        _ name: String, _ context: APIContext, into actions: inout [APIAction]
    ) {
        lastEvent = context.now.monotonic
        var parked: [Call] = []
        for (_, waiting) in pending {
            if case .zone(let zone, let call) = waiting, zone == name { parked.append(call) }
        }
        for call in parked {
            pending.remove(call.id)
            handle(call, context, &actions)
        }
        if restore?.awaitedZone == name {
            restore?.awaitedZone = nil
            enqueue(restore?.call.id)
        }
    }

    /// The answer to a `read`.
    package mutating func storage(
        _ ticket: StorageTicket, _ result: StorageResult, _ context: APIContext,
        into actions: inout [APIAction]
    ) {
        lastEvent = context.now.monotonic
        guard let id = reads.remove(ticket.number), let waiting = pending[id] else { return }
        var bytes: [UInt8]?
        if case .bytes(let read) = result { bytes = read }
        switch waiting {
        case .stream:
            streams.update(id) { $0.take(bytes, context) }
            advanceStream(id, context, &actions)
        case .output:
            outputs.update(id) { $0.take(bytes, context) }
            advanceOutput(id, context, &actions)
        case .backup:
            backup?.take(bytes)
            advanceBackup(&actions)
        case .proposal, .group, .zone, .measurement, .seats, .metrics, .restore: break
        }
    }

    /// Does a slice of long work and ends waits whose time is over.
    package mutating func deadline(_ context: APIContext, into actions: inout [APIAction]) {
        lastEvent = context.now.monotonic
        while let first = timeouts.first, first.key.at <= context.now.monotonic {
            timeouts.remove(first.key)
            waiters.remove(first.value)
            endWait(of: first.value.request, hasEnded: false, context, &actions)
        }
        beat(context, &actions)
        if let last = finished.indices.last {
            if finished[last].discard() { finished.removeLast() }
            return
        }
        guard !work.isEmpty else { return }
        let id = work.removeFirst()
        switch pending[id] {
        case .stream: advanceStream(id, context, &actions)
        case .restore: advanceRestore(context, &actions)
        case .proposal, .group, .zone, .output, .measurement, .seats, .metrics, .backup, nil: break
        }
    }

    package var nextDeadline: Instant? {
        guard work.isEmpty && finished.isEmpty else { return lastEvent }
        guard let first = timeouts.first?.key.at else { return nextBeat }
        return min(first, nextBeat ?? .distantFuture)
    }

    /// Requests that wait for something. Bounded: beyond it requests that would wait get 503.
    package var pendingRequests: Int { pending.count }

    // MARK: Doors

    /// The call that a request makes; nil if it has been answered already.
    private func route(
        _ id: RequestID, _ request: HTTPRequest, _ context: APIContext,
        _ actions: inout [APIAction]
    ) throws(APIError) -> Call? {
        let path: HTTPPath
        let query: HTTPQuery
        do throws(HTTPTargetError) {
            path = try request.decodedPath()
            query = try request.decodedQuery()
        } catch {
            throw APIError(400, "malformed_target", "The address is malformed: \(error).")
        }
        switch Route.match(request.method, path) {
        case .found(let route, let parameters):
            if let form = route.otherForm(of: path, written: request.path) {
                let location = form + (request.query.map { "?\($0)" } ?? "")
                let isRead = request.method == .get || request.method == .head
                let answer = Answer.redirect(isRead ? 301 : 307, to: location)
                actions.append(
                    .respond(id, answer.response(to: request, isKnown: false, context)))
                return nil
            }
            return Call(
                id: id, request: request, route: route, parameters: parameters, query: query)
        case .otherMethods(let allow):
            throw APIError(
                405, "method_not_allowed",
                "\(request.path) does not take \(request.method); it takes \(allow).",
                allow: allow)
        case .none:
            throw APIError(
                404, "unknown_path",
                "There is nothing at \(request.path); the API's paths begin with /v1.")
        }
    }

    /// Whether the node is in a state to work on the call.
    private func admit(_ call: Call, _ context: APIContext) throws(APIError) {
        guard context.config.isServer || call.route.isOfAgents else {
            throw APIError(
                404, "agent",
                "This node is an agent: it answers /health, /ready and /metrics, the servers of"
                    + " the cluster everything else.")
        }
        if call.route.access == .local { return }
        switch context.role {
        case .leader: return
        case .stopping:
            if call.route.access == .write { throw .stopping }
        case .recovering(let progress):
            throw APIError(
                503, "recovering", "This server is still reading its data: \(progress).",
                retryAfter: 1)
        case .halted(let reason):
            throw APIError(503, "halted", "This server has stopped working: \(reason).")
        case .follower(let leader):
            if call.route.access == .read, call.query.contains("stale") { return }
            guard let leader else { throw context.noLeader }
            throw APIError(
                503, "not_leader",
                "This server does not lead; \(leader) does. Ask there, or add ?stale to read what"
                    + " this server knows.", retryAfter: 1)
        }
    }

    mutating func handle(_ call: Call, _ context: APIContext, _ actions: inout [APIAction]) {
        do throws(APIError) {
            try admit(call, context)
            try dispatch(call, context, &actions)
        } catch {
            if error == .busy { actions.append(.mark(.requestRefusedBusy)) }
            respond(call, Answer(error, layout: call.layout), context, &actions)
        }
    }

    private mutating func dispatch(
        _ call: Call, _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        switch call.route.handler {
        case .root: try root(call, context, &actions)
        case .page: page(call, context, &actions)
        case .health: health(call, context, &actions)
        case .ready: try ready(call, context, &actions)
        case .metrics, .variables: try measure(call, &actions)
        case .status: status(call, context, &actions)
        case .members: members(call, context, &actions)
        case .leader: try leader(call, context, &actions)
        case .isLeader: isLeader(call, context, &actions)
        case .leave: try leave(call, context, &actions)
        case .listPeers: listPeers(call, context, &actions)
        case .removePeer: try removePeer(call, context, &actions)
        case .transfer: try transferLeadership(call, context, &actions)
        case .busy:
            let node = call.query["node"].map { NodeName($0) }
            try startStream(call, .busy(on: node), context, &actions)
        case .listExecutors: listExecutors(call, context, &actions)
        case .listProcessors: listProcessors(call, context, &actions)
        case .showPause: showPause(call, context, &actions)
        case .pause: try pause(call, context, &actions)
        case .unpause: try propose(.unpause, .pause, call, &actions)
        case .showSettings: showSettings(call, context, &actions)
        case .putSettings: try putSettings(call, context, &actions)
        case .backup: try takeBackup(call, context, &actions)
        case .restore: try startRestore(call, context, &actions)
        case .listJobs: try listJobs(call, context, &actions)
        case .createJob: try submit(call, name: nil, context, &actions)
        case .showJob: try showJob(call, context, &actions)
        case .putJob: try submit(call, name: call.job, context, &actions)
        case .patchJob: try patchJob(call, context, &actions)
        case .deleteJob: try deleteJob(call, context, &actions)
        case .run: try run(call, context, &actions)
        case .toggle: try toggle(call, context, &actions)
        case .listExecutions: try listExecutions(call, context, &actions)
        case .deleteExecutions: try deleteExecutions(call, context, &actions)
        case .showExecution: try showExecution(call, context, &actions)
        case .showOutput: try showOutput(call, context, &actions)
        case .kill: try kill(call, context, &actions)
        case .lost: try giveUp(call, context, &actions)
        case .listTicks: try listTicks(call, context, &actions)
        case .drain: try drain(call, true, context, &actions)
        case .undrain: try drain(call, false, context, &actions)
        case .dismiss: try dismiss(call, context, &actions)
        case .rewind: try rewind(call, context, &actions)
        }
    }

    // MARK: Answers and waits

    func respond(
        _ call: Call, _ answer: Answer, _ context: APIContext, _ actions: inout [APIAction]
    ) {
        let isKnown = call.route.handler != .health
        actions.append(
            .respond(call.id, answer.response(to: call.request, isKnown: isKnown, context)))
    }

    /// Answers the request behind a proposal, unless its client is gone.
    func reply(
        _ made: Proposal, _ answer: Answer, _ context: APIContext, _ actions: inout [APIAction]
    ) {
        if !made.isAbandoned { respond(made.call, answer, context, &actions) }
    }

    /// Makes a request wait, unless too many do.
    mutating func wait(_ id: RequestID, for what: Pending) throws(APIError) {
        guard pending.count < Limit.pending else { throw .busy }
        invariant(pending[id] == nil, "a request waits for one thing at a time")
        pending[id] = what
    }

    mutating func propose(
        _ body: Command.Body, _ intent: Intent, _ call: Call, _ actions: inout [APIAction]
    ) throws(APIError) {
        let id = ProposalID(number: lastProposal + 1)
        try wait(call.id, for: .proposal(id))
        lastProposal = id.number
        proposals[id] = Proposal(call: call, intent: intent)
        actions.append(.propose(id, body))
    }

    /// A proposal whose outcome nobody waits for, or a restore's, which keeps its own wait.
    mutating func propose(
        _ body: Command.Body, _ intent: Intent, onBehalfOf call: Call,
        _ actions: inout [APIAction]
    ) {
        lastProposal += 1
        let id = ProposalID(number: lastProposal)
        proposals[id] = Proposal(call: call, intent: intent)
        actions.append(.propose(id, body))
    }

    private mutating func release(_ made: Proposal) {
        if !made.isAbandoned, !made.intent.isRestore { pending.remove(made.call.id) }
    }

    mutating func enqueue(_ id: RequestID?) {
        if let id, !work.contains(id) { work.append(id) }
    }

    mutating func makeTicket(for id: RequestID) -> StorageTicket {
        lastTicket += 1
        reads[lastTicket] = id
        return StorageTicket(owner: .api, number: lastTicket)
    }

    /// A request id for a run by hand that brought none: unique in the cluster.
    mutating func makeRunID() -> String {
        lastRun += 1
        return "run:\(config.nodeName)-\(config.incarnation)-\(lastRun)"
    }

    func log(
        _ message: String, _ call: Call, _ fields: [LogRecord.Field],
        _ actions: inout [APIAction]
    ) {
        let client = LogRecord.Field("client", call.request.clientAddress)
        actions.append(.log(LogRecord(.info, message, fields + [client])))
    }
}
