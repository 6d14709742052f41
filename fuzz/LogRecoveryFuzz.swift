// Any bytes as the files of a data directory: each store recovers or halts, never anything else,
// and what was recovered can be written on and is found again by the next start.
//
// The input is a script, so that mutations get past the checksums: byte 0 chooses the directory,
// then come files (see `Script`), raw or made of whole records with sound checksums.
// Compiled in one module with Core.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzLogRecovery(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    var script = Script(Array(UnsafeBufferPointer(start: start, count: count)))
    var disk = Disk()
    switch script.byte() % 4 {
    case 0: fuzzLog(&script, &disk)
    case 1: fuzzRuns(&script, &disk)
    case 2: fuzzSnapshots(&script, &disk)
    default: fuzzHistory(&script, &disk)
    }
    return 0
}

private let dataID: DataID = 7

private var tunables: JournalTunables {
    var tunables = JournalTunables()
    tunables.recordLimit = 4_096
    tunables.readChunk = 512
    tunables.segmentSize = 1_024
    tunables.renewalLimit = 2_048
    return tunables
}

/// Takes values off the input; behind its end everything is zero.
private struct Script {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { position >= bytes.count }

    mutating func byte() -> UInt8 {
        guard !isAtEnd else { return 0 }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func take(_ count: Int) -> [UInt8] { (0..<count).map { _ in byte() } }

    /// A file's bytes: by the first byte raw ones, or a header and records, perhaps with raw bytes
    /// behind them.
    mutating func file(_ kind: StorageDirectory, number: UInt64) -> [UInt8] {
        let form = byte()
        if form & 1 == 1 { return take(Int(byte()) * 4) }
        var header = SegmentHeader(
            kind: kind, number: number, base: UInt64(byte()) * 16, synced: 0, dataID: dataID,
            chain: UInt32(byte()), flags: UInt32(form >> 6))
        header.synced = header.base + UInt64(byte())
        var file = header.encoded()
        var encoder = RecordEncoder(
            seed: header.seed, chain: header.chain, offset: header.base)
        for _ in 0..<byte() % 24 {
            let type = byte() % 6
            let lag = UInt64(byte())
            var payload = take(Int(byte()))
            if kind == .history, type == HistoryFormat.chunkType, form & 4 == 0 {
                payload = HistoryFormat.encode(
                    index: UInt64(byte()), number: UInt32(byte() % 4), key: ByteKey([byte() % 8]),
                    data: payload)
            }
            encoder.encode(
                type: type, payload: payload, synced: encoder.offset - min(lag, encoder.offset),
                into: &file)
        }
        if form & 2 == 2 { file += take(Int(byte())) }
        if form & 8 == 8 { file.removeLast(min(file.count, Int(byte()))) }
        return file
    }

    mutating func fill(
        _ disk: inout Disk, _ kind: StorageDirectory, prefix: String, suffix: String
    ) {
        var number = 1 + UInt64(byte() % 4)
        while !isAtEnd, disk.files.count < 6 {
            let name = SegmentName.format(number, prefix: prefix, suffix: suffix)
            disk.files[FileName(kind, name)] = file(kind, number: number)
            number += 1
        }
    }
}

/// Does at once what is asked.
private struct Disk {
    var files: [FileName: [UInt8]] = [:]

    mutating func perform(_ operation: StorageOperation) -> StorageResult {
        switch operation {
        case .create(let name):
            invariant(files[name] == nil, "a file is made where there is none")
            files[name] = []
        case .append(let name, let offset, let bytes):
            invariant(files[name]?.count == Int(offset), "an append knows the file's length")
            files[name]? += bytes
        case .truncate(let name, let length):
            invariant(Int(length) <= files[name]?.count ?? 0, "a cut makes a file shorter")
            files[name]?.removeSubrange(Int(length)...)
        case .sync, .syncDirectory: break
        case .rename(let name, let target): files[target] = files.removeValue(forKey: name)
        case .remove(let name): files[name] = nil
        case .list(let directory):
            let names = files.keys.filter { $0.directory == directory }
            return .listing(
                names.map { FileEntry(name: $0.name, length: UInt64(files[$0]?.count ?? 0)) }
                    .sorted { $0.name < $1.name })
        case .read(let name, let offset, let length):
            invariant(length >= 0 && length <= 1 << 20, "a read is bounded")
            let content = files[name] ?? []
            let start = min(Int(clamping: offset), content.count)
            return .bytes(Array(content[start..<min(content.count, start + length)]))
        }
        return .done
    }

