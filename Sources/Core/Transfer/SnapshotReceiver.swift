// A follower's side of transfers.

/// Takes the live state and the outputs from the leader.
///
/// Events: `receive` for every message; `proceed` in each step; `written` and `diskFailed` when the
/// snapshot on the disk has ended; `drop` when the term is over; `deadline` when `nextDeadline` has
/// come.
///
/// The state goes into a snapshot under a temporary name, and into memory beside the present one.
/// Outputs go straight into the history: those of entries that are not applied here are not seen by
/// a reader, and a start drops what is newer than its snapshot. So a crash, or the end of a
/// transfer halfway, leaves everything as it was; and the name of the snapshot, which it gets when
/// all outputs are durable, makes all of it new at once.
package struct SnapshotReceiver: Sendable {
    package enum Action: Hashable, Sendable {
        case send(ServerID, TransferMessage)
        /// Begin a snapshot on the disk; or `refuse`, if the log has all that it has.
        case begin(SnapshotHead)
        case write(slice: [UInt8])
        case append(HistoryChunk)
        /// Make the outputs durable.
        case syncOutputs(through: LogIndex)
        /// Give the snapshot its name.
        case finish
        /// Remove the snapshot under way.
        case abandon
        /// A transfer was given up for this reason.
        case failed(ServerID, String)
    }

    /// What the follower is at the moment.
    package struct Place {
        package var now: Instant
        package var term: Term
        package var leader: ServerID?
        package var appliedIndex: LogIndex
        /// A snapshot is being written, this one or the follower's own.
        package var isWriting: Bool
        package var wantsSlice: Bool
        /// Outputs of entries through here are durable, of those that `syncOutputs` asked for.
        package var durableOutputs: LogIndex
        /// Bytes of outputs that wait for the disk.
        package var backlog: Int

        package init(
            now: Instant, term: Term, leader: ServerID?, appliedIndex: LogIndex, isWriting: Bool,
            wantsSlice: Bool, durableOutputs: LogIndex, backlog: Int
        ) {
            self.now = now
            self.term = term
            self.leader = leader
            self.appliedIndex = appliedIndex
            self.isWriting = isWriting
            self.wantsSlice = wantsSlice
            self.durableOutputs = durableOutputs
            self.backlog = backlog
        }
    }

    private enum Stage: Sendable {
        /// Nothing has come yet.
        case ready
        case filling
        /// Everything is here, and the outputs become durable.
        case syncing
        /// The snapshot gets its name. Nothing takes that back.
        case naming
    }

    private struct Incoming: Sendable {
        let sender: ServerID
        let term: Term
        let number: UInt64
        var stage = Stage.ready
        var head: SnapshotHead?
        /// Chunks of entries through here are in the history.
        var outputsThrough: LogIndex
        /// Parts taken, and the number of the next one.
        var taken: UInt64 = 0
        /// Parts that came early, or wait for the disk.
        var waiting = SortedMap<UInt64, TransferPart>()
        var heardAt: Instant

        func isNamed(by message: TransferMessage, from id: ServerID) -> Bool {
            sender == id && term == message.term && number == message.number
        }
    }

    private let tunables: TransferTunables
    private let recordLimit: Int
    private var incoming: Incoming?
    /// The state so far. Apart, so that nobody who looks at the rest holds a copy.
    private var state = Store()
    /// States of transfers that were given up.
    package var discarded = DiscardedRecords()

    /// - Parameter recordLimit: the most bytes that the snapshot and the history take at once.
    package init(recordLimit: Int, tunables: TransferTunables = TransferTunables()) {
        self.recordLimit = recordLimit
        self.tunables = tunables
    }

    /// A transfer is under way.
    package var isActive: Bool { incoming != nil }
    /// The snapshot that the disk writes is a transfer's.
    package var ownsSnapshot: Bool {
        switch incoming?.stage {
        case .filling, .syncing, .naming: true
        case .ready, nil: false
        }
    }

    package var nextDeadline: Instant? { incoming.map { $0.heardAt + tunables.patience } }

    package mutating func receive(
        _ message: TransferMessage, from id: ServerID, at place: Place,
        into actions: inout [Action]
    ) {
        switch message.body {
        case .offer: accept(message, from: id, at: place, into: &actions)
        case .part(let number, let part):
            guard incoming?.isNamed(by: message, from: id) ?? false else {
                return actions.append(.send(id, Self.over(message)))
            }
            incoming?.heardAt = place.now
            take(part, number, at: place, into: &actions)
        case .over:
            if incoming?.isNamed(by: message, from: id) ?? false { drop(into: &actions) }
        case .ready, .taken: break
        }
    }

    private static func over(_ message: TransferMessage) -> TransferMessage {
        TransferMessage(term: message.term, number: message.number, body: .over)
    }

    private mutating func accept(
        _ message: TransferMessage, from id: ServerID, at place: Place,
        into actions: inout [Action]
    ) {
        // Of a later term consensus hears soon, and the offer is repeated.
        guard message.term == place.term, id == place.leader else { return }
        if let incoming, incoming.isNamed(by: message, from: id) {
            guard case .ready = incoming.stage else { return }
        } else {
            if case .naming = incoming?.stage { return }
            drop(into: &actions)
            incoming = Incoming(
                sender: id, term: message.term, number: message.number,
                outputsThrough: place.appliedIndex, heardAt: place.now)
        }
        incoming?.heardAt = place.now
        let index = incoming?.outputsThrough ?? 0
        actions.append(.send(id, answer(.ready(outputsThrough: index))))
    }

    private mutating func take(
        _ part: TransferPart, _ number: UInt64, at place: Place, into actions: inout [Action]
    ) {
        guard let incoming else { return }
        let expected = incoming.taken..<incoming.taken + tunables.windowParts
        switch incoming.stage {
        case .ready, .filling:
            if expected.contains(number), !incoming.waiting.contains(number) {
                self.incoming?.waiting[number] = part
                return proceed(at: place, into: &actions)
            }
        case .syncing, .naming: break
        }
        // It came before: the answer may be lost.
        actions.append(.send(incoming.sender, answer(.taken(incoming.taken))))
    }

    /// Takes one part if the disk does. O(a part).
    package mutating func proceed(at place: Place, into actions: inout [Action]) {
        switch incoming?.stage {
        case .ready, .filling:
            guard wantsStep(at: place), let next = incoming?.taken,
                let part = incoming?.waiting.remove(next)
            else { return }
            do throws(TransferFault) {
                try take(part, at: place, into: &actions)
            } catch {
                return fail(error.reason, into: &actions)
            }
            guard let incoming else { return }
            actions.append(.send(incoming.sender, answer(.taken(incoming.taken))))
        case .syncing:
            guard let head = incoming?.head, place.durableOutputs >= head.index, place.wantsSlice
            else { return }
            incoming?.stage = .naming
            actions.append(.finish)
        case .naming, nil: break
        }
    }

    /// A part is there that the disk would take: another step does it.
    package func wantsStep(at place: Place) -> Bool {
        switch incoming?.stage {
        case .ready, .filling:
            guard let incoming, let part = incoming.waiting[incoming.taken] else { return false }
            // What is out of place is taken, and found to be so.
            return part.isHead == (incoming.head != nil) || mayTake(part, at: place)
        case .syncing, .naming, nil: return false
        }
    }

    private func mayTake(_ part: TransferPart, at place: Place) -> Bool {
        switch part {
        case .head: !place.isWriting
        case .slice, .end: place.wantsSlice
        case .outputs: place.backlog < tunables.backlog
        }
    }

    private mutating func take(
        _ part: TransferPart, at place: Place, into actions: inout [Action]
    ) throws(TransferFault) {
        let isFilling = incoming?.head != nil
        guard isFilling != part.isHead else { throw TransferFault("a part is out of place") }
        // The last part counts as taken when all is done: until then the leader asks for it.
        if !part.isEnd { incoming?.taken += 1 }
        switch part {
        case .head(let head):
            guard (try? RaftConfiguration(decoding: head.meta)) != nil else {
                throw TransferFault("its configuration can't be read")
            }
            incoming?.head = head
            incoming?.stage = .filling
            incoming?.outputsThrough = place.appliedIndex
            actions.append(.begin(head))
        case .slice(let records):
            guard !records.isEmpty, records.count <= recordLimit else {
                throw TransferFault("a slice has \(records.count) bytes")
            }
            do throws(ByteError) { try state.restore(slice: records) } catch {
                throw TransferFault("a slice can't be read: \(error)")
            }
            actions.append(.write(slice: records))
        case .outputs(let records):
            for record in records { try take(output: record, into: &actions) }
        case .end(let hash):
            guard let incoming, let head = incoming.head, state.hash == hash else {
                throw TransferFault("the state is not the leader's")
            }
            self.incoming?.stage = .syncing
            actions.append(.syncOutputs(through: head.index))
        }
    }

    private mutating func take(
        output record: [UInt8], into actions: inout [Action]
    ) throws(TransferFault) {
        guard let incoming, let head = incoming.head, record.count <= recordLimit,
            let chunk = HistoryChunk(record: record), chunk.index <= head.index
        else { throw TransferFault("an output can't be read") }
        // What was applied here is here, and what a snapshot relies on must not move to the end.
        if chunk.index > incoming.outputsThrough { actions.append(.append(chunk)) }
    }

    // MARK: The end

    /// The snapshot on the disk has its name.
    /// - Returns: its state, if it is a transfer's.
    package mutating func written(into actions: inout [Action]) -> Store? {
        guard let done = incoming, case .naming = done.stage, let head = done.head else {
            return nil
        }
        actions.append(.send(done.sender, answer(.over)))
        incoming = nil
        state.finishRestoring(at: head.index)
        defer { state = Store() }
        return state
    }

    /// The disk gave the snapshot up: it is full.
    package mutating func diskFailed(_ reason: String, into actions: inout [Action]) {
        guard let incoming, ownsSnapshot else { return }
        actions.append(.failed(incoming.sender, reason))
        end(into: &actions)
    }

    /// Nothing that the snapshot has is needed: none was begun on the disk.
    package mutating func refuse(into actions: inout [Action]) { end(into: &actions) }

    /// Gives the transfer up, unless it is as good as installed.
    package mutating func drop(into actions: inout [Action]) {
        guard let incoming else { return }
        switch incoming.stage {
        case .naming: return
        case .filling, .syncing: actions.append(.abandon)
        case .ready: break
        }
        end(into: &actions)
    }

    /// Gives up what belongs to an earlier term: its leader leads no more.
    package mutating func enter(_ term: Term, into actions: inout [Action]) {
        if let incoming, incoming.term != term { drop(into: &actions) }
    }

    package mutating func deadline(at now: Instant, into actions: inout [Action]) {
        guard let incoming, incoming.heardAt + tunables.patience <= now else { return }
        switch incoming.stage {
        case .ready: end(into: &actions)
        case .filling, .syncing: fail("it has been silent for too long", into: &actions)
        case .naming: self.incoming?.heardAt = now
        }
    }

    private mutating func fail(_ reason: String, into actions: inout [Action]) {
        guard let incoming else { return }
        actions.append(.failed(incoming.sender, reason))
        drop(into: &actions)
    }

    private mutating func end(into actions: inout [Action]) {
        guard let ended = incoming else { return }
        actions.append(.send(ended.sender, answer(.over)))
        incoming = nil
        discarded.add(state)
        state = Store()
    }

    /// A message about the transfer under way.
    private func answer(_ body: TransferMessage.Body) -> TransferMessage {
        TransferMessage(term: incoming?.term ?? 0, number: incoming?.number ?? 0, body: body)
    }
}

/// Why a part can't be taken.
private struct TransferFault: Error {
    var reason: String
    init(_ reason: String) { self.reason = reason }
}

extension TransferPart {
    fileprivate var isHead: Bool { if case .head = self { true } else { false } }
    fileprivate var isEnd: Bool { if case .end = self { true } else { false } }
}
