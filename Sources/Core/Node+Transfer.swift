// Servers that need more than the log: they get the live state and the outputs from the leader.

struct TransferState {
    /// As a leader.
    var sender: SnapshotSender
    /// As a follower.
    var receiver: SnapshotReceiver
    /// Outputs that the state knows nothing of, which came from the files or from the leader, have
    /// not all been dropped yet.
    private(set) var isRetaining = false
    /// Behind those that were looked at.
    private(set) var cursor: ByteKey?
    /// States that were replaced.
    var discarded = DiscardedRecords()
    /// Bytes of the state that came.
    var bytesReceived = 0
    /// The receiver could go on at once.
    var wantsStep = false

    /// Records that one step lets go of.
    static let discardedInAStep = 1_000

    init(_ tunables: Tunables) {
        sender = SnapshotSender(sliceSize: tunables.snapshotSlice, tunables: tunables.transfer)
        receiver = SnapshotReceiver(
            recordLimit: tunables.journal.recordLimit, tunables: tunables.transfer)
    }

    /// All outputs are to be looked at again.
    mutating func retain() { (isRetaining, cursor) = (true, nil) }

    /// The next ones are to be looked at behind `key`; nil when there are no more.
    mutating func retained(through key: ByteKey?) { (isRetaining, cursor) = (key != nil, key) }

    var nextDeadline: Instant? {
        let retains = isRetaining && !receiver.isActive
        if wantsStep || retains || !discarded.isEmpty || !receiver.discarded.isEmpty {
            return .zero
        }
        switch (sender.nextDeadline, receiver.nextDeadline) {
        case (let first?, let second?): return min(first, second)
        case (let first, let second): return first ?? second
        }
    }
}

extension Node {
    mutating func receive(
        _ message: TransferMessage, from id: ServerID, _ out: inout Outbox
    ) {
        switch message.body {
        case .offer, .part: withReceiver(&out) { $0.receive(message, from: id, at: $1, into: &$2) }
        case .ready, .taken: withSender(&out) { $0.receive(message, from: id, $1, into: &$2) }
        case .over:
            withReceiver(&out) { $0.receive(message, from: id, at: $1, into: &$2) }
            withSender(&out) { $0.receive(message, from: id, $1, into: &$2) }
        }
    }

    mutating func expireTransfers(_ out: inout Outbox) {
        let monotonic = now.monotonic
        if let due = transfers.sender.nextDeadline, due <= monotonic {
            withSender(&out) { $0.deadline($1, into: &$2) }
        }
        if let due = transfers.receiver.nextDeadline, due <= monotonic {
            withReceiver(&out) { $0.deadline(at: monotonic, into: &$2) }
        }
    }

    /// A slice of what transfers have to do, and their end when consensus has moved on.
    mutating func continueTransfers(_ out: inout Outbox) {
        if !transfers.sender.isIdle { watchFollowers(&out) }
        if transfers.receiver.isActive {
            let term = raft.hardState.term
            withReceiver(&out) { receiver, place, actions in
                receiver.enter(term, into: &actions)
                receiver.proceed(at: place, into: &actions)
            }
            transfers.wantsStep = transfers.receiver.wantsStep(at: placeOfReceiver)
        } else {
            transfers.wantsStep = false
        }
        continueRetaining()
        transfers.receiver.discarded.letGo(limit: TransferState.discardedInAStep)
        transfers.discarded.letGo(limit: TransferState.discardedInAStep)
    }

    // MARK: Leader

    mutating func withSender(
        _ out: inout Outbox,
        _ body: (
            inout SnapshotSender, SnapshotSender.Source, inout [SnapshotSender.Action]
        ) -> Void
    ) {
        for action in actions(ofSender: body) { perform(action, &out) }
    }

    /// The source shares the store's memory; it must be gone before anything is changed.
    private mutating func actions(
        ofSender body: (
            inout SnapshotSender, SnapshotSender.Source, inout [SnapshotSender.Action]
        ) -> Void
    ) -> [SnapshotSender.Action] {
        var actions: [SnapshotSender.Action] = []
        // Consensus goes on behind the snapshot with the entries that it has in memory.
        let isCovered =
            store.appliedIndex >= raft.memoryBase && !snapshotting.configuration.isEmpty
        let head = SnapshotHead(
            index: store.appliedIndex, term: snapshotting.appliedTerm,
            meta: snapshotting.configuration)
        let source = SnapshotSender.Source(
            now: now.monotonic, term: raft.hardState.term, head: isCovered ? head : nil,
            store: store, history: history)
        body(&transfers.sender, source, &actions)
        return actions
    }

    private mutating func perform(_ action: SnapshotSender.Action, _ out: inout Outbox) {
        switch action {
        case .send(let id, let message): send(.transfer(message), to: id, &out)
        case .read(let ticket, let operation): out.emit(.store(ticket, operation))
        case .ended(let id): raft.snapshotSent(to: id)
        case .unreadable(let file, let id):
            out.log(
                .error,
                "an output in \(SegmentFault.path(file)) can't be read from the disk; a server "
                    + "that is brought up to date goes without it",
                [.init("server", name(of: id))])
        }
    }

