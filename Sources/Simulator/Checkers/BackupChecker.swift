// A backup against the state that it was taken of.

import Core

struct BackupChecker {
    /// A read of the history failed, so that backups may be given up.
    var readsFailed = false
    /// Outputs may have been dropped for their size.
    let mayDropOutputs: Bool
    private(set) var judged = 0

    init(_ tunables: [Plan.Setting]) {
        mayDropOutputs = tunables.contains { $0.name == "tune.history" }
    }

    mutating func didPerform(_ operation: StorageOperation, _ result: StorageResult) {
        guard case .read = operation, case .failed(let failure) = result else { return }
        if failure.reason != .notFound { readsFailed = true }
    }

    /// - Parameter hash: of the state when the answer began.
    mutating func judge(_ body: [UInt8], hash: RecordHash, into verdict: inout Verdict) {
        judged += 1
        do throws(BackupFault) {
            var reader = BackupReader()
            try reader.feed(body)
            var store = Store()
            var outputs: [[UInt8]: [UInt8]] = [:]
            while true {
                switch try reader.next() {
                case .head: continue
                case .slice(let records):
                    do throws(ByteError) { try store.restore(slice: records) } catch {
                        throw BackupFault(description: "its records can't be read")
                    }
                case .output(let chunk): outputs[chunk.key.bytes, default: []] += chunk.bytes
                case .needsBytes:
                    verdict.require(
                        readsFailed, .D5, "a backup is not whole: \(reader.shortfall)")
                    return
                case .end(let promised):
                    verdict.require(
                        promised == hash && store.hash == hash, .D5,
                        "a backup holds another state than the server had")
                    return judge(outputs, of: store, &verdict)
                }
            }
        } catch {
            verdict.fail(.D5, "a backup can't be read: \(error)")
        }
    }

    private func judge(
        _ outputs: [[UInt8]: [UInt8]], of store: Store, _ verdict: inout Verdict
    ) {
        guard !mayDropOutputs else { return }
        for key in StoreView.executions(in: store) {
            guard let execution = store.execution(key), execution.state.isEnded,
                execution.outputLength > 0
            else { continue }
            let output = outputs[execution.historyKey(key.generation)] ?? []
            verdict.require(
                Checksum.crc32c(output) == execution.outputDigest || execution.state == .lost, .D5,
                "a backup lacks the output of \(execution.id.text)")
        }
    }
}
