// A list on its way to a client. It shows the state of the moment it began: a copy of the store
// costs nothing, and what changes meanwhile does not change the copy.
//
// First an index is collected in slices, so that the number of rows is known and the order is
// right; then the part that was asked for is written in pieces, the next one when the last has
// left. Jobs in order of their names need no index: the store keeps them so.

struct ListStream {
    enum Source {
        case jobs(JobFilter, JobSort, isDescending: Bool)
        case executions(JobName, Generation, ExecutionSort, isDescending: Bool)
        /// One alone, as an object.
        case execution(JobName, ExecutionKey)
        /// Of one node, or of all.
        case busy(on: NodeName?)
        case ticks(JobDocument, JobState, from: WallTime, to: WallTime)
    }

    /// Small, because an index holds as many as there are jobs; what it names is looked up when
    /// it is written.
    enum Item {
        case job(JobName)
        case execution(JobName, ExecutionKey)
        /// Of `rows`.
        case row(Int)
    }

    /// What has to happen before the next advance.
    enum Awaits { case slice, drain, read }

    enum Step {
        /// Its share of this step is used up.
        case again
        case piece([UInt8], last: Bool)
        case read(FileName, offset: UInt64, length: Int)
    }

    private enum Stage { case collecting, skipping, writing }

    /// How many bytes a piece has before it is sent, and how many rows one step looks at.
    static let pieceSize = 64 << 10
    static let sliceRows = 250

    let call: Call
    let store: Store
    /// Cluster time of that moment: jobs keep the order of their next ticks while they are written.
    private let stamp: WallTime
    let source: Source
    var awaits = Awaits.slice
    var hasBegun = false
    /// Rows that match, known after collecting.
    private(set) var total = 0

    private var stage: Stage
    private var index = SortedMap<ByteKey, Item>()
    private var rows: [LedgerRow] = []
    /// Where the collecting stands.
    private var collected = Place.start
    /// Where the writing stands: a key of the index or of the store.
    private var position: ByteKey?
    private var toSkip = 0
    private var toWrite = 0
    private var bounds: (start: Int?, end: Int?)
    private let outputLimit: Int?
    private var writer: JSONWriter
    private var fetch: (job: JobName, execution: Execution, output: OutputFetch)?

    private enum Place {
        case start
        case job(JobName)
        case record(ByteKey)
        case group(Generation, GroupID)
        case row(LedgerPlace)
        case end
    }

    init(_ call: Call, _ source: Source, _ context: APIContext) throws(APIError) {
        self.call = call
        self.source = source
        store = context.store
        stamp = context.stamp
        bounds = (try call.bound("_start"), try call.bound("_end"))
        outputLimit = try Self.outputLimit(call)
        writer = JSONWriter(call.layout)
        stage = .collecting
        if isDirect {
            total = store.counters.jobs
            finishCollecting()
        }
    }

    private static func outputLimit(_ call: Call) throws(APIError) -> Int? {
        guard let text = call.query["output_size_limit"], !text.isEmpty else { return nil }
        guard let limit = Int(text), limit >= 0 else {
            throw .parameter(
                "output_size_limit",
                "The parameter output_size_limit is a number of bytes, not \"\(text)\".")
        }
        return limit
    }

    /// Walks the store itself instead of an index.
    private var isDirect: Bool {
        if case .jobs(let filter, let sort, _) = source { return filter.isEmpty && sort.isByName }
        return false
    }

    private var isDescending: Bool {
        switch source {
        case .jobs(_, _, let isDescending), .executions(_, _, _, let isDescending): isDescending
        case .execution, .busy: false
        case .ticks: true
        }
    }

    private var isSingle: Bool {
        if case .execution = source { return true }
        return false
    }

    /// Lists have a head that tells how long they are; a single execution has none.
    var hasTotal: Bool { !isSingle }

    // MARK: Steps

