@testable import Core

/// A disk in memory that does everything a real one may do: it caches writes, tears them in a
/// crash, forgets them when a sync fails, and runs full.
struct TestDisk {
    struct File {
        /// What a reader sees.
        var content: [UInt8] = []
        /// What is on the platter.
        var platter: [UInt8] = []
        /// Ranges of `content` that the next sync writes.
        var dirty: [Range<Int>] = []
        /// The shortest length that the file was cut to since the last sync.
        var cutTo: Int?
    }

    enum NameChange {
        case create(FileName, Int)
        case rename(FileName, to: FileName)
        case remove(FileName)
    }

    private(set) var files: [Int: File] = [:]
    private(set) var names: [FileName: Int] = [:]
    private var platterNames: [FileName: Int] = [:]
    private var unsyncedNames: [StorageDirectory: [NameChange]] = [:]
    private var lastFile = 0
    var random: PRNG
    /// Which operation is to fail now, and how.
    var fault: (inout PRNG, StorageOperation) -> StorageFailure.Reason? = { _, _ in nil }

    init(seed: UInt64) { random = PRNG(seed: seed) }

    func names(in directory: StorageDirectory) -> [FileName] {
        names.keys.filter { $0.directory == directory }.sorted { $0.name < $1.name }
    }

    func content(_ name: FileName) -> [UInt8] { names[name].flatMap { files[$0]?.content } ?? [] }

    /// Puts bytes on the platter behind everybody's back.
    mutating func overwrite(_ name: FileName, _ bytes: [UInt8]) {
        let file = names[name] ?? newFile()
        names[name] = file
        platterNames[name] = file
        files[file] = File(content: bytes, platter: bytes)
    }

    mutating func delete(_ name: FileName) {
        names[name] = nil
        platterNames[name] = nil
    }

    private mutating func newFile() -> Int {
        lastFile += 1
        files[lastFile] = File()
        return lastFile
    }

    mutating func perform(_ operation: StorageOperation) -> StorageResult {
        if let reason = fault(&random, operation) {
            if case .sync(let name) = operation, let file = names[name] {
                // The pages are marked clean though they never reached the platter.
                files[file]!.dirty = []
            }
            if case .append(let name, _, let bytes) = operation, let file = names[name] {
                // A part may have been written.
                let part = bytes.prefix(random.int(in: 0...bytes.count))
                write(Array(part), file)
            }
            return .failed(StorageFailure(reason, "\(reason) on purpose"))
        }
        return performWithoutFault(operation)
    }

    private mutating func write(_ bytes: [UInt8], _ file: Int) {
        let start = files[file]!.content.count
        files[file]!.content.append(contentsOf: bytes)
        if !bytes.isEmpty { files[file]!.dirty.append(start..<start + bytes.count) }
    }

    private mutating func performWithoutFault(_ operation: StorageOperation) -> StorageResult {
        func failed(_ reason: StorageFailure.Reason) -> StorageResult {
            .failed(StorageFailure(reason, "\(reason): \(operation)".prefix(120).description))
        }
        switch operation {
        case .create(let name):
            guard names[name] == nil else { return failed(.exists) }
            let file = newFile()
            names[name] = file
            unsyncedNames[name.directory, default: []].append(.create(name, file))
        case .append(let name, let offset, let bytes):
            guard let file = names[name] else { return failed(.notFound) }
            guard UInt64(files[file]!.content.count) == offset else { return failed(.inputOutput) }
            write(bytes, file)
        case .truncate(let name, let length):
            guard let file = names[name] else { return failed(.notFound) }
            let length = Int(length)
            files[file]!.content.removeSubrange(length...)
            files[file]!.cutTo = min(files[file]!.cutTo ?? length, length)
            files[file]!.dirty = files[file]!.dirty.compactMap {
                $0.clamped(to: 0..<length).isEmpty ? nil : $0.clamped(to: 0..<length)
            }
        case .sync(let name):
            guard let file = names[name] else { return failed(.notFound) }
            files[file]!.flush()
        case .rename(let name, let target):
            guard let file = names.removeValue(forKey: name) else { return failed(.notFound) }
            names[target] = file
            unsyncedNames[name.directory, default: []].append(.rename(name, to: target))
        case .remove(let name):
            guard names.removeValue(forKey: name) != nil else { return failed(.notFound) }
            unsyncedNames[name.directory, default: []].append(.remove(name))
        case .syncDirectory(let directory):
            for change in unsyncedNames[directory] ?? [] { apply(change) }
            unsyncedNames[directory] = []
        case .list(let directory):
            return .listing(
                names(in: directory).map {
                    FileEntry(name: $0.name, length: UInt64(content($0).count))
                })
        case .read(let name, let offset, let length):
            guard let file = names[name] else { return failed(.notFound) }
            let content = files[file]!.content
            let start = min(Int(offset), content.count)
            return .bytes(Array(content[start..<min(content.count, start + length)]))
        }
        return .done
    }