    /// Answers until nothing is asked any more.
    mutating func serve(
        _ requests: inout [StorageRequest],
        _ answer: (StorageResult, StorageTicket, inout [StorageRequest]) -> Void
    ) {
        var steps = 0
        while !requests.isEmpty {
            let request = requests.removeFirst()
            answer(perform(request.operation), request.ticket, &requests)
            steps += 1
            invariant(steps < 10_000, "a start ends")
        }
    }
}

private func fuzzLog(_ script: inout Script, _ disk: inout Disk) {
    let snapshot = UInt64(script.byte() % 8)
    script.fill(&disk, .log, prefix: "", suffix: ".log")
    func start(_ body: (inout LogJournal, inout [StorageRequest]) -> Void = { _, _ in })
        -> (last: LogIndex, entries: [LogEntry])?
    {
        var journal = LogJournal(dataID: dataID, tunables: tunables)
        var requests: [StorageRequest] = []
        var actions: [LogJournalAction] = []
        journal.recover(after: snapshot, into: &requests)
        disk.serve(&requests) {
            journal.handle($0, for: $1, at: .zero, into: &$2, actions: &actions)
        }
        var entries: [LogEntry] = []
        var last: LogIndex?
        for action in actions {
            switch action {
            case .entry(let entry): entries.append(entry)
            case .truncated(let index): entries.removeAll { $0.index >= index }
            case .recovered(let recovery): last = recovery.lastIndex
            case .durable, .founded: break
            case .halt: return nil
            }
        }
        guard let last else { fatalError("a start ends with a log or a halt") }
        for (number, entry) in entries.enumerated() {
            invariant(entry.index == snapshot + 1 + UInt64(number), "entries have no gap")
        }
        body(&journal, &requests)
        disk.serve(&requests) {
            journal.handle($0, for: $1, at: .zero, into: &$2, actions: &actions)
        }
        return (last, entries)
    }
    guard
        let first = start({ journal, requests in
            journal.append(
                LogEntry(index: journal.lastIndex + 1, term: 1, kind: 0, payload: [1]))
            journal.flush(into: &requests)
        })
    else { return }
    guard let second = start() else { fatalError("a log that was recovered halts") }
    invariant(second.last == first.last + 1, "the next start finds one entry more")
    invariant(second.entries.dropLast() == first.entries[...], "and all those before it")
}

private func fuzzRuns(_ script: inout Script, _ disk: inout Disk) {
    script.fill(&disk, .runs, prefix: "runs-", suffix: ".log")
    func start(rewriting: Bool) -> [RunRecord]? {
        var journal = RunJournal(dataID: dataID, tunables: tunables)
        var requests: [StorageRequest] = []
        var actions: [RunJournalAction] = []
        journal.recover(into: &requests)
        disk.serve(&requests) {
            journal.handle($0, for: $1, at: .zero, into: &$2, actions: &actions)
        }
        var records: [RunRecord] = []
        var isRecovered = false
        for action in actions {
            switch action {
            case .record(let record): records.append(record)
            case .recovered: isRecovered = true
            case .durable, .rewritten: break
            case .halt: return nil
            }
        }
        invariant(isRecovered, "a start ends with a journal or a halt")
        if rewriting {
            journal.rewrite(records, into: &requests)
            disk.serve(&requests) {
                journal.handle($0, for: $1, at: .zero, into: &$2, actions: &actions)
            }
        }
        return records
    }
    guard let first = start(rewriting: true) else { return }
    invariant(start(rewriting: false) == first, "a rewrite keeps what it was given")
}

private func fuzzSnapshots(_ script: inout Script, _ disk: inout Disk) {
    script.fill(&disk, .snapshots, prefix: SnapshotStore.prefix, suffix: ".snap")
    var store = SnapshotStore(dataID: dataID, tunables: tunables)
    var requests: [StorageRequest] = []
    var actions: [SnapshotAction] = []
    store.recover(into: &requests)
    disk.serve(&requests) { store.handle($0, for: $1, into: &$2, actions: &actions) }
    switch actions.last {
    case .none?, .loaded?, .halt?: break
    default: fatalError("a start ends with a snapshot, with none, or with a halt")
    }
}

private func fuzzHistory(_ script: inout Script, _ disk: inout Disk) {
    let snapshot = UInt64(script.byte())
    script.fill(&disk, .history, prefix: "", suffix: ".out")
    func start() -> [ByteKey]? {
        var store = HistoryStore(dataID: dataID, tunables: tunables)
        var requests: [StorageRequest] = []
        var actions: [HistoryAction] = []
        store.recover(through: snapshot, into: &requests)
        disk.serve(&requests) {
            store.handle($0, for: $1, at: .zero, into: &$2, actions: &actions)
        }
        store.checkInvariants()
        if case .halt? = actions.last { return nil }
        invariant(store.isIdle, "a history without work rests")
        return store.keys.map(\.key)
    }
    guard let first = start() else { return }
    // A start may close and compact, which can find damage, but loses nothing in silence.
    guard let second = start() else { return }
    invariant(first == second, "the next start finds the same keys")
}
