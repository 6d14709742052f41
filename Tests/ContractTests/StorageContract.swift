// What `StorageOperation` promises, asked of the simulator's disk and of the real one. The same
// operations must have the same results, or the simulation proves something about another world.

import Adapters
import Core
import Glibc
import Testing

@testable import Simulator

/// One of the disks on which operations are performed, one after the other.
protocol StorageWorld {
    mutating func perform(_ operation: StorageOperation) -> StorageResult
}

private struct ModelDisk: StorageWorld {
    private var disk = Simulator.Disk(
        draws: Draws(seed: 1), path: "disk", meanSync: .milliseconds(1), stallOneIn: 0)

    mutating func perform(_ operation: StorageOperation) -> StorageResult {
        disk.perform(operation)
    }
}

/// As a running node has it: a thread for each folder.
private final class ServedDisk: StorageWorld {
    private let storage: FileStorage
    private var number: UInt64 = 0

    init(_ path: String) throws { storage = try FileStorage(dataDirectory: path) }

    deinit { storage.close() }

    func perform(_ operation: StorageOperation) -> StorageResult {
        number += 1
        storage.perform(StorageTicket(owner: .journal, number: number), operation)
        while true {
            var waiting = pollfd(fd: storage.fileDescriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&waiting, 1, 20_000) > 0 else {
                return .failed(StorageFailure(.inputOutput, "no answer"))
            }
            if let (_, result) = storage.receive().first { return result }
        }
    }
}

/// As a command without a server has it.
private final class OfflineDisk: StorageWorld {
    private let storage: OfflineStorage

    init(_ path: String) throws { storage = try OfflineStorage(DataDirectory(path)) }

    func perform(_ operation: StorageOperation) -> StorageResult { storage.perform(operation) }
}

@Suite("Storage: one contract for the model and the real disk")
struct StorageContractTests {
    /// Everything that a node may ask, right and wrong, in an order that a seed decides.
    private struct Script {
        private var random: PRNG
        private var lengths: [FileName: UInt64] = [:]

        init(seed: UInt64) { random = PRNG(seed: seed) }

        mutating func next() -> StorageOperation {
            let folder = StorageDirectory.allCases[pick(2)]
            let file = FileName(folder, "\(pick(4)).log")
            let length = lengths[file] ?? 0
            switch pick(20) {
            case 0...3: return .create(file)
            case 4...9:
                let bytes = (0..<pick(300)).map { UInt8(truncatingIfNeeded: $0) }
                // Sometimes at a place that is not the end.
                let offset = pick(8) == 0 ? length + UInt64(pick(3)) : length
                return .append(file, offset: offset, bytes: bytes)
            case 10: return .truncate(file, length: UInt64(pick(Int(length) + 1)))
            case 11: return .sync(file)
            case 12: return .rename(file, to: FileName(folder, "\(pick(4)).log"))
            case 13: return .remove(file)
            case 14: return .syncDirectory(folder)
            case 15: return .list(folder)
            default: return .read(file, offset: UInt64(pick(300)), length: pick(200))
            }
        }

        /// Learns what the operation did, so that most of the next ones make sense.
        mutating func learn(_ operation: StorageOperation, _ result: StorageResult) {
            if case .failed = result { return }
            switch operation {
            case .create(let file): lengths[file] = 0
            case .append(let file, let offset, let bytes):
                lengths[file] = offset + UInt64(bytes.count)
            case .truncate(let file, let length): lengths[file] = length
            case .rename(let file, let to) where file != to:
                lengths[to] = lengths.removeValue(forKey: file)
            case .remove(let file): lengths[file] = nil
            case .sync, .syncDirectory, .list, .read, .rename: break
            }
        }

        private mutating func pick(_ bound: Int) -> Int { random.int(in: 0...(bound - 1)) }
    }

    /// What callers may rely on: not the words of a failure.
    private func essence(_ result: StorageResult) -> String {
        switch result {
        case .done: "done"
        case .bytes(let bytes): "bytes \(bytes)"
        case .listing(let entries): "listing \(entries.map { "\($0.name):\($0.length)" })"
        case .failed(let failure): "failed: \(failure.reason)"
        }
    }

    private func agree(_ real: some StorageWorld, seed: UInt64) {
        var (model, real) = (ModelDisk(), real)
        var script = Script(seed: seed)
        var failures = 0
        for step in 0..<600 {
            let operation = script.next()
            let expected = model.perform(operation)
            let found = real.perform(operation)
            #expect(
                essence(expected) == essence(found), "seed \(seed), step \(step): \(operation)")
            guard essence(expected) == essence(found) else { return }
            if case .failed = expected { failures += 1 }
            script.learn(operation, expected)
        }
        #expect(failures > 20 && failures < 500, "both kinds of operations were tried")
    }

    @Test("operations of a running node", arguments: 0..<6 as Range<UInt64>)
    func served(seed: UInt64) throws {
        let folder = try Folder()
        agree(try ServedDisk(folder.path), seed: seed)
    }

    @Test("operations without a server", arguments: 100..<106 as Range<UInt64>)
    func offline(seed: UInt64) throws {
        let folder = try Folder()
        agree(try OfflineDisk(folder.path), seed: seed)
    }
}
