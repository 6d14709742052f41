// Makes one server of a cluster whose majority is lost for good the only voter, on its files and
// outside of any running server.
//
// Nothing is taken away: three entries go behind everything that the log holds. The first names
// this server as the only voter, so that all before it counts as committed at the next start,
// whether a majority had it or not. The second gives the cluster a new id, by which servers that
// still belong to the one before know, when they hear of it, that it went on without them. The
// third says that the others are not alive any more.

/// Reads what a server's files hold, and writes these entries.
///
/// Calls: `init`, `read`, the queries, `write`. By `read` files are touched as by a start of the
/// server (a torn tail is cut off); not at all over a disk that is `readOnly`.
package struct QuorumRecovery {
    /// Why it is not possible, in words for a person on call.
    package struct Fault: Error, Hashable, Sendable, CustomStringConvertible {
        package var description: String

        package init(description: String) { self.description = description }
    }

    private let id: ServerID
    private let perform: (StorageOperation) -> StorageResult
    private var snapshots: SnapshotStore
    private var log: LogJournal
    private var requests: [StorageRequest] = []
    private var head: SnapshotHead?
    /// What the log holds behind the snapshot.
    private var entries: [LogEntry] = []
    private var hardState = HardState()
    private var fault: Fault?

    /// The state with everything applied that the log holds.
    package private(set) var store = Store()
    /// Who takes part according to the last entry that says so.
    package private(set) var configuration = RaftConfiguration.empty

    package init(dataID: ServerID, perform: @escaping (StorageOperation) -> StorageResult) {
        id = dataID
        self.perform = perform
        snapshots = SnapshotStore(dataID: dataID)
        log = LogJournal(dataID: dataID)
    }

    // MARK: Reading

    /// Reads snapshot and log, and applies all of it.
    package mutating func read() throws(Fault) {
        snapshots.recover(into: &requests)
        try pump()
        if let head {
            if let reason = store.refusal(knowing: FeatureLevel.newest) {
                throw Fault(
                    description: "the snapshot \(reason); use the version that wrote it, or a "
                        + "newer one")
            }
            store.finishRestoring(at: head.index)
        }
        log.recover(after: head?.index ?? 0, term: head?.term, into: &requests)
        try pump()
        configuration = RaftConfiguration(voters: hardState.founders ?? [id])
        if let meta = head?.meta, !meta.isEmpty { try configure(meta, "the snapshot") }
        for entry in entries { try apply(entry) }
        guard !store.cluster.clusterID.isEmpty else {
            throw Fault(
                description: "this server has never belonged to a cluster, so there is nothing to "
                    + "recover; start it with --retry-join to have it taken into one")
        }
    }

    private mutating func configure(_ bytes: [UInt8], _ place: String) throws(Fault) {
        do throws(ByteError) { configuration = try RaftConfiguration(decoding: bytes) } catch {
            throw Fault(description: "the members in \(place) can't be read: \(error)")
        }
    }

    private mutating func apply(_ entry: LogEntry) throws(Fault) {
        switch Raft.EntryKind(rawValue: entry.kind) {
        case .nothing: store.applyNothing(at: entry.index)
        case .configuration:
            try configure(entry.payload, "entry \(entry.index) of the log")
            store.applyNothing(at: entry.index)
        case .command:
            var events: [StoreEvent] = []
            do throws(ByteError) {
                let command = try Command(decoding: entry.payload)
                _ = store.apply(command, at: entry.index, into: &events)
            } catch {
                throw Fault(
                    description: "entry \(entry.index) of the log holds a command that this "
                        + "version does not know (\(error)); use the version that wrote it, or a "
                        + "newer one")
            }
        case nil:
            throw Fault(description: "entry \(entry.index) of the log is of an unknown kind")
        }
    }

    // MARK: What was found

    /// The last entry that the log holds; those that only others had are lost.
    package var lastIndex: LogIndex { entries.last?.index ?? head?.index ?? 0 }
    /// The term of that entry. Of two servers the one with the higher one has the newer log,
    /// however long the other's is; of two with the same, the one whose index is higher.
    package var lastTerm: Term { entries.last?.term ?? head?.term ?? 0 }
    /// The highest term known here. A vote may have brought it, so it says nothing of the log.
    private var term: Term { max(hardState.term, lastTerm) }
    package var isAlone: Bool { configuration.isOnly(id) }
    package var otherVoters: [ServerID] { configuration.voters.filter { $0 != id } }

    /// The name and address of a server as it was last known alive.
    package func known(_ id: ServerID) -> KnownNode? { store.knownNodes.first { $0.id == id } }

    // MARK: Writing

    /// Makes this server the only voter of a cluster with a new id.
    /// - Parameter salt: random.
    /// - Returns: that id.
    package mutating func write(salt: UInt64) throws(Fault) -> String {
        let name = ClusterSuccession.successor(of: store.cluster.clusterID, salt: salt)
        // Nobody voted in this term, and nobody else leads in it.
        var state = HardState(term: term + 1)
        state.founders = hardState.founders
        if state.founders != nil { state.cluster = name }
        let stamp = store.cluster.lastStamp
        // Nobody waits for those that are lost.
        let lost = otherVoters.compactMap { known($0)?.name }
        let commands = [
            Command(stamp: stamp, body: .succeed(clusterID: name)),
            Command(stamp: stamp, body: .nodes([], gone: lost)),
        ]
        log.append(state)
        log.append(
            LogEntry(
                index: lastIndex + 1, term: state.term,
                kind: Raft.EntryKind.configuration.rawValue,
                payload: RaftConfiguration(voters: [id]).encoded))
        for (offset, command) in commands.enumerated() {
            log.append(
                LogEntry(
                    index: lastIndex + 2 + LogIndex(offset), term: state.term,
                    kind: Raft.EntryKind.command.rawValue, payload: command.encoded))
        }
        log.flush(into: &requests)
        try pump()
        // Says that all of it is synced, so that damage to it would be noticed.
        log.deadline(at: .distantFuture, into: &requests)
        try pump()
        guard log.isIdle else {
            throw Fault(description: "the log could not be written to its end")
        }
        return name
    }

    // MARK: Files

    /// A disk that is read and never changed: with it `read` tells what there is, and nothing else
    /// happens.
    package static func readOnly(
        _ perform: @escaping (StorageOperation) -> StorageResult
    ) -> (StorageOperation) -> StorageResult {
        { operation in
            switch operation {
            case .list, .read: perform(operation)
            case .create, .append, .truncate, .sync, .rename, .remove, .syncDirectory: .done
            }
        }
    }

    private mutating func pump() throws(Fault) {
        while !requests.isEmpty {
            let batch = requests
            requests = []
            for request in batch { take(perform(request.operation), for: request.ticket) }
            if let fault { throw fault }
        }
    }

    private mutating func take(_ result: StorageResult, for ticket: StorageTicket) {
        switch ticket.owner {
        case .snapshots:
            var actions: [SnapshotAction] = []
            snapshots.handle(result, for: ticket, into: &requests, actions: &actions)
            for action in actions { take(action) }
        case .journal:
            var actions: [LogJournalAction] = []
            log.handle(result, for: ticket, at: .zero, into: &requests, actions: &actions)
            for action in actions { take(action) }
        case .history, .runs, .api, .transfer, .processors: break
        }
    }

    private mutating func take(_ action: SnapshotAction) {
        switch action {
        case .slice(let bytes):
            do throws(ByteError) { try store.restore(slice: bytes) } catch {
                fault = Fault(description: "the snapshot can't be read: \(error)")
            }
        case .loaded(let head): self.head = head
        case .halt(let reason): fault = fault ?? Fault(description: reason)
        case .none, .opened, .written, .abandoned: break
        }
    }

    private mutating func take(_ action: LogJournalAction) {
        switch action {
        case .founded(let founders): hardState.founders = founders
        case .entry(let entry): entries.append(entry)
        case .truncated(let index): entries.removeAll { $0.index >= index }
        case .recovered(let found): hardState = found.hardState
        case .durable: break
        case .halt(let reason): fault = fault ?? Fault(description: reason)
        }
    }
}
