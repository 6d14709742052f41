// The only place that knows how the replicated state is read. Everything here is incremental: the
// store tells which records an entry wrote or removed, whatever wrote them, and only those are
// looked at; what did not change by that is recognised without decoding.
// The store is read through its own methods: its map is generic, and slow from outside the core.

import Core

/// What the judges see of a group that has not ended.
struct GroupSight {
    let job: JobName
    let generation: Generation
    var bytes: [UInt8]
    var group: Group
    var executions: [Int64: ExecutionSight] = [:]
}

struct ExecutionSight {
    var bytes: [UInt8]
    var execution: Execution
}

/// A class, because it is large and handed from judge to judge; it never changes.
final class JobSight: Sendable {
    let name: JobName
    let bytes: [UInt8]
    let state: JobState
    let documentBytes: [UInt8]
    let document: JobDocument

    init(
        name: JobName, bytes: [UInt8], state: JobState, documentBytes: [UInt8],
        document: JobDocument
    ) {
        self.name = name
        self.bytes = bytes
        self.state = state
        self.documentBytes = documentBytes
        self.document = document
    }
}

/// What changed since the last look.
struct StoreChanges {
    var created: [JobSight] = []
    /// Before and after, same generation.
    var changed: [(before: JobSight, after: JobSight)] = []
    var removed: [JobSight] = []
    var newGroups: [GroupSight] = []
    var newExecutions: [(group: GroupSight, execution: Execution)] = []
    /// An execution's record before and after.
    var executions: [(group: GroupSight, before: Execution, after: Execution)] = []
    /// Attempts that were to be tried again and are not any more, in groups that go on.
    var calledOff: [(group: GroupSight, number: Int64)] = []
    /// Groups that left the active table, with their last record where it is still stored.
    var endedGroups: [(before: GroupSight, after: Group?)] = []
    /// Whose ledger gained, extended or lost a row.
    var ledgers: Set<Generation> = []
    var isEmpty: Bool {
        created.isEmpty && changed.isEmpty && removed.isEmpty && newGroups.isEmpty
            && newExecutions.isEmpty && executions.isEmpty && calledOff.isEmpty
            && endedGroups.isEmpty
    }
}

struct StoreView {
    private(set) var cluster = ClusterState()
    /// Jobs in the order of their names.
    private(set) var jobs: [JobSight] = []
    /// Active groups by key.
    private(set) var groups: [ByteKey: GroupSight] = [:]
    /// The last execution decided for a data directory that the node of a name has no more.
    private(set) var lastFormerNumbers: [NodeName: Int64] = [:]

    // First bytes of the keys of tables (see Core's Store+Keys).
    private static let documentTable: UInt8 = 0x44
    private static let stateTable: UInt8 = 0x53
    private static let groupTable: UInt8 = 0x47
    private static let activeTable: UInt8 = 0x55
    private static let executionTable: UInt8 = 0x45
    private static let ledgerTable: UInt8 = 0x4c
    private static let nodeTable: UInt8 = 0x4e

    /// Looks at what an entry did to the store.
    /// - Parameter keys: of the records that it wrote or removed, in any order, repeated or not.
    mutating func look(at store: Store, changed keys: [ByteKey]) -> StoreChanges {
        cluster = store.cluster
        var changes = StoreChanges()
        var states: [ByteKey] = []
        var places: [ByteKey] = []
        for key in keys {
            switch key.bytes.first {
            case Self.stateTable: states.append(key)
            case Self.groupTable: places.append(key)
            case Self.nodeTable:
                let name = NodeName(String(decoding: key.bytes.dropFirst(), as: UTF8.self))
                lastFormerNumbers[name] = store.rememberedNode(name)?.lastFormerNumber
            case Self.ledgerTable: changes.ledgers.insert(Self.number(key.bytes, at: 1))
            case Self.activeTable: places.append(Self.groupPlace(ofActive: key))
            case Self.executionTable:
                // One that is gone went with its group or left it earlier.
                guard
                    let execution = store.execution(
                        ExecutionKey(
                            generation: Self.number(key.bytes, at: 1),
                            number: Int64(bitPattern: Self.number(key.bytes, at: 9) ^ 1 << 63)))
                else { continue }
                places.append(Self.groupPlace(of: key, execution.group))
            default: continue
            }
        }
        for key in Self.distinct(states) { lookAtJob(key, store, &changes) }
        lookAtGroups(Self.distinct(places), store, &changes)
        return changes
    }

