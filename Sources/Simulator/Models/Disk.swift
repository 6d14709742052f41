// A disk behind the contract of Core's `StorageOperation`: a write-back cache per file, names that
// are durable only after their directory was synced, one queue per directory.

import Core

/// What may be wrong with a disk for a while.
struct DiskFaults: Sendable {
    /// The next syncs of a directory's files fail, so many times.
    var failingSyncs: [StorageDirectory: Int] = [:]
    /// Appends and creations fail for want of space.
    var isFull = false
    var isReadOnly = false
    /// Reads fail.
    var failsReads = false
    /// Latencies are multiplied by this.
    var slowness: Int64 = 1
    var isLow = false
}

struct Disk: Sendable {
    struct FileID: Hashable, Sendable { var number: Int }

    private struct Directory: Sendable {
        /// Names as they read now and as the platter has them, in byte order.
        var names = NameTable()
        var durableNames = NameTable()
        /// Changes of names since the last sync of the directory, in order.
        var pending: [NameChange] = []
        /// When the last queued operation will have been performed.
        var busyUntil: TrueTime = .zero
        /// When what waited for its last stall has been caught up with.
        var behindUntil: TrueTime = .zero
    }

    private enum NameChange: Sendable {
        case create(String, FileID)
        case rename(String, String)
        case remove(String)
    }

    private var directories: [Directory]
    private(set) var files: [SimulatedFile] = []
    private var reusable: [FileID] = []
    var faults = DiskFaults()
    private var latency: DrawStream
    private var tears: DrawStream
    private let meanSync: Duration
    private let stallOneIn: UInt64
    /// Bytes ever appended, and bytes held now.
    private(set) var bytesWritten: UInt64 = 0

    init(draws: Draws, path: String, meanSync: Duration, stallOneIn: UInt64) {
        directories = StorageDirectory.allCases.map { _ in Directory() }
        latency = draws.stream("\(path)/latency")
        tears = draws.stream("\(path)/tear")
        self.meanSync = meanSync
        self.stallOneIn = stallOneIn
    }

    /// What it says of its room.
    var space: DiskSpace {
        DiskSpace(free: faults.isLow ? 10_000_000 : 500_000_000, total: 1_000_000_000)
    }

    // MARK: Timing

    /// When everything asked for so far will have been performed.
    var busyUntil: TrueTime { directories.map(\.busyUntil).max() ?? .zero }

    /// When an operation asked for at `now` will be performed: in order within its directory.
    mutating func performanceTime(of operation: StorageOperation, asked now: TrueTime) -> TrueTime {
        var cost: Duration
        var stall = Duration.zero
        switch operation {
        case .sync, .syncDirectory:
            cost = .microseconds(20) + latency.exponential(meanSync)
            if stallOneIn > 0, latency.chance(1, stallOneIn) {
                stall = latency.duration(.milliseconds(100), .seconds(10))
            }
        case .append(_, _, let bytes): cost = .nanoseconds(2_000 + Int64(bytes.count))
        case .create, .truncate, .rename, .remove: cost = .microseconds(10)
        case .list: cost = .microseconds(20)
        case .read(_, _, let length): cost = .nanoseconds(5_000 + Int64(min(length, 1 << 20)))
        }
        // A stall is as long as it is: slowed a hundred times it would outlast the run.
        if faults.slowness > 1 { cost = cost * faults.slowness }
        let index = Int(operation.directory.rawValue)
        let time = max(now, directories[index].busyUntil) + cost + stall
        directories[index].busyUntil = time
        if stall > .zero { directories[index].behindUntil = time + stall }
        return time
    }

    /// Whether one directory stood still for seconds just now, while others went on.
    func isBehind(_ directory: StorageDirectory, at now: TrueTime) -> Bool {
        now < directories[Int(directory.rawValue)].behindUntil
    }

    // MARK: Performing

