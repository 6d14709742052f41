/// What a leader knows of another server.
struct Peer {
    enum Mode: Hashable {
        /// Where the logs agree is being found out, one message at a time.
        case probe
        /// Entries are sent ahead of the answers.
        case replicate
        /// It needs entries that only the snapshot has.
        case snapshot
    }

    private struct Flight {
        var last: LogIndex
        var bytes: Int
    }

    let id: ServerID
    private(set) var mode = Mode.probe
    /// On its disk and equal to the leader's log through here.
    private(set) var matched: LogIndex = 0
    /// The first entry to send next.
    private(set) var next: LogIndex
    /// When it was last heard, or this server began to lead.
    private(set) var heardAt: Instant
    /// It was heard since.
    private(set) var hasAnswered = false
    /// The latest heartbeat that it answered.
    var round: UInt64 = 0
    /// Where the snapshot ends that it gets.
    var snapshotIndex: LogIndex?
    /// The heartbeat during which entries were sent last: an answer to a later one tells whether
    /// they came.
    private var sentRound: UInt64 = 0
    /// The heartbeat during which a refusal last had entries sent again.
    private var wentBackIn: UInt64?
    private var isProbing = false
    private var flights = RingBuffer<Flight>()
    private var flightBytes = 0

    init(_ id: ServerID, next: LogIndex, heardAt: Instant) {
        self.id = id
        self.next = next
        self.heardAt = heardAt
    }

    mutating func isHeard(at now: Instant) {
        heardAt = now
        hasAnswered = true
    }

    /// Another message with entries may be sent.
    func mayReceive(_ tunables: RaftTunables) -> Bool {
        switch mode {
        case .probe: !isProbing
        case .replicate:
            flights.count < tunables.inFlightMessages && flightBytes < tunables.inFlightBytes
        case .snapshot: false
        }
    }

    mutating func sent(_ entries: [LogEntry], round: UInt64) {
        sentRound = round
        switch mode {
        case .probe: isProbing = true
        case .replicate:
            guard let last = entries.last else { return }
            let bytes = entries.reduce(0) { $0 + $1.payload.count }
            flights.append(Flight(last: last.index, bytes: bytes))
            flightBytes += bytes
            next = last.index + 1
        case .snapshot: break
        }
    }

    /// - Returns: whether that is news.
    mutating func matches(through index: LogIndex) -> Bool {
        let isNews = index > matched
        matched = max(matched, index)
        next = max(next, matched + 1)
        while let first = flights.first, first.last <= matched {
            flightBytes -= first.bytes
            _ = flights.popFirst()
        }
        return isNews
    }

    /// The logs are known to agree up to what was sent last.
    mutating func beginReplicating() {
        mode = .replicate
        isProbing = false
    }

    /// The entries after this one will be sent to it, as far as that is known.
    var goesOnAfter: LogIndex? {
        switch mode {
        case .probe: nil
        case .replicate: matched
        case .snapshot: snapshotIndex
        }
    }

    mutating func needsSnapshot() {
        probe(from: next)
        snapshotIndex = nil
        mode = .snapshot
    }

    /// Goes back to where the logs agree for sure, or might.
    mutating func probe(from index: LogIndex) {
        mode = .probe
        next = max(matched + 1, index)
        isProbing = false
        flights.removeAll()
        flightBytes = 0
    }

    /// It refused what was sent ahead: something before it is late or lost.
    /// - Returns: whether to go back. Once a heartbeat is enough: what was overtaken on its way has
    ///   everything behind it refused, and sending all of that anew for each refusal would grow
    ///   into a flood.
    mutating func mayGoBack(round: UInt64) -> Bool {
        guard wentBackIn != round else { return false }
        wentBackIn = round
        return true
    }

    /// It answered a heartbeat of `round`: what was sent two rounds before and did not come is
    /// lost.
    mutating func answered(round: UInt64, received: LogIndex) {
        self.round = max(self.round, round)
        guard round >= sentRound + 2 else { return }
        switch mode {
        case .probe: isProbing = false
        case .replicate: if received + 1 < next { probe(from: received + 1) }
        case .snapshot: break
        }
    }
}
