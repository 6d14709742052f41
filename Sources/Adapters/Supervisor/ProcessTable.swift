// Who runs on this machine, as `/proc` tells it: which processes belong to a run, and what memory
// they take.
//
// A process belongs to a run when it is in the session or group of the run's first process, when
// its parent does, or, for one that left the session and lost its parent (a daemon), when it
// carries the run's id in the environment that it was started with.

internal import Core
internal import Glibc

struct ProcessEntry {
    var processID: Int32
    var state: UInt8
    var parent: Int32
    var group: Int32
    var session: Int32
    /// Clock ticks since boot.
    var startTicks: UInt64
    var residentPages: UInt64

    /// Ended, and only waiting to be collected.
    var isGone: Bool { state == UInt8(ascii: "Z") || state == UInt8(ascii: "X") }
}

/// A run to look for in a table.
struct RunMark {
    var execution: ExecutionID
    /// The first process: its number is also that of the session and group; 0 when unknown.
    var leader: Int32
    /// Nil when it is not known.
    var startTicks: UInt64?
}

/// Who may be a process that left its run's session and lost its parent.
struct OrphanSearch {
    /// Where orphans fall to.
    var reaper: Int32
    /// Its children that are none: the first processes of runs.
    var leaders: Set<Int32>

    func includes(_ entry: ProcessEntry) -> Bool {
        entry.parent == reaper && !leaders.contains(entry.processID)
    }
}

/// One reading of `/proc`. It is old the moment it is made: whoever kills by it must look again.
struct ProcessTable {
    private(set) var entries: [ProcessEntry] = []
    private var places: [Int32: Int] = [:]

    static func read() -> ProcessTable {
        var table = ProcessTable()
        guard let directory = opendir("/proc") else { return table }
        defer { closedir(directory) }
        while let item = readdir(directory) {
            let processID = withUnsafeBytes(of: &item.pointee.d_name) { number($0) }
            guard let processID, let entry = ProcessEntry.read(processID) else { continue }
            table.places[processID] = table.entries.count
            table.entries.append(entry)
        }
        return table
    }

    subscript(processID: Int32) -> ProcessEntry? { places[processID].map { entries[$0] } }

    /// The entries that belong to a run, each with the index of its run in `marks`.
    ///
    /// Only `orphans` are asked for the id in their environment; with nil every process is.
    func members(
        of marks: [RunMark], orphans: OrphanSearch?
    ) -> [(entry: ProcessEntry, run: Int)] {
        var runs: [Int32: Int] = [:]
        for (index, mark) in marks.enumerated() where mark.leader > 1 && isLeaderOrGone(mark) {
            runs[mark.leader] = index
        }
        var owners = [Int?](repeating: nil, count: entries.count)
        for (place, entry) in entries.enumerated() {
            owners[place] = runs[entry.session] ?? runs[entry.group]
            guard owners[place] == nil, runs[entry.processID] == nil else { continue }
            if let orphans, !orphans.includes(entry) { continue }
            guard let id = entry.markedExecution() else { continue }
            owners[place] = marks.firstIndex { $0.execution.text.utf8.elementsEqual(id) }
        }
        var result: [(ProcessEntry, Int)] = []
        for (place, entry) in entries.enumerated() {
            if let run = owner(of: place, in: owners) { result.append((entry, run)) }
        }
        return result
    }

    /// False when the leader's number has meanwhile been given to somebody else: then the session
    /// of that number is not the run's either.
    private func isLeaderOrGone(_ mark: RunMark) -> Bool {
        guard let ticks = mark.startTicks, let entry = self[mark.leader] else { return true }
        return entry.startTicks == ticks
    }

    /// The run of the nearest ancestor that has one. The walk is bounded, for the table was not
    /// read in one instant and may hold a circle.
    private func owner(of place: Int, in owners: [Int?]) -> Int? {
        var place = place
        for _ in 0..<entries.count {
            if let owner = owners[place] { return owner }
            guard let parent = places[entries[place].parent] else { return nil }
            place = parent
        }
        return nil
    }

