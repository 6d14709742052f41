// What left the node against what the platter holds.

import Core

struct DurabilityChecker {
    /// State hashes by index, as first seen.
    private var hashes: [LogIndex: RecordHash] = [:]
    private var newestIndex: LogIndex = 0
    /// The highest index that any client was told of.
    private(set) var acknowledgedIndex: LogIndex = 0
    /// A sync failed in this life: the node may only stop.
    private var failedSync: String?
    private var damage: String?
    private var isRecovering = false
    private var lostPower = false
    private(set) var durable = DurableLog()

    mutating func beginLife(_ disk: Disk) {
        failedSync = nil
        isRecovering = true
        durable = DurableLog()
        durable.refresh(disk)
    }

    mutating func didLosePower() { lostPower = true }
    mutating func didDamage(_ place: String) { damage = place }

    mutating func didPerform(
        _ operation: StorageOperation, _ result: StorageResult, _ disk: Disk
    ) {
        switch (operation, result) {
        case (.sync(let file), .failed):
            failedSync = "\(file.directory.name)/\(file.name)"
        case (.sync(let file), .done) where file.directory == .log:
            durable.refresh(disk)
        case (.syncDirectory(.log), .done): durable.refresh(disk)
        default: break
        }
    }

    // MARK: Effects

    mutating func willPerform(_ effect: Effect, _ disk: Disk, into verdict: inout Verdict) {
        if let failedSync { judgeAfterFailedSync(effect, failedSync, &verdict) }
        if case .start(let spec) = effect {
            verdict.require(
                Self.holds(disk.durableContents(.runs), spec.execution), .D1,
                "\(spec.execution) is started before the agent's journal has it on the platter")
        }
    }

    private func judgeAfterFailedSync(
        _ effect: Effect, _ file: String, _ verdict: inout Verdict
    ) {
        switch effect {
        case .halt, .log, .exit: return
        case .respond(_, let response) where response.status >= 400: return
        default:
            verdict.fail(.D4, "after the failed sync of \(file) the node wants \(describe(effect))")
        }
    }

    /// Whether the bytes of an execution's number stand anywhere in the journal.
    private static func holds(
        _ files: [(name: String, bytes: [UInt8])], _ id: ExecutionID
    ) -> Bool {
        guard let number = Int64(id.text.prefix { $0 != "-" }) else { return false }
        var needle: [UInt8] = []
        withUnsafeBytes(of: UInt64(bitPattern: number).littleEndian) { needle += $0 }
        return files.contains { find(needle, in: $0.bytes) }
    }

    private static func find(_ needle: [UInt8], in bytes: [UInt8]) -> Bool {
        guard bytes.count >= needle.count else { return false }
        return bytes.withUnsafeBytes { haystack in
            let wanted = needle.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
            var position = bytes.count - 8
            while position >= 0 {
                if haystack.loadUnaligned(fromByteOffset: position, as: UInt64.self) == wanted {
                    return true
                }
                position -= 1
            }
            return false
        }
    }

    // MARK: The state

    mutating func observe(index: LogIndex, hash: RecordHash, into verdict: inout Verdict) {
        if let seen = hashes[index] {
            verdict.require(
                seen == hash, isRecovering ? .T4 : .T3,
                "the state at index \(index) is \(hash), it was \(seen)")
        } else {
            hashes[index] = hash
            if hashes.count > 200_000 { hashes.removeAll(keepingCapacity: true) }
        }
        newestIndex = max(newestIndex, index)
        verdict.require(
            index <= durable.lastIndex || isRecovering, .D1,
            "index \(index) is applied, the platter ends at \(durable.lastIndex)")
    }

    /// The node serves again after a start.
    mutating func didRecover(index: LogIndex, into verdict: inout Verdict) {
        guard isRecovering else { return }
        isRecovering = false
        verdict.require(
            index >= acknowledgedIndex, .D2,
            "recovered up to index \(index), but \(acknowledgedIndex) was acknowledged")
        if let damage {
            verdict.require(
                parametersAllowDamage, .D3, "the node serves in spite of the damage of \(damage)")
        }
        // What came after was never promised to anybody and may be written anew.
        if lostPower {
            hashes = hashes.filter { $0.key <= index }
            newestIndex = index
            lostPower = false
        }
    }

    var parametersAllowDamage = false

    mutating func didAnswer(_ reply: Reply, isWrite: Bool, into verdict: inout Verdict) {
        guard let index = reply.index, (200..<300).contains(reply.status) else { return }
        if isWrite {
            verdict.require(
                index <= durable.lastIndex, .D1,
                "a write was acknowledged at index \(index), the platter ends at "
                    + "\(durable.lastIndex)")
        }
        acknowledgedIndex = max(acknowledgedIndex, index)
    }
}
