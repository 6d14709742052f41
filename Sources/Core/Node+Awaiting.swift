// Requests that come while there is no leader, or one that can't take them yet, wait for it: a
// fail-over is over in a second or two, and who asks meanwhile need not hear of it.

/// Requests that need the leader and have been sent nowhere yet, or only read.
struct AwaitingRequests {
    private struct Awaiting {
        var request: HTTPRequest
        var until: Instant
    }

    /// Requests that one server keeps, and bytes of their bodies; beyond them the answer is 503.
    static let limit = 1_024
    static let byteLimit = 16 << 20

    private var requests = SortedMap<RequestID, Awaiting>()
    private var bytes = 0
    /// No request is over its time before then.
    private(set) var nextDeadline: Instant?

    var isEmpty: Bool { requests.isEmpty }

    func admits(_ request: HTTPRequest) -> Bool {
        requests.count < Self.limit && bytes + request.body.count <= Self.byteLimit
    }

    mutating func add(_ id: RequestID, _ request: HTTPRequest, until: Instant) {
        requests[id] = Awaiting(request: request, until: until)
        bytes += request.body.count
        nextDeadline = min(nextDeadline ?? until, until)
    }

    /// - Returns: whether it was here.
    mutating func remove(_ id: RequestID) -> Bool {
        guard let awaiting = requests.remove(id) else { return false }
        bytes -= awaiting.request.body.count
        if requests.isEmpty { nextDeadline = nil }
        return true
    }

    /// Takes out those that have waited long enough, in the order of their ids. O(all) when there
    /// is one, O(1) otherwise.
    mutating func takeOverdue(at now: Instant) -> [(id: RequestID, request: HTTPRequest)] {
        guard let nextDeadline, nextDeadline <= now else { return [] }
        let overdue = requests.filter { $0.value.until <= now }
        for (id, _) in overdue { _ = remove(id) }
        self.nextDeadline = requests.map(\.value.until).min()
        return overdue.map { ($0.key, $0.value.request) }
    }

    /// Takes out all, in the order of their ids.
    mutating func takeAll() -> [(id: RequestID, request: HTTPRequest)] {
        let all = requests.map { ($0.key, $0.value.request) }
        self = AwaitingRequests()
        return all
    }
}

extension Node {
    /// Keeps a request, of a client or of another server, until there is a leader that takes it.
    /// Refuses it once everybody has been told that there is none, and where there is no room.
    mutating func awaitLeader(_ id: RequestID, _ request: HTTPRequest, _ out: inout Outbox) {
        guard phase == .running, raft.isFounded, !leaderWatch.isReported else {
            return withAPI(&out) { $0.forwardFailed(id, request, .noLeader, $1, into: &$2) }
        }
        guard awaiting.admits(request) else {
            out.mark(.requestRefusedBusy)
            return withAPI(&out) { $0.forwardFailed(id, request, .busy, $1, into: &$2) }
        }
        out.mark(.requestAwaitsLeader)
        awaiting.add(id, request, until: now.monotonic + LeaderWatch.patience(raft.tunables))
    }

    /// Goes on with what waits as soon as there is a leader, and refuses what has waited too long.
    mutating func continueAwaiting(_ out: inout Outbox) {
        guard !awaiting.isEmpty else { return }
        let isElsewhere = raft.leader != nil && raft.leader != config.dataID
        let isHere = takesRequests && raft.isLeading && !raft.isTransferring
        if isHere || isElsewhere || phase != .running {
            for (id, request) in awaiting.takeAll() {
                if forwarding.incoming.contains(id) {
                    take(request, known: id, &out)
                } else {
                    requested(id, request, &out)
                }
            }
            return
        }
        let refused =
            leaderWatch.isReported
            ? awaiting.takeAll() : awaiting.takeOverdue(at: now.monotonic)
        for (id, request) in refused {
            withAPI(&out) { $0.forwardFailed(id, request, .noLeader, $1, into: &$2) }
        }
    }
}