    private mutating func apply(_ change: NameChange) {
        switch change {
        case .create(let name, let file): platterNames[name] = file
        case .rename(let name, let target):
            if let file = platterNames.removeValue(forKey: name) { platterNames[target] = file }
        case .remove(let name): platterNames[name] = nil
        }
    }

    /// The power fails: what was not synced survives in any legal shape.
    mutating func powerFails() {
        for directory in StorageDirectory.allCases {
            for change in unsyncedNames[directory] ?? [] where random.chance(1, 2) {
                apply(change)
            }
        }
        unsyncedNames = [:]
        names = platterNames
        for number in files.keys.sorted() {
            files[number]!.tear(&random)
        }
    }
}

extension TestDisk.File {
    mutating func flush() {
        if let cutTo, cutTo < platter.count { platter.removeSubrange(cutTo...) }
        cutTo = nil
        for range in dirty { land(range) }
        dirty = []
    }

    private mutating func land(_ range: Range<Int>) {
        while platter.count < range.upperBound { platter.append(0) }
        platter.replaceSubrange(range, with: content[range])
    }

    mutating func tear(_ random: inout PRNG) {
        if let cutTo, cutTo < platter.count, random.chance(1, 2) {
            platter.removeSubrange(cutTo...)
        }
        cutTo = nil
        for range in dirty {
            switch random.below(6) {
            case 0: land(range)
            case 1: land(range.lowerBound..<random.int(in: range.lowerBound...range.upperBound))
            case 2, 3:
                // Sectors land one by one, in any order.
                var start = range.lowerBound
                while start < range.upperBound {
                    let end = min(range.upperBound, (start / 64 + 1) * 64)
                    if random.chance(1, 2) { land(start..<end) }
                    start = end
                }
            case 4:
                // The length grew, the content is anything.
                while platter.count < range.upperBound {
                    platter.append(random.chance(1, 2) ? 0 : UInt8(random.below(256)))
                }
            default: break
            }
        }
        dirty = []
        content = platter
    }
}

/// Performs one machine's requests: in order per directory, each answered some time later.
struct TestDriver {
    var disk: TestDisk
    var random: PRNG
    var now = Instant.zero
    private var waiting: [StorageRequest] = []
    private var answered: [(StorageTicket, StorageResult)] = []

    init(seed: UInt64) {
        random = PRNG(seed: seed).split(label: "driver")
        disk = TestDisk(seed: PRNG(seed: seed).split(label: "disk").next(seed))
    }

    mutating func take(_ requests: inout [StorageRequest]) {
        waiting.append(contentsOf: requests)
        requests.removeAll()
    }

    var isIdle: Bool { waiting.isEmpty && answered.isEmpty }

    /// Performs or answers one operation; nil when only performing.
    mutating func step() -> (StorageTicket, StorageResult)? {
        now = now + .microseconds(100)
        if !waiting.isEmpty, answered.isEmpty || random.chance(1, 2) {
            let request = waiting.removeFirst()
            answered.append((request.ticket, disk.perform(request.operation)))
            return nil
        }
        return answered.isEmpty ? nil : answered.removeFirst()
    }

    /// The process ends, with or without the machine.
    mutating func crash(power: Bool) {
        waiting = []
        answered = []
        if power { disk.powerFails() }
    }
}

extension PRNG {
    /// A seed for somebody else.
    func next(_ number: UInt64) -> UInt64 {
        var copy = split(number: number)
        return copy.next()
    }
}