    mutating func advance(_ context: APIContext) -> Step {
        var budget = Self.sliceRows
        if stage == .collecting {
            while budget > 0, collect(&budget, context) {}
            guard case .end = collected else { return .again }
            finishCollecting()
        }
        while stage == .skipping {
            guard budget > 0 else { return .again }
            if toSkip == 0 || nextItem() == nil {
                stage = .writing
            } else {
                toSkip -= 1
                // A step of the walk costs a fraction of a row that is looked at.
                if toSkip % 8 == 0 { budget -= 1 }
            }
        }
        return write(context)
    }

    /// Takes the bytes that `.read` asked for, nil if they could not be read.
    mutating func take(_ bytes: [UInt8]?, _ context: APIContext) {
        fetch?.output.take(bytes, context.history)
    }

    private mutating func finishCollecting() {
        let end = min(bounds.end ?? total, total)
        let start = min(bounds.start ?? 0, end)
        toSkip = isSingle ? 0 : start
        toWrite = isSingle ? 1 : end - start
        stage = .skipping
        if !isSingle { writer.beginArray() }
    }

    private mutating func write(_ context: APIContext) -> Step {
        while true {
            if fetch != nil {
                if let read = finishFetch() { return read }
            } else if toWrite > 0, let item = nextItem() {
                toWrite -= 1
                begin(item, context)
            } else {
                toWrite = 0
            }
            if toWrite == 0, fetch == nil {
                if !isSingle { writer.endArray() }
                return .piece(writer.take(), last: true)
            }
            if writer.bytes.count >= Self.pieceSize { return .piece(writer.take(), last: false) }
        }
    }

    /// Writes an item, or begins to gather what it needs.
    private mutating func begin(_ item: Item, _ context: APIContext) {
        switch item {
        case .job(let name):
            guard let document = store.document(name), let state = store.state(name) else {
                return
            }
            writer.job(document, state, next: next(document, state, context))
        case .row(let index): writer.ledgerRow(rows[index])
        case .execution(let job, let key):
            guard let execution = store.execution(key) else { return }
            if execution.state.isEnded, execution.outputChunks > 0, outputLimit != 0 {
                let output = OutputFetch(
                    execution.historyKey(key.generation), hasOutput: true, limit: outputLimit,
                    context.history)
                fetch = (job, execution, output)
                return
            }
            var output = ShownOutput()
            if !execution.state.isEnded { output.bytes = context.liveOutput(key) ?? [] }
            if execution.outputLength > 0, outputLimit == 0 { output.isCut = true }
            if let outputLimit { output.keepLast(outputLimit) }
            writer.execution(execution, of: job, output)
        }
    }

    /// Goes on gathering an output; nil once its execution is written.
    private mutating func finishFetch() -> Step? {
        guard case (let job, let execution, var output)? = fetch else { return nil }
        switch output.next() {
        case .read(let file, let offset, let length):
            fetch = (job, execution, output)
            return .read(file, offset: offset, length: length)
        case .done(let shown):
            writer.execution(execution, of: job, shown)
            fetch = nil
            return nil
        }
    }

    /// Lets go of a share of the index; true when nothing is left. Freeing it at once would take
    /// longer than a step may.
    mutating func discard() -> Bool {
        var budget = Self.sliceRows * 4
        while budget > 0, let first = index.first {
            index.remove(first.key)
            budget -= 1
        }
        return index.isEmpty
    }

    // MARK: Walking

    private mutating func nextItem() -> Item? {
        if case .execution(let job, let key) = source { return .execution(job, key) }
        if isDirect {
            guard let name = nextName() else { return nil }
            return .job(name)
        }
        let entry: (key: ByteKey, value: Item)?
        if isDescending {
            entry = position.map { index.last(before: $0) } ?? index.last
        } else {
            entry = position.map { index.next(after: $0) } ?? index.first
        }
        position = entry?.key
        return entry?.value
    }

    private mutating func nextName() -> JobName? {
        let table = Key.Table.state.rawValue
        let entry: (key: ByteKey, value: [UInt8])?
        if isDescending {
            entry = store.records.last(before: position ?? ByteKey([table + 1]))
        } else {
            entry = store.records.next(after: position ?? ByteKey([table]))
        }
        guard let entry, entry.key.bytes.first == table else { return nil }
        position = entry.key
        return Key.jobName(of: entry.key)
    }

    // MARK: Collecting

