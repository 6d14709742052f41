// Bounds: sizes, counts, and that everything opened is closed.

import Core

struct ResourceChecker {
    /// More effects than this from one step stall everything else.
    static let effectsPerStep = 20_000
    static let largestRecord = 5 << 20
    private let tunables: Tunables
    private var stepsSinceLook = 0

    init(_ tunables: Tunables) { self.tunables = tunables }

    /// What the log may hold: what a snapshot waits for, what comes while it is written, and
    /// segments that are only partly dead.
    /// Entries hold up to a third of a megabyte here, and a slow disk takes a snapshot in the time
    /// of ten of them. Outputs that wait to be written hold it up, within their own bound.
    private func logBound(_ node: VirtualNode) -> Int {
        let waiting = min(tunables.backlogLimit, 1_000_000)
        let snapshots = node.disk.size(of: .snapshots)
        // The log goes on, by megabytes a second, while the disk takes tiny slices one by one.
        let meanwhile = snapshots / max(1, tunables.snapshotSlice) * 16_384
        // What a leader without a majority can't commit stays until it gives up the lead.
        let raft = node.core?.node.raft
        let uncommitted = (raft?.lastIndex ?? 0) - (raft?.commitIndex ?? 0)
        return 8 * tunables.snapshotBytes + 4 * tunables.journal.segmentSize + 2 * waiting
            + 8 * snapshots + meanwhile + 6 << 20 + Int(min(uncommitted, 64)) * 350_000
    }

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
        // Nothing may be dropped before the snapshot that holds it is on the disk.
        let isBehind = [.snapshots, .history].contains { node.disk.isBehind($0, at: time) }
        guard !isBehind else { return }
        let size = node.disk.size(of: .log)
        verdict.require(size <= logBound(node), .B1, "the log's files hold \(size) bytes")
    }

    func requireNothingOpen(
        _ node: VirtualNode, orphans: Int, orphanCalls: Int, _ verdict: inout Verdict
    ) {
        verdict.require(
            node.supervisor.heldRuns == orphans, .B5,
            "the supervisor still holds \(node.supervisor.heldRuns) runs")
        verdict.require(
            node.outside.executions.count == orphanCalls, .B5,
            "the agent still holds \(node.outside.executions.count) calls")
        verdict.require(
            node.outside.web.keptCount == 0, .B5,
            "the HTTP client still keeps \(node.outside.web.keptCount) connections")
        let talks = node.outside.talks
        verdict.require(
            talks.connectionCount <= talks.executions.count, .B5,
            "\(talks.connectionCount) connections are open for \(talks.executions.count) talks")
        let plugins = node.outside.plugins
        verdict.require(
            plugins.socketCount == 0 || !plugins.executions.isEmpty, .B5,
            "\(plugins.socketCount) sockets are open for updates of no call")
        verdict.require(
            node.requests.isEmpty, .B5, "\(node.requests.count) requests are not answered")
    }
}
