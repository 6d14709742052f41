// What left the node against what the platter holds.

import Core

struct DurabilityChecker {
    /// The highest index that any client was told of, while this server is the only one.
    private var acknowledgedIndex: LogIndex = 0
    /// A sync failed in this life: the node may only stop.
    private var failedSync: String?
    private var untold: [StorageTicket: String] = [:]
    private var damage: String?
    private(set) var isRecovering = false

    mutating func beginLife() {
        failedSync = nil
        untold.removeAll()
        isRecovering = true
    }

    mutating func didDamage(_ place: String) { damage = place }

    mutating func didPerform(
        _ ticket: StorageTicket, _ operation: StorageOperation, _ result: StorageResult
    ) {
        guard case .sync(let file) = operation, case .failed = result else { return }
        untold[ticket] = "\(file.directory.name)/\(file.name)"
    }

    /// From here on the node knows.
    mutating func willStep(_ input: Input) {
        guard !untold.isEmpty, case .storage(let ticket, _) = input else { return }
        failedSync = untold.removeValue(forKey: ticket) ?? failedSync
    }

    // MARK: Effects

    /// - Parameter behind: entries that the node applied and the platter does not hold.
    mutating func willPerform(
        _ effect: Effect, _ node: VirtualNode, behind: LogIndex, into verdict: inout Verdict
    ) {
        if let failedSync { judgeAfterFailedSync(effect, failedSync, &verdict) }
        switch effect {
        case .start(let spec):
            verdict.require(
                Self.holds(node.disk.durableContents(.runs), spec.execution), .D1,
                "\(spec.execution) is started before the agent's journal has it on the platter")
            verdict.require(
                behind == 0, .D1,
                "\(spec.execution) is started while \(behind) entries are not on the platter")
        case .respond(_, let response) where (200..<300).contains(response.status):
            guard response.headers["X-Dkron-Index"] != nil else { return }
            verdict.require(
                behind == 0, .D1, "an answer tells of \(behind) entries that are not on the platter"
            )
        default: return
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
        _ files: [(name: String, bytes: ArraySlice<UInt8>)], _ id: ExecutionID
    ) -> Bool {
        guard let number = Int64(id.text.prefix { $0 != "-" }) else { return false }
        var needle: [UInt8] = []
        withUnsafeBytes(of: UInt64(bitPattern: number).littleEndian) { needle += $0 }
        // What is about to start was written last.
        return files.reversed().contains { find(needle, in: $0.bytes) }
    }

    private static func find(_ needle: [UInt8], in bytes: ArraySlice<UInt8>) -> Bool {
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

    /// The node's state against the reference at the same index.
    func judge(
        _ index: LogIndex, _ hash: RecordHash, _ reference: ReferenceLog,
        into verdict: inout Verdict
    ) {
        guard let expected = reference.hash(at: index) else { return }
        verdict.require(
            hash == expected, isRecovering ? .T4 : .T3,
            "the state at index \(index) is not what the log gives")
    }

    /// The node serves again after a start, at an index that it has itself.
    mutating func didRecover(index: LogIndex, into verdict: inout Verdict) {
        guard isRecovering else { return }
        isRecovering = false
        verdict.require(
            index >= acknowledgedIndex, .D2,
            "recovered up to index \(index), but \(acknowledgedIndex) was acknowledged")
        if let damage {
            verdict.fail(.D3, "the node serves in spite of the damage of \(damage)")
        }
    }

    mutating func didAnswer(_ reply: Reply, into verdict: inout Verdict) {
        guard let index = reply.index, (200..<300).contains(reply.status) else { return }
        acknowledgedIndex = max(acknowledgedIndex, index)
    }
}