    private static func number(_ name: UnsafeRawBufferPointer) -> Int32? {
        var value: Int32 = 0
        for (index, byte) in name.enumerated() {
            if byte == 0 { return index == 0 ? nil : value }
            guard byte >= 0x30, byte <= 0x39, value <= 99_999_999 else { return nil }
            value = value * 10 + Int32(byte - 0x30)
        }
        return nil
    }
}

extension ProcessEntry {
    /// Nil when there is no such process.
    static func read(_ processID: Int32) -> ProcessEntry? {
        guard let bytes = ProcFile.read("/proc/\(processID)/stat", atMost: 1024) else { return nil }
        // The second field is the program's name in parentheses, and may hold anything.
        guard let close = bytes.lastIndex(of: UInt8(ascii: ")")), close + 2 < bytes.count else {
            return nil
        }
        let fields = bytes[(close + 2)...].split(separator: UInt8(ascii: " "))
        // Counted as in proc(5), the third field is the first one here.
        guard fields.count > 21, let state = fields[0].first else { return nil }
        func number(_ field: Int) -> UInt64 {
            UInt64(String(decoding: fields[field - 3], as: UTF8.self)) ?? 0
        }
        return ProcessEntry(
            processID: processID, state: state,
            parent: Int32(truncatingIfNeeded: number(4)),
            group: Int32(truncatingIfNeeded: number(5)),
            session: Int32(truncatingIfNeeded: number(6)), startTicks: number(22),
            residentPages: number(24))
    }

    /// The value of `DKRON_EXECUTION_ID` that the process was started with, where it can be read.
    func markedExecution() -> ArraySlice<UInt8>? {
        guard let bytes = ProcFile.read("/proc/\(processID)/environ", atMost: 1 << 20) else {
            return nil
        }
        // The run's own entry is the last one.
        let name = Array((executionVariable + "=").utf8)
        let entry = bytes.split(separator: 0).last { $0.starts(with: name) }
        return entry?.dropFirst(name.count)
    }

    /// Resident bytes with shared pages divided among those who share them; more exact than
    /// `residentPages` and much dearer. Nil when it cannot be read.
    func proportionalBytes() -> UInt64? {
        let path = "/proc/\(processID)/smaps_rollup"
        guard let bytes = ProcFile.read(path, atMost: 4096) else { return nil }
        for line in bytes.split(separator: UInt8(ascii: "\n"))
        where line.starts(with: [80, 115, 115, 58]) {
            let digits = line.filter { $0 >= 0x30 && $0 <= 0x39 }
            return UInt64(String(decoding: digits, as: UTF8.self)).map { $0 * 1024 }
        }
        return nil
    }
}

extension ProcessIdentity {
    /// Of a process that exists.
    init(of processID: Int32) {
        self.init(
            processID: processID, startTicks: ProcessEntry.read(processID)?.startTicks ?? 0,
            boot: ProcFile.bootID)
    }
}

/// The variable by which a process can be told to belong to a run.
let executionVariable = "DKRON_EXECUTION_ID"

enum ProcFile {
    /// Identifies this boot of the machine; empty when it cannot be read.
    static let bootID = {
        let bytes = read("/proc/sys/kernel/random/boot_id", atMost: 64) ?? []
        return String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }()

    /// The first bytes of a small file; nil when it cannot be opened or read.
    static func read(_ path: String, atMost limit: Int) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var size = min(limit, 4096)
        while bytes.count < limit {
            let piece = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
                count = max(0, Glibc.read(descriptor, buffer.baseAddress, size))
            }
            if piece.isEmpty { return bytes.isEmpty ? nil : bytes }
            if bytes.isEmpty { bytes = piece } else { bytes.append(contentsOf: piece) }
            size = min(limit - bytes.count, size * 2)
        }
        return bytes
    }
}
