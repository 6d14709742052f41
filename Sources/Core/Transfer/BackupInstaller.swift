// Makes the files of a data directory out of a backup, outside of any running server.

/// Writes into an empty data directory through a disk that answers at once.
///
/// Calls: `begin`, `slice` and `output` in the order of the backup, `finish`. After `finish` a
/// server that is started on the directory goes on where the backup was taken, alone and as a
/// cluster of its own. After an error the directory is good for nothing.
package struct BackupInstaller {
    private let clusterID: String
    private let perform: (StorageOperation) -> StorageResult
    private var snapshots: SnapshotStore
    private var history: HistoryStore
    private var log: LogJournal
    private var head: BackupHead?
    private var requests: [StorageRequest] = []
    private var fault: BackupFault?
    private var isWritten = false

    /// - Parameters:
    ///   - dataID: the new directory's, not that of the server that was backed up.
    ///   - clusterID: new, too, and no successor of the old one: the cluster that was backed up may
    ///     be alive, and the backup be recovered more than once. All of them are strangers, who
    ///     leave each other alone.
    package init(
        dataID: DataID, clusterID: String,
        perform: @escaping (StorageOperation) -> StorageResult
    ) {
        self.clusterID = clusterID
        self.perform = perform
        snapshots = SnapshotStore(dataID: dataID)
        history = HistoryStore(dataID: dataID)
        log = LogJournal(dataID: dataID)
    }

    package mutating func begin(_ head: BackupHead) throws(BackupFault) {
        self.head = head
        snapshots.recover(into: &requests)
        history.recover(through: head.index, into: &requests)
        try pump()
        snapshots.begin(
            SnapshotHead(index: head.index, term: head.term, meta: []), into: &requests)
        try pump()
    }

    package mutating func slice(_ records: [UInt8]) throws(BackupFault) {
        do throws(ByteError) {
            let renamed = try Store.slice(records, ofCluster: clusterID)
            snapshots.write(slice: renamed, into: &requests)
        } catch {
            throw BackupFault(
                description: "the cluster's record can't be read (\(error)); use the version that "
                    + "took the backup, or a newer one")
        }
        try pump()
    }

    package mutating func output(_ chunk: HistoryChunk) throws(BackupFault) {
        history.append(index: chunk.index, key: chunk.key, chunk: chunk.number, bytes: chunk.bytes)
        history.flush(into: &requests)
        try pump()
    }

    /// The outputs become durable before the snapshot that relies on them gets its name.
    package mutating func finish() throws(BackupFault) {
        guard let head else { return }
        history.sync(through: head.index, into: &requests)
        try pump()
        snapshots.finish(into: &requests)
        try pump()
        // The log begins behind the snapshot, in the term that it was taken in.
        log.recover(after: head.index, term: head.term, into: &requests)
        try pump()
        log.append(HardState(term: head.term))
        log.flush(into: &requests)
        try pump()
        guard isWritten, log.isIdle, history.isIdle else {
            throw BackupFault(description: "the data directory could not be written to its end")
        }
    }

    /// Performs everything that is asked for, and what follows from the answers.
    private mutating func pump() throws(BackupFault) {
        while !requests.isEmpty {
            let batch = requests
            requests = []
            for request in batch { take(perform(request.operation), for: request.ticket) }
            if let fault { throw fault }
        }
    }

    private mutating func take(_ result: StorageResult, for ticket: StorageTicket) {
        if case .failed(let failure) = result, failure.reason != .notFound {
            fault = fault ?? BackupFault(description: failure.message)
        }
        switch ticket.owner {
        case .snapshots:
            var actions: [SnapshotAction] = []
            snapshots.handle(result, for: ticket, into: &requests, actions: &actions)
            for case .written in actions { isWritten = true }
        case .history:
            var actions: [HistoryAction] = []
            history.handle(result, for: ticket, at: .zero, into: &requests, actions: &actions)
        case .journal:
            var actions: [LogJournalAction] = []
            log.handle(result, for: ticket, at: .zero, into: &requests, actions: &actions)
        case .runs, .api, .transfer, .processors: break
        }
    }
}
