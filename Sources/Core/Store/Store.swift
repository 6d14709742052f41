// The replicated state: one ordered map from keys to packed records. Tables are key prefixes, so
// the state hash, snapshots and copies know nothing of jobs or executions, and a new table is a new
// prefix. Documents lie apart from the hot state of a job: a tick rewrites about a hundred bytes.
//
// Nothing here reads a clock, a generator or a zone: what `apply` needs is in the command.

/// The state that every server of the cluster holds alike.
package struct Store {
    /// Every record, by key.
    package private(set) var records = SortedMap<ByteKey, [UInt8]>()
    /// The sum of the hashes of all records: equal on every server at the same index.
    package private(set) var hash = RecordHash.zero
    /// Index of the last entry that was applied.
    package var appliedIndex: LogIndex = 0
    /// The facts of the cluster as a whole, decoded; `persistCluster` writes them back.
    package var cluster = ClusterState()

    /// How many jobs the entry being applied has created (a restore creates many). Not a part of
    /// the state: it says nothing once the entry is applied.
    var createdByEntry: (index: LogIndex, count: Int) = (0, 0)

    /// Keys of the records written or removed since `watchKeys`, in that order, each as often as it
    /// was; nil while nobody watches. Not a part of the state.
    package private(set) var changedKeys: [ByteKey]?

    package init() {}

    // MARK: Records

    /// A record. O(log n).
    package func bytes(_ key: ByteKey) -> [UInt8]? { records[key] }

    /// From here on the store tells which records change: an observer that looks after each entry
    /// need not go through all of them.
    package mutating func watchKeys() {
        if changedKeys?.removeAll(keepingCapacity: true) == nil { changedKeys = [] }
    }

    mutating func put(_ key: ByteKey, _ value: [UInt8]) {
        changedKeys?.append(key)
        if let old = records.updateValue(value, forKey: key) {
            hash &-= Self.hash(key, old)
        } else {
            counters.count(key, 1)
        }
        hash &+= Self.hash(key, value)
    }

    mutating func remove(_ key: ByteKey) {
        guard let old = records.remove(key) else { return }
        changedKeys?.append(key)
        hash &-= Self.hash(key, old)
        counters.count(key, -1)
    }

    /// Takes a record from a snapshot.
    package mutating func restore(key: [UInt8], value: [UInt8]) {
        put(ByteKey(key), value)
    }

    /// Ends a restore from a snapshot taken at `index`.
    package mutating func finishRestoring(at index: LogIndex) {
        if let bytes = records[Key.cluster] { cluster = ClusterState(stored: bytes) }
        appliedIndex = index
    }

    mutating func persistCluster() { put(Key.cluster, cluster.encoded) }

    /// Of the key's length as a varint, the key and the value. Joined on the stack: every change
    /// of a record hashes two.
    static func hash(_ key: ByteKey, _ value: [UInt8]) -> RecordHash {
        let most = key.bytes.count + value.count + 10
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: most) { bytes in
            var end = 0
            var length = key.bytes.count
            while length >= 0x80 {
                bytes[end] = UInt8(truncatingIfNeeded: length) | 0x80
                length >>= 7
                end += 1
            }
            bytes[end] = UInt8(truncatingIfNeeded: length)
            end = bytes[(end + 1)...].update(fromContentsOf: key.bytes)
            end = bytes[end...].update(fromContentsOf: value)
            return RecordHash(of: bytes.span.extracting(first: end))
        }
    }

    // MARK: Jobs

    /// How many records some tables have, kept beside the map so that no one has to count.
    package private(set) var counters = Counters()

    package struct Counters: Hashable, Sendable {
        package var jobs = 0
        package var activeGroups = 0
        package var executions = 0
        /// Executions whose processors have not all run.
        package var processing = 0
        /// Executions and ticks of which somebody is still to be told.
        package var notices = 0

        fileprivate mutating func count(_ key: ByteKey, _ step: Int) {
            switch key.bytes.first {
            case Key.Table.state.rawValue: jobs += step
            case Key.Table.active.rawValue: activeGroups += step
            case Key.Table.execution.rawValue: executions += step
            case Key.Table.processing.rawValue: processing += step
            case Key.Table.notice.rawValue: notices += step
            default: break
            }
        }
    }

    package func document(_ name: JobName) -> JobDocument? {
        records[Key.document(name)].map { JobDocument(stored: $0) }
    }

    package func state(_ name: JobName) -> JobState? {
        records[Key.state(name)].map { JobState(stored: $0) }
    }

    package func hasJob(_ name: JobName) -> Bool { records.contains(Key.state(name)) }

    /// The first job whose name is at or after `name` (after it, if `exclusive`).
    package func job(from name: JobName, exclusive: Bool) -> JobName? {
        let key = Key.state(name)
        let entry = exclusive ? records.next(after: key) : records.first(atOrAfter: key)
        guard let entry, entry.key.bytes.first == Key.Table.state.rawValue else { return nil }
        return Key.jobName(of: entry.key)
    }

    mutating func put(_ document: JobDocument) {
        put(Key.document(document.name), document.encoded)
    }

    mutating func put(_ name: JobName, _ state: JobState) { put(Key.state(name), state.encoded) }

    mutating func removeJob(_ name: JobName) {
        remove(Key.document(name))
        remove(Key.state(name))
    }

    // MARK: Groups and executions

    package func group(_ generation: Generation, _ id: GroupID) -> Group? {
        records[Key.group(generation, id)].map { Group(stored: $0) }
    }

    package func execution(_ key: ExecutionKey) -> Execution? {
        records[Key.execution(key)].map { Execution(stored: $0) }
    }

    mutating func put(_ generation: Generation, _ group: Group) {
        put(Key.group(generation, group.id), group.encoded)
    }

    mutating func put(_ generation: Generation, _ execution: Execution) {
        put(
            Key.execution(ExecutionKey(generation: generation, number: execution.number)),
            execution.encoded)
    }

    /// Groups of one job, newest first, beginning with the newest before `id` (nil: the newest).
    package func groups(
        of generation: Generation, before id: GroupID? = nil, limit: Int = .max
    ) -> [Group] {
        var found: [Group] = []
        var end = Key.group(generation, id ?? .max)
        let table = Key.prefix(.group, generation)
        while found.count < limit, let entry = records.last(before: end),
            entry.key.bytes.starts(with: table)
        {
            found.append(Group(stored: entry.value))
            end = entry.key
        }
        return found
    }

    /// Groups that have not ended, of one job, oldest first. The bound is `activeGroups`.
    package func activeGroups(of generation: Generation) -> [GroupID] {
        keys(withPrefix: Key.prefix(.active, generation)).map { Key.lastNumber(of: $0) }
    }

    /// Every group that has not ended, with its job, in pages: those after the given place.
    package func activeGroups(
        after place: (Generation, GroupID)?, limit: Int
    ) -> [(job: JobName, generation: Generation, group: GroupID)] {
        var found: [(job: JobName, generation: Generation, group: GroupID)] = []
        var cursor = ByteKey(
            place.map { Key.active($0.0, $0.1).bytes } ?? [Key.Table.active.rawValue])
        while found.count < limit, let entry = records.next(after: cursor),
            entry.key.bytes.first == Key.Table.active.rawValue
        {
            cursor = entry.key
            let name = JobName(String(decoding: entry.value, as: UTF8.self))
            found.append((name, Key.generation(of: cursor), Key.lastNumber(of: cursor)))
        }
        return found
    }

    mutating func markActive(_ generation: Generation, _ group: GroupID, job: JobName) {
        put(Key.active(generation, group), Array(job.text.utf8))
    }

    mutating func unmarkActive(_ generation: Generation, _ group: GroupID) {
        remove(Key.active(generation, group))
    }

    /// Keys of a table that begin alike, in order. O(found).
    func keys(withPrefix prefix: [UInt8]) -> [ByteKey] {
        var found: [ByteKey] = []
        var cursor = records.first(atOrAfter: ByteKey(prefix))
        while let entry = cursor, entry.key.bytes.starts(with: prefix) {
            found.append(entry.key)
            cursor = records.next(after: entry.key)
        }
        return found
    }

    // MARK: Pending work

    /// Retries that wait, soonest first, with due times up to `due`: those after the given one.
    package func retries(
        after place: PendingRetry? = nil, dueUpTo due: WallTime, limit: Int
    ) -> [PendingRetry] {
        var found: [PendingRetry] = []
        var cursor = records.next(
            after: place.map { Key.retry($0) } ?? ByteKey([Key.Table.retry.rawValue]))
        while found.count < limit, let entry = cursor,
            entry.key.bytes.first == Key.Table.retry.rawValue
        {
            let retry = PendingRetry(stored: entry.value)
            guard retry.due <= due else { break }
            found.append(retry)
            cursor = records.next(after: entry.key)
        }
        return found
    }

    package var nextRetryDue: WallTime? {
        guard let entry = records.first(atOrAfter: ByteKey([Key.Table.retry.rawValue])),
            entry.key.bytes.first == Key.Table.retry.rawValue
        else { return nil }
        return PendingRetry(stored: entry.value).due
    }

    /// Runs of children that were granted and not decided yet, oldest first.
    package func childTriggers(after number: Int64, limit: Int) -> [ChildTrigger] {
        var found: [ChildTrigger] = []
        var cursor = records.next(after: Key.childTrigger(number))
        while found.count < limit, let entry = cursor,
            entry.key.bytes.first == Key.Table.child.rawValue
        {
            found.append(ChildTrigger(stored: entry.value))
            cursor = records.next(after: entry.key)
        }
        return found
    }

    /// Runs of deleted jobs that are to be ended, in order of their keys.
    package func orphans(after key: ExecutionKey?, limit: Int) -> [Orphan] {
        var found: [Orphan] = []
        var cursor = records.next(
            after: key.map { Key.orphan($0) } ?? ByteKey([Key.Table.orphan.rawValue]))
        while found.count < limit, let entry = cursor,
            entry.key.bytes.first == Key.Table.orphan.rawValue
        {
            found.append(Orphan(stored: entry.value))
            cursor = records.next(after: entry.key)
        }
        return found
    }

    /// The group that a request id of this job started.
    package func group(ofRequest request: String, _ generation: Generation) -> GroupID? {
        guard let bytes = records[Key.request(generation, request)] else { return nil }
        var reader = ByteReader(bytes)
        return try? reader.i64()
    }

    // MARK: Ledger

    /// Rows of one job's ledger, newest first, that touch `from ... to`, beginning before `place`.
    package func ledger(
        of generation: Generation, from: WallTime = .distantPast, to: WallTime = .distantFuture,
        before place: LedgerPlace? = nil, limit: Int
    ) -> [(place: LedgerPlace, row: LedgerRow)] {
        var found: [(place: LedgerPlace, row: LedgerRow)] = []
        let table = Key.prefix(.ledger, generation)
        var end =
            place.map { Key.ledger(generation, $0) }
            ?? Key.ledger(generation, LedgerPlace(time: to, sequence: .max))
        while found.count < limit, let entry = records.last(before: end),
            entry.key.bytes.starts(with: table)
        {
            end = entry.key
            let row = LedgerRow(stored: entry.value)
            guard row.to >= from else {
                // A run without a tick may lie inside a range of ticks that reaches further.
                if row.cause != nil { continue }
                break
            }
            found.append((Key.ledgerPlace(of: end), row))
        }
        return found
    }
}

/// Where a row stands in a job's ledger.
package struct LedgerPlace: Hashable, Comparable, Sendable {
    package var time: WallTime
    /// 0 for ticks; a number of its own for runs without a tick.
    package var sequence: Int64

    package init(time: WallTime, sequence: Int64) {
        self.time = time
        self.sequence = sequence
    }

    package static func < (a: Self, b: Self) -> Bool {
        (a.time, a.sequence) < (b.time, b.sequence)
    }
}