    mutating func perform(_ operation: StorageOperation) -> StorageResult {
        if let failure = refuse(operation) { return .failed(failure) }
        switch operation {
        case .create(let file):
            guard self.file(file) == nil else { return fail(.exists, "\(file.name) exists") }
            let id = newFile()
            change(file.directory, .create(file.name, id))
        case .append(let file, let offset, let bytes):
            guard let id = self.file(file) else { return fail(.notFound, file.name) }
            guard files[id.number].current.count == Int(offset) else {
                return fail(.inputOutput, "\(file.name) does not end at \(offset)")
            }
            files[id.number].append(bytes)
            bytesWritten += UInt64(bytes.count)
        case .truncate(let file, let length):
            guard let id = self.file(file) else { return fail(.notFound, file.name) }
            guard files[id.number].current.count >= Int(length) else {
                return fail(.inputOutput, "\(file.name) is shorter than \(length)")
            }
            files[id.number].truncate(to: Int(length))
        case .sync(let file):
            guard let id = self.file(file) else { return fail(.notFound, file.name) }
            files[id.number].sync()
        case .rename(let from, let to):
            guard self.file(from) != nil else { return fail(.notFound, from.name) }
            change(from.directory, .rename(from.name, to.name))
        case .remove(let file):
            guard self.file(file) != nil else { return fail(.notFound, file.name) }
            change(file.directory, .remove(file.name))
        case .syncDirectory(let directory):
            syncNames(directory)
        case .list(let directory):
            return .listing(listing(directory))
        case .read(let file, let offset, let length):
            guard let id = self.file(file) else { return fail(.notFound, file.name) }
            let bytes = files[id.number].current
            let start = min(Int(clamping: offset), bytes.count)
            return .bytes(Array(bytes[start..<min(bytes.count, start + max(0, length))]))
        }
        return .done
    }

    private mutating func refuse(_ operation: StorageOperation) -> StorageFailure? {
        switch operation {
        case .append(let file, _, _) where faults.isFull, .create(let file) where faults.isFull:
            return StorageFailure(.noSpace, "no space left on the device for \(file.name)")
        case .append, .create, .truncate, .rename, .remove:
            return faults.isReadOnly ? StorageFailure(.readOnly, "read-only file system") : nil
        case .sync(let file):
            guard let left = faults.failingSyncs[file.directory], left > 0 else { return nil }
            faults.failingSyncs[file.directory] = left - 1
            if let id = self.file(file) { files[id.number].failSync() }
            return StorageFailure(.inputOutput, "sync of \(file.name) failed")
        case .read where faults.failsReads:
            return StorageFailure(.inputOutput, "unreadable sector")
        case .syncDirectory, .list, .read:
            return nil
        }
    }

    private func fail(_ reason: StorageFailure.Reason, _ message: String) -> StorageResult {
        .failed(StorageFailure(reason, message))
    }

    private mutating func newFile() -> FileID {
        if let id = reusable.popLast() {
            files[id.number] = SimulatedFile()
            return id
        }
        files.append(SimulatedFile())
        return FileID(number: files.count - 1)
    }

    // MARK: Names

    private func file(_ name: FileName) -> FileID? {
        directories[Int(name.directory.rawValue)].names[name.name]
    }

    private mutating func change(_ directory: StorageDirectory, _ change: NameChange) {
        let index = Int(directory.rawValue)
        Self.apply(change, to: &directories[index].names)
        directories[index].pending.append(change)
    }

    private static func apply(_ change: NameChange, to names: inout NameTable) {
        switch change {
        case .create(let name, let id): names[name] = id
        case .remove(let name): names[name] = nil
        case .rename(let from, let to):
            // A rename whose source was lost never happened.
            guard let id = names[from] else { return }
            names[from] = nil
            names[to] = id
        }
    }

    private mutating func syncNames(_ directory: StorageDirectory) {
        let index = Int(directory.rawValue)
        directories[index].durableNames = directories[index].names
        directories[index].pending.removeAll(keepingCapacity: true)
        reclaim()
    }

    /// Files that no name leads to any more give their slots back.
    private mutating func reclaim() {
        var used = [Bool](repeating: false, count: files.count)
        for directory in directories {
            for (_, id) in directory.names.entries { used[id.number] = true }
            for (_, id) in directory.durableNames.entries { used[id.number] = true }
            for case .create(_, let id) in directory.pending { used[id.number] = true }
        }
        for id in reusable { used[id.number] = true }
        for number in used.indices where !used[number] {
            files[number] = SimulatedFile()
            reusable.append(FileID(number: number))
        }
    }

