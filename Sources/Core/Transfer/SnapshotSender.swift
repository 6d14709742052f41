// A leader's side of transfers.

/// Brings the live state and the outputs to followers that the log alone can't help any more.
///
/// Events: `begin` when consensus asks for it; `receive` for every message, `stored` for the answer
/// to every ticket of `.transfer`, `deadline` when `nextDeadline` has come; `end` for a follower
/// that needs no snapshot any more, `endAll` when this server leads no more.
///
/// The state is that of the moment in which a follower is ready: a copy that costs nothing and is
/// walked slice by slice. Outputs are looked up where the history has them at the time. Memory
/// holds what was sent and is not answered yet, and nothing else.
package struct SnapshotSender: Sendable {
    package enum Action: Hashable, Sendable {
        case send(ServerID, TransferMessage)
        case read(StorageTicket, StorageOperation)
        /// The transfer is over, well or not; the follower shall say where it is.
        case ended(ServerID)
        /// An output in this file can't be read; the follower goes without it.
        case unreadable(FileName, ServerID)
    }

    /// What the leader has at the moment.
    package struct Source {
        package var now: Instant
        package var term: Term
        /// Where a snapshot taken now would end; nil while consensus could not go on from there.
        package var head: SnapshotHead?
        package var store: Store
        package var history: HistoryStore

        package init(
            now: Instant, term: Term, head: SnapshotHead?, store: Store, history: HistoryStore
        ) {
            self.now = now
            self.term = term
            self.head = head
            self.store = store
            self.history = history
        }
    }

    private struct Transfer: Sendable {
        let number: UInt64
        let term: Term
        /// When to offer again, or to send again what was not answered.
        var due: Instant
        /// nil until the follower is ready.
        var stream: TransferStream?
        var resendInterval: Duration
        /// When the follower was last heard.
        var heardAt: Instant
    }

    private let tunables: TransferTunables
    private let sliceSize: Int
    private var transfers = SortedMap<ServerID, Transfer>()
    /// When a transfer to a follower ended, lest one that fails at once is begun again at once.
    private var endedAt = SortedMap<ServerID, Instant>()
    private var lastNumber: UInt64 = 0
    private var tickets = Tickets<ServerID>(owner: .transfer)
    /// More could be sent at once than one step did.
    private var wantsStep = false

    /// - Parameter sliceSize: bytes of a part, about; one record can be longer.
    package init(sliceSize: Int, tunables: TransferTunables = TransferTunables()) {
        self.sliceSize = sliceSize
        self.tunables = tunables
    }

    /// The followers that are offered a snapshot or get one, and where that ends.
    package var targets: [(id: ServerID, index: LogIndex?)] {
        transfers.map { ($0.key, $0.value.stream?.head.index) }
    }
    package var isIdle: Bool { transfers.isEmpty }
    /// How many get one now.
    package var activeCount: Int { transfers.count { $0.value.stream != nil } }

    package var nextDeadline: Instant? {
        if wantsStep { return .zero }
        return transfers.map(\.value.due).min()
    }

    /// A follower needs a snapshot.
    package mutating func begin(_ id: ServerID, _ source: Source, into actions: inout [Action]) {
        guard !transfers.contains(id) else { return }
        lastNumber += 1
        let rested = endedAt[id].map { $0 + tunables.offerInterval } ?? source.now
        transfers[id] = Transfer(
            number: lastNumber, term: source.term, due: max(source.now, rested),
            resendInterval: tunables.resendInterval, heardAt: source.now)
        deadline(source, into: &actions)
    }

    /// The follower needs no snapshot any more.
    package mutating func end(_ id: ServerID, at now: Instant, into actions: inout [Action]) {
        guard let transfer = transfers.remove(id) else { return }
        endedAt[id] = now
        actions.append(.send(id, message(transfer, .over)))
    }

    /// This server does not lead any more.
    package mutating func endAll() {
        transfers.removeAll()
        endedAt.removeAll()
    }

    package mutating func receive(
        _ message: TransferMessage, from id: ServerID, _ source: Source,
        into actions: inout [Action]
    ) {
        guard var transfer = transfers[id], transfer.number == message.number,
            transfer.term == message.term
        else { return }
        switch message.body {
        case .offer, .part: return
        case .over:
            transfers.remove(id)
            endedAt[id] = source.now
            return actions.append(.ended(id))
        case .ready(let index):
            guard transfer.stream == nil, activeCount < tunables.limit, let head = source.head
            else { return }
            transfer.stream = TransferStream(
                head, outputsAfter: index, source.store, sliceSize: sliceSize)
        case .taken(let count):
            // Fewer than it has said before: a late word, or that of one that gave up and began
            // again by a late offer, whom nothing helps that is still to be sent.
            guard var stream = transfer.stream, count >= stream.acknowledged else { return }
            transfer.stream = nil
            if stream.taken(count) { transfer.resendInterval = tunables.resendInterval }
            transfer.stream = stream
        }
        transfer.heardAt = source.now
        transfer.due = source.now + transfer.resendInterval
        transfers[id] = transfer
        proceed(id, source, into: &actions)
    }

    /// A record that was asked for.
    package mutating func stored(
        _ ticket: StorageTicket, _ result: StorageResult, _ source: Source,
        into actions: inout [Action]
    ) {
        let id = tickets.redeem(ticket)
        // It may have been for a transfer that is over.
        let isAwaited = transfers.update(id) { $0.stream?.awaited == ticket } ?? false
        guard isAwaited else { return }
        var lost: FileName?
        transfers.update(id) { lost = $0.stream?.take(result, source.history) }
        if let lost { actions.append(.unreadable(lost, id)) }
        proceed(id, source, into: &actions)
    }

    package mutating func deadline(_ source: Source, into actions: inout [Action]) {
        if wantsStep {
            wantsStep = false
            for (id, _) in targets { proceed(id, source, into: &actions) }
        }
        for (id, transfer) in transfers where transfer.due <= source.now {
            expire(transfer, of: id, source, into: &actions)
        }
    }

    private mutating func expire(
        _ before: Transfer, of id: ServerID, _ source: Source, into actions: inout [Action]
    ) {
        var transfer = before
        guard let stream = transfer.stream else {
            transfer.due = source.now + tunables.offerInterval
            transfers[id] = transfer
            return actions.append(.send(id, message(transfer, .offer)))
        }
        guard source.now - transfer.heardAt < tunables.patience else {
            // It begins anew, with an offer: what was pinned for it is let go meanwhile.
            end(id, at: source.now, into: &actions)
            return begin(id, source, into: &actions)
        }
        for (place, part) in stream.window {
            actions.append(.send(id, message(transfer, .part(place, part))))
        }
        transfer.resendInterval = min(
            transfer.resendInterval + transfer.resendInterval, tunables.longestResendInterval)
        transfer.due = source.now + transfer.resendInterval
        transfers[id] = transfer
    }

    /// Sends another part, if there is room for it on the way.
    private mutating func proceed(
        _ id: ServerID, _ source: Source, into actions: inout [Action]
    ) {
        // Taken out while it works, so that nothing it holds is copied.
        guard var transfer = transfers[id], var stream = transfer.stream else { return }
        transfer.stream = nil
        transfers[id] = transfer
        switch stream.next(source.history, tunables) {
        case .part(let place, let part):
            actions.append(.send(id, message(transfer, .part(place, part))))
            wantsStep = true
        case .more: wantsStep = true
        case .read(let operation):
            var requests: [StorageRequest] = []
            tickets.ask(operation, id, into: &requests)
            for request in requests {
                stream.awaited = request.ticket
                actions.append(.read(request.ticket, request.operation))
            }
        case .wait: break
        }
        transfer.stream = stream
        transfers[id] = transfer
    }

    private func message(_ transfer: Transfer, _ body: TransferMessage.Body) -> TransferMessage {
        TransferMessage(term: transfer.term, number: transfer.number, body: body)
    }
}
