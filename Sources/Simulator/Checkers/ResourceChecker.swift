// Bounds: sizes, counts, and that everything opened is closed.

import Core

struct ResourceChecker {
    /// More effects than this from one step stall everything else.
    static let effectsPerStep = 20_000
    static let largestRecord = 5 << 20
    /// Log, snapshots and what is being rewritten; far above any setting of the plans.
    static let largestLog = 256 << 20
    private var stepsSinceLook = 0

    func judge(_ effects: [Effect], _ verdict: inout Verdict) {
        verdict.require(
            effects.count <= Self.effectsPerStep, .B3, "\(effects.count) effects from one step")
        for case .store(_, .append(let file, _, let bytes)) in effects {
            verdict.require(
                bytes.count <= Self.largestRecord, .B3,
                "an append of \(bytes.count) bytes to \(file.name)")
        }
    }

    mutating func didStep(_ node: VirtualNode, at time: TrueTime, _ verdict: inout Verdict) {
        stepsSinceLook += 1
        guard stepsSinceLook >= 1_000 else { return }
        stepsSinceLook = 0
        let size = node.disk.size(of: .log)
        verdict.require(size <= Self.largestLog, .B1, "the log's files hold \(size) bytes")
    }

    func requireNothingOpen(_ node: VirtualNode, _ verdict: inout Verdict) {
        verdict.require(
            node.supervisor.heldRuns == 0, .B5,
            "the supervisor still holds \(node.supervisor.heldRuns) runs")
        verdict.require(
            node.requests.isEmpty, .B5, "\(node.requests.count) requests are not answered")
    }
}