    // MARK: Crashing

    /// The power goes: every file and directory becomes one of the states a real disk may show.
    mutating func powerLoss(_ mode: TearMode?) {
        for index in directories.indices {
            crashNames(index, mode)
            directories[index].busyUntil = .zero
        }
        for index in files.indices where files[index].isDirty {
            let drawn = mode ?? tears.element(TearMode.allCases)
            files[index].crash(drawn, &tears)
        }
        reclaim()
    }

    /// The process died and the kernel lives: what was performed stays, what was queued is gone.
    mutating func processDeath() {
        for index in directories.indices { directories[index].busyUntil = .zero }
    }

    private mutating func crashNames(_ index: Int, _ mode: TearMode?) {
        let pending = directories[index].pending
        var names = directories[index].durableNames
        switch mode {
        case .lost: break
        case .kept: for change in pending { Self.apply(change, to: &names) }
        case .subset, .zeros, .garbage:
            for change in pending where tears.chance(1, 2) { Self.apply(change, to: &names) }
        case .prefix, nil:
            // An ordered journal of metadata, as most file systems keep it.
            let kept = tears.int(0...pending.count)
            for change in pending.prefix(kept) { Self.apply(change, to: &names) }
        }
        directories[index].names = names
        directories[index].durableNames = names
        directories[index].pending = []
    }

    /// Flips a bit in something that was synced. Returns a description of where.
    mutating func damage(_ directory: StorageDirectory) -> String? {
        let candidates = directories[Int(directory.rawValue)].durableNames.entries.filter {
            !files[$0.id.number].durable.isEmpty
        }
        guard !candidates.isEmpty else { return nil }
        let chosen = candidates[Int(tears.below(UInt64(candidates.count)))]
        guard let offset = files[chosen.id.number].damage(&tears) else { return nil }
        return "\(directory.name)/\(chosen.name) at \(offset)"
    }

    // MARK: Looking (for checkers)

    func listing(_ directory: StorageDirectory) -> [FileEntry] {
        directories[Int(directory.rawValue)].names.entries.map {
            FileEntry(name: $0.name, length: UInt64(files[$0.id.number].current.count))
        }
    }

    /// Bytes that reads would see in a directory.
    func size(of directory: StorageDirectory) -> Int {
        var sum = 0
        for (_, id) in directories[Int(directory.rawValue)].names.entries {
            sum += files[id.number].current.count
        }
        return sum
    }

    /// The synced contents of a directory's durably named files, in order of names; each begins at
    /// index 0.
    func durableContents(
        _ directory: StorageDirectory
    ) -> [(name: String, bytes: ArraySlice<UInt8>)] {
        directories[Int(directory.rawValue)].durableNames.entries.map {
            ($0.name, files[$0.id.number].durable)
        }
    }

    /// The same of one file; nil if its name is not durable.
    func durableContents(of file: FileName) -> ArraySlice<UInt8>? {
        directories[Int(file.directory.rawValue)].durableNames[file.name].map {
            files[$0.number].durable
        }
    }
}

/// The names of one directory in order: few, so a plain list. They are ASCII, of which the order of
/// strings is that of bytes.
private struct NameTable: Sendable {
    private(set) var entries: [(name: String, id: Disk.FileID)] = []

    subscript(name: String) -> Disk.FileID? {
        get {
            let place = place(of: name)
            return holds(name, at: place) ? entries[place].id : nil
        }
        set {
            let place = place(of: name)
            switch (holds(name, at: place), newValue) {
            case (true, let id?): entries[place].id = id
            case (true, nil): entries.remove(at: place)
            case (false, let id?): entries.insert((name, id), at: place)
            case (false, nil): break
            }
        }
    }

    private func holds(_ name: String, at place: Int) -> Bool {
        place < entries.count && entries[place].name == name
    }

    /// Of the first name that is not below this one. O(log n).
    private func place(of name: String) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].name < name { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