    /// Looks at the next rows; false when there are no more.
    private mutating func collect(_ budget: inout Int, _ context: APIContext) -> Bool {
        switch source {
        case .jobs(let filter, let sort, _): collectJob(filter, sort, context)
        case .executions(let job, let generation, let sort, _):
            collectExecution(job, generation, sort)
        case .busy(let node): collectGroup(on: node, &budget)
        case .ticks(let document, let state, let from, let to):
            collectRows(document, state, from, to, &budget, context)
        case .execution: collected = .end
        }
        budget -= 1
        if case .end = collected { return false }
        return true
    }

    private mutating func add(_ key: SortKey, _ item: Item) {
        index[ByteKey(key.bytes)] = item
        total += 1
    }

    private mutating func collectJob(
        _ filter: JobFilter, _ sort: JobSort, _ context: APIContext
    ) {
        var place = JobName("")
        if case .job(let last) = collected { place = last }
        guard let name = store.job(from: place, exclusive: true) else {
            collected = .end
            return
        }
        collected = .job(name)
        guard let document = store.document(name), let state = store.state(name),
            filter.matches(document, state)
        else { return }
        add(sort.key(document, state, next: next(document, state, context)), .job(name))
    }

    private func next(
        _ document: JobDocument, _ state: JobState, _ context: APIContext
    ) -> WallTime? {
        TickPlan.next(document, state, store.cluster, context.zones, at: stamp)
    }

    private mutating func collectExecution(
        _ job: JobName, _ generation: Generation, _ sort: ExecutionSort
    ) {
        let table = Key.prefix(.execution, generation)
        var place = ByteKey(table)
        if case .record(let last) = collected { place = last }
        guard let entry = store.records.next(after: place), entry.key.bytes.starts(with: table)
        else {
            collected = .end
            return
        }
        collected = .record(entry.key)
        let execution = Execution(stored: entry.value)
        let key = ExecutionKey(generation: generation, number: execution.number)
        add(sort.key(execution), .execution(job, key))
    }

    private mutating func collectGroup(on node: NodeName?, _ budget: inout Int) {
        var place: (Generation, GroupID)?
        if case .group(let generation, let group) = collected { place = (generation, group) }
        guard let found = store.activeGroups(after: place, limit: 1).first else {
            collected = .end
            return
        }
        collected = .group(found.generation, found.group)
        guard let group = store.group(found.generation, found.group) else { return }
        for number in group.targets.compactMap(\.attempts.last) {
            budget -= 1
            let key = ExecutionKey(generation: found.generation, number: number)
            guard let execution = store.execution(key), !execution.state.isEnded,
                node ?? execution.node == execution.node
            else { continue }
            var order = SortKey()
            order.add(execution.startedAt?.nanoseconds ?? .max)
            order.add(number)
            add(order, .execution(found.job, key))
        }
    }

    private mutating func collectRows(
        _ document: JobDocument, _ state: JobState, _ from: WallTime, _ to: WallTime,
        _ budget: inout Int, _ context: APIContext
    ) {
        var place: LedgerPlace?
        if case .row(let last) = collected { place = last }
        if place == nil { collectPausedRows(document, state, from, to, context) }
        let rows = store.ledger(
            of: state.generation, from: from, to: to, before: place, limit: 100)
        for (place, row) in rows {
            add(place, row)
            collected = .row(place)
        }
        budget -= rows.count
        if rows.count < 100 { collected = .end }
    }

    /// What a pause makes certain before anybody has written it down.
    private mutating func collectPausedRows(
        _ document: JobDocument, _ state: JobState, _ from: WallTime, _ to: WallTime,
        _ context: APIContext
    ) {
        let rows = TickPlan.pausedRows(
            document, state, store.cluster, context.zones, upTo: context.stamp)
        for row in rows where row.to >= from && row.from <= to {
            add(LedgerPlace(time: row.from, sequence: 0), row)
        }
    }

    private mutating func add(_ place: LedgerPlace, _ row: LedgerRow) {
        var key = SortKey()
        key.add(place.time.nanoseconds)
        key.add(place.sequence)
        add(key, .row(rows.count))
        rows.append(row)
    }
}
