// The only place that knows how the replicated state is read. Everything here is incremental: a
// step that applied nothing costs nothing, and what did not change is recognised without decoding.
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

struct JobSight {
    let name: JobName
    var bytes: [UInt8]
    var state: JobState
    var documentBytes: [UInt8]
    var document: JobDocument
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
    /// Groups that left the active table, with their last record where it is still stored.
    var endedGroups: [(before: GroupSight, after: Group?)] = []
    var isEmpty: Bool {
        created.isEmpty && changed.isEmpty && removed.isEmpty && newGroups.isEmpty
            && newExecutions.isEmpty && executions.isEmpty && endedGroups.isEmpty
    }
}

struct StoreView {
    private(set) var appliedIndex: LogIndex = 0
    private(set) var hash = RecordHash.zero
    private(set) var cluster = ClusterState()
    /// Jobs in the order of their names.
    private(set) var jobs: [JobSight] = []
    /// Active groups by key.
    private(set) var groups: [ByteKey: GroupSight] = [:]

    // First bytes of the keys of tables (see Core's Store+Keys).
    private static let documentTable: UInt8 = 0x44
    private static let stateTable: UInt8 = 0x53
    private static let groupTable: UInt8 = 0x47
    private static let activeTable: UInt8 = 0x55
    private static let executionTable: UInt8 = 0x45

    /// Looks at the store after a step. Returns nil if nothing was applied since the last look, or
    /// while a node that was started again has not yet come back to where it was.
    mutating func look(at store: Store) -> StoreChanges? {
        guard store.appliedIndex > appliedIndex else { return nil }
        appliedIndex = store.appliedIndex
        hash = store.hash
        cluster = store.cluster
        var changes = StoreChanges()
        lookAtJobs(store, &changes)
        lookAtGroups(store, &changes)
        return changes
    }

    private mutating func lookAtJobs(_ store: Store, _ changes: inout StoreChanges) {
        var position = 0
        var kept: [JobSight]?
        for (key, bytes) in store.records(ofTable: Self.stateTable) {
            if position < jobs.count, jobs[position].bytes == bytes {
                kept?.append(jobs[position])
                position += 1
                continue
            }
            let name = JobName(String(decoding: key.bytes.dropFirst(), as: UTF8.self))
            // Names come in order on both sides: what is smaller here is gone there.
            if kept == nil { kept = Array(jobs[..<position]) }
            while position < jobs.count, jobs[position].name < name {
                changes.removed.append(jobs[position])
                position += 1
            }
            let old = position < jobs.count && jobs[position].name == name ? jobs[position] : nil
            guard let sight = Self.sight(of: name, key, bytes, old, store) else { continue }
            if position < jobs.count, jobs[position].name == name {
                let before = jobs[position]
                position += 1
                if before.bytes == bytes {
                    // Reached only after a removal before it.
                } else if before.state.generation == sight.state.generation {
                    changes.changed.append((before, sight))
                } else {
                    changes.removed.append(before)
                    changes.created.append(sight)
                }
            } else {
                changes.created.append(sight)
            }
            kept!.append(sight)
        }
        if position < jobs.count {
            if kept == nil { kept = Array(jobs[..<position]) }
            changes.removed += jobs[position...]
        }
        if let kept { jobs = kept }
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
        if var sight = old, sight.documentBytes == documentBytes {
            sight.bytes = bytes
            sight.state = state
            return sight
        }
        return store.document(name).map {
            JobSight(
                name: name, bytes: bytes, state: state, documentBytes: documentBytes, document: $0)
        }
    }

    private mutating func lookAtGroups(_ store: Store, _ changes: inout StoreChanges) {
        var seen = 0
        var active: [ByteKey] = []
        for (key, owner) in store.records(ofTable: Self.activeTable) {
            var groupKey = key.bytes
            groupKey[0] = Self.groupTable
            let place = ByteKey(groupKey)
            active.append(place)
            seen += 1
            guard let bytes = store.bytes(place) else { continue }
            if groups[place]?.bytes == bytes {
                lookAtExecutions(of: place, store, &changes)
                continue
            }
            let generation = Self.number(key.bytes, at: 1)
            let id = Int64(bitPattern: Self.number(key.bytes, at: 9) ^ 1 << 63)
            guard let group = store.group(generation, id) else { continue }
            if groups[place] == nil {
                let name = JobName(String(decoding: owner, as: UTF8.self))
                groups[place] = GroupSight(
                    job: name, generation: generation, bytes: bytes, group: group)
                changes.newGroups.append(groups[place]!)
            } else {
                groups[place]!.bytes = bytes
                groups[place]!.group = group
            }
            lookAtExecutions(of: place, store, &changes)
        }
        guard seen < groups.count else { return }
        let current = Set(active)
        for place in groups.keys.filter({ !current.contains($0) }).sorted() {
            lookAtExecutions(of: place, store, &changes)
            let sight = groups.removeValue(forKey: place)!
            let id = sight.group.id
            var last = sight
            if let bytes = store.bytes(place), bytes != sight.bytes,
                let group = store.group(sight.generation, id)
            {
                last.group = group
                Self.noticeNewAttempts(&last, place, store, &changes)
            }
            changes.endedGroups.append(
                (last, store.group(sight.generation, id)))
        }
    }

    private mutating func lookAtExecutions(
        of place: ByteKey, _ store: Store, _ changes: inout StoreChanges
    ) {
        for (number, known) in groups[place]!.executions where !known.execution.state.isEnded {
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
        return jobs.first { $0.name == wanted }
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