    private static func distinct(_ keys: [ByteKey]) -> [ByteKey] {
        guard keys.count > 1 else { return keys }
        var found: [ByteKey] = []
        for key in keys.sorted() where found.last != key { found.append(key) }
        return found
    }

    private mutating func lookAtJob(
        _ key: ByteKey, _ store: Store, _ changes: inout StoreChanges
    ) {
        let name = JobName(String(decoding: key.bytes.dropFirst(), as: UTF8.self))
        let position = position(of: name)
        let old = position < jobs.count && jobs[position].name == name ? jobs[position] : nil
        let bytes = store.bytes(key)
        if let bytes, bytes == old?.bytes { return }
        let new = bytes.flatMap { Self.sight(of: name, key, $0, old, store) }
        switch (old, new) {
        case (nil, nil): break
        case (nil, let new?):
            changes.created.append(new)
            jobs.insert(new, at: position)
        case (let old?, nil):
            changes.removed.append(old)
            jobs.remove(at: position)
        case (let old?, let new?):
            if old.state.generation == new.state.generation {
                changes.changed.append((old, new))
            } else {
                changes.removed.append(old)
                changes.created.append(new)
            }
            jobs[position] = new
        }
    }

    /// The place of a job in the order of names.
    private func position(of name: JobName) -> Int {
        var low = 0
        var high = jobs.count
        while low < high {
            let middle = (low + high) / 2
            if jobs[middle].name < name { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// A job as the store has it. Most changes are of its state alone: the document before is good
    /// for the same bytes.
    private static func sight(
        of name: JobName, _ key: ByteKey, _ bytes: [UInt8], _ old: JobSight?, _ store: Store
    ) -> JobSight? {
        var documentKey = key.bytes
        documentKey[0] = documentTable
        guard let state = store.state(name),
            let documentBytes = store.bytes(ByteKey(documentKey))
        else { return nil }
        if let old, old.documentBytes == documentBytes {
            return JobSight(
                name: name, bytes: bytes, state: state, documentBytes: old.documentBytes,
                document: old.document)
        }
        return store.document(name).map {
            JobSight(
                name: name, bytes: bytes, state: state, documentBytes: documentBytes, document: $0)
        }
    }

    private mutating func lookAtGroups(
        _ places: [ByteKey], _ store: Store, _ changes: inout StoreChanges
    ) {
        var ended: [ByteKey] = []
        for place in places {
            var activeKey = place.bytes
            activeKey[0] = Self.activeTable
            guard let owner = store.bytes(ByteKey(activeKey)) else {
                if groups[place] != nil { ended.append(place) }
                continue
            }
            guard let bytes = store.bytes(place) else { continue }
            let known = groups[place]?.bytes
            if known != bytes {
                let generation = Self.number(place.bytes, at: 1)
                let id = Int64(bitPattern: Self.number(place.bytes, at: 9) ^ 1 << 63)
                guard let group = store.group(generation, id) else { continue }
                if known == nil {
                    let name = JobName(String(decoding: owner, as: UTF8.self))
                    let sight = GroupSight(
                        job: name, generation: generation, bytes: bytes, group: group)
                    groups[place] = sight
                    changes.newGroups.append(sight)
                } else {
                    let before = groups[place]!.group
                    groups[place]!.bytes = bytes
                    groups[place]!.group = group
                    for (old, new) in zip(before.targets, group.targets)
                    where old.retryDue != nil && new.retryDue == nil {
                        guard let number = new.attempts.last, number == old.attempts.last else {
                            continue
                        }
                        changes.calledOff.append((groups[place]!, number))
                    }
                }
            }
            lookAtExecutions(of: place, store, &changes)
        }
        for place in ended { lookAtEnd(of: place, store, &changes) }
    }

    /// A group that is no longer active.
    private mutating func lookAtEnd(
        of place: ByteKey, _ store: Store, _ changes: inout StoreChanges
    ) {
        lookAtExecutions(of: place, store, &changes)
        var last = groups.removeValue(forKey: place)!
        let group = store.group(last.generation, last.group.id)
        if let bytes = store.bytes(place), bytes != last.bytes, let group {
            last.group = group
            Self.noticeNewAttempts(&last, place, store, &changes)
        }
        changes.endedGroups.append((last, group))
    }

    private mutating func lookAtExecutions(
        of place: ByteKey, _ store: Store, _ changes: inout StoreChanges
    ) {
        for (number, known) in groups[place]!.executions
        where !known.execution.state.isEnded || known.execution.isProcessing {
            let key = Self.executionKey(place, number)
            guard let bytes = store.bytes(key), bytes != known.bytes,
                let execution = store.execution(
                    ExecutionKey(generation: groups[place]!.generation, number: number))
            else { continue }
            groups[place]!.executions[number] = ExecutionSight(bytes: bytes, execution: execution)
            changes.executions.append((groups[place]!, known.execution, execution))
        }
        Self.noticeNewAttempts(&groups[place]!, place, store, &changes)
    }

    /// Static: a method that reads `self` beside one of its groups would copy all of them.
    private static func noticeNewAttempts(
        _ sight: inout GroupSight, _ place: ByteKey, _ store: Store, _ changes: inout StoreChanges
    ) {
        for number in sight.group.targets.flatMap(\.attempts)
        where sight.executions[number] == nil {
            guard let bytes = store.bytes(executionKey(place, number)),
                let execution = store.execution(
                    ExecutionKey(generation: sight.generation, number: number))
            else { continue }
            sight.executions[number] = ExecutionSight(bytes: bytes, execution: execution)
            changes.newExecutions.append((sight, execution))
            if execution.state != .pending {
                // Created and moved on within one step.
                var pending = execution
                pending.state = .pending
                changes.executions.append((sight, pending, execution))
            }
        }
    }

    private static func groupPlace(ofActive key: ByteKey) -> ByteKey {
        var bytes = key.bytes
        bytes[0] = groupTable
        return ByteKey(bytes)
    }

    private static func groupPlace(of execution: ByteKey, _ group: GroupID) -> ByteKey {
        var key = executionKey(execution, group).bytes
        key[0] = groupTable
        return ByteKey(key)
    }

    private static func executionKey(_ group: ByteKey, _ number: Int64) -> ByteKey {
        var bytes = Array(group.bytes[0..<9])
        bytes[0] = executionTable
        let ordered = UInt64(bitPattern: number) ^ 1 << 63
        for shift in stride(from: 56, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: ordered >> UInt64(shift)))
        }
        return ByteKey(bytes)
    }

    /// Every execution of a store. O(n).
    static func executions(in store: Store) -> [ExecutionKey] {
        store.records(ofTable: executionTable).map { key, _ in
            ExecutionKey(
                generation: number(key.bytes, at: 1),
                number: Int64(bitPattern: number(key.bytes, at: 9) ^ 1 << 63))
        }
    }

    private static func number(_ bytes: [UInt8], at offset: Int) -> UInt64 {
        bytes[offset..<offset + 8].reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// A job by name, as last seen.
    func job(_ name: String) -> JobSight? {
        let wanted = JobName(name)
        let position = position(of: wanted)
        return position < jobs.count && jobs[position].name == wanted ? jobs[position] : nil
    }

    /// Rows of ticks that a job's ledger gained or extended after the row at `place`, oldest first.
    static func rows(
        of generation: Generation, after place: LedgerPlace?, in store: Store
    ) -> [(place: LedgerPlace, row: LedgerRow)] {
        var found: [(place: LedgerPlace, row: LedgerRow)] = []
        var before: LedgerPlace?
        // Mostly there is one.
        var limit = 2
        while true {
            let page = store.ledger(of: generation, before: before, limit: limit)
            for entry in page {
                if let place, entry.place < place { return found.reversed() }
                found.append(entry)
            }
            guard page.count == limit, found.count < 4_096 else { return found.reversed() }
            before = page.last!.place
            limit = 16
        }
    }
}