    /// Ends what nobody needs any more, and has the entries kept that will be needed.
    private mutating func watchFollowers(_ out: inout Outbox) {
        guard raft.role == .leader else { return transfers.sender.endAll() }
        let monotonic = now.monotonic
        for (id, index) in transfers.sender.targets {
            if raft.needsSnapshot(id) {
                raft.sendsSnapshot(through: index, to: id)
            } else {
                withSender(&out) { $0.end(id, at: monotonic, into: &$2) }
            }
        }
    }

    // MARK: Follower

    mutating func withReceiver(
        _ out: inout Outbox,
        _ body: (
            inout SnapshotReceiver, SnapshotReceiver.Place, inout [SnapshotReceiver.Action]
        ) -> Void
    ) {
        var actions: [SnapshotReceiver.Action] = []
        let place = placeOfReceiver
        body(&transfers.receiver, place, &actions)
        for action in actions where !isHalted { perform(action, &out) }
    }

    private var placeOfReceiver: SnapshotReceiver.Place {
        // As `canDecide`.
        @inline(__always) get {
            SnapshotReceiver.Place(
                now: now.monotonic, term: raft.hardState.term, leader: raft.leader,
                appliedIndex: store.appliedIndex, isWriting: snapshots.isWriting,
                wantsSlice: snapshots.wantsSlice, durableOutputs: snapshotting.historyDurable,
                backlog: history.queuedBytes)
        }
    }

    private mutating func perform(_ action: SnapshotReceiver.Action, _ out: inout Outbox) {
        switch action {
        case .send(let id, let message): send(.transfer(message), to: id, &out)
        case .begin(let head): begin(head, &out)
        case .write(let slice):
            transfers.bytesReceived += slice.count
            withSnapshots(&out) { snapshots, requests, _ in
                snapshots.write(slice: slice, into: &requests)
            }
        case .append(let chunk):
            history.append(
                index: chunk.index, key: chunk.key, chunk: chunk.number, bytes: chunk.bytes)
        case .syncOutputs(let index): syncHistory(through: index, &out)
        case .finish:
            withSnapshots(&out) { snapshots, requests, _ in snapshots.finish(into: &requests) }
        case .abandon:
            out.mark(.transferDropped)
            withSnapshots(&out) { snapshots, requests, _ in snapshots.abandon(into: &requests) }
        case .failed(let id, let reason):
            out.log(
                .warning,
                "the leader's state and outputs did not come through and will be sent again: "
                    + reason, [.init("leader", name(of: id))])
        }
    }

    /// The leader's snapshot begins, unless the log has all of it.
    private mutating func begin(_ head: SnapshotHead, _ out: inout Outbox) {
        var isHeld = false
        withRaft(&out) {
            isHeld = $0.holds(snapshotIndex: head.index, term: head.term, into: &$1)
        }
        if isHeld { return withReceiver(&out) { $0.refuse(into: &$2) } }
        transfers.bytesReceived = 0
        out.log(
            .info, "this server gets the state and the outputs from the leader",
            [
                .init("index", "\(head.index)"),
                .init("behind", "\(head.index - store.appliedIndex)"),
            ])
        withSnapshots(&out) { snapshots, requests, _ in snapshots.begin(head, into: &requests) }
    }

    /// Goes on with the state of a snapshot that came from the leader and is durable now.
    /// - Returns: whether it came from there and is no snapshot of this server's own state.
    mutating func takeOver(_ head: SnapshotHead, _ out: inout Outbox) -> Bool {
        var answers: [SnapshotReceiver.Action] = []
        guard let state = transfers.receiver.written(into: &answers) else { return false }
        // After what consensus has to say: the leader then knows where this server is.
        defer { for answer in answers { perform(answer, &out) } }
        var isHeld = false
        withRaft(&out) {
            isHeld = $0.holds(snapshotIndex: head.index, term: head.term, into: &$1)
        }
        // The log got there by itself meanwhile; then it is a snapshot like any other.
        guard !isHeld else {
            transfers.discarded.add(state)
            return false
        }
        guard let configuration = try? RaftConfiguration(decoding: head.meta) else {
            fatalError("invariant broken: a configuration that was checked can't be read")
        }
        transfers.discarded.add(store)
        store = state
        checkpoints.restart()
        applyQueue.removeAll()
        log.restart(after: head.index)
        snapshotting = SnapshotState(
            lastSize: transfers.bytesReceived, appliedTerm: head.term, configuration: head.meta)
        let monotonic = now.monotonic
        withRaft(&out) {
            $0.installed(
                snapshotIndex: head.index, term: head.term, configuration: configuration,
                at: monotonic, into: &$1)
        }
        belong(to: store.cluster.clusterID, &out)
        reportOtherZone(&out)
        transfers.retain()
        out.mark(.snapshotInstalled)
        out.log(
            .info, "this server has the leader's state and outputs",
            [.init("index", "\(head.index)"), .init("jobs", "\(store.counters.jobs)")])
        return true
    }
}
