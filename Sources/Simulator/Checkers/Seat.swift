// What the judges keep of one node.

import Core

struct Seat {
    var platter = PlatterLog()
    var durability = DurabilityChecker()
    var replay: ReplayChecker
    /// The index that the server has applied.
    var applied: LogIndex = 0
    /// How far what it applied was compared with what is canonical.
    var followed: LogIndex = 0
    /// When it heard each server last, in this life.
    var heardAt: [TrueTime]
    /// The term in which it leads, or wants to be believed that it does, and since when.
    var lead: (term: Term, since: TrueTime)?
    /// What it had applied when it proposed the entries up to an index, in the last term in which
    /// it led in this life.
    private var proposals = RingBuffer<(through: LogIndex, applied: LogIndex)>()
    private(set) var proposingTerm: Term?
    /// While it leads: who votes by its log.
    var voters: [ServerID]?
    /// The newest index that a local answer of this life showed.
    var newestLocal: LogIndex = 0

    init(servers: Int, samplesReplay: Bool) {
        replay = ReplayChecker(isOn: samplesReplay)
        heardAt = Array(repeating: .zero, count: servers)
    }

    mutating func beginLife(_ disk: Disk, _ config: Config, seed: UInt64, now: Now) {
        platter.beginLife(disk)
        durability.beginLife()
        replay.begin(config, seed: seed, now: now)
        applied = 0
        followed = 0
        lead = nil
        proposals.removeAll()
        proposingTerm = nil
        voters = nil
        newestLocal = 0
        for index in heardAt.indices { heardAt[index] = .zero }
    }

    /// Entries that the server applied and its platter does not hold.
    var behind: LogIndex { applied - min(applied, followed) }

    /// After a step of a leader.
    /// - Parameter applied: before the step.
    mutating func didPropose(
        through index: LogIndex, in term: Term, having applied: LogIndex
    ) {
        if proposingTerm != term {
            proposingTerm = term
            proposals.removeAll()
        }
        if proposals.isEmpty || index > proposals[proposals.count - 1].through {
            proposals.append((index, applied))
        }
    }

    /// What it had applied when it proposed this entry of its last term; asked in order.
    mutating func basis(of index: LogIndex) -> LogIndex? {
        while let first = proposals.first {
            if first.through >= index { return first.applied }
            _ = proposals.popFirst()
        }
        return nil
    }

    /// Since when this leader has heard no majority; nil if it hears one.
    func aloneSince(
        _ index: Int, among voters: [Int], for patience: Duration, at time: TrueTime
    ) -> TrueTime? {
        guard let lead else { return nil }
        // The n-th newest word of the others makes a majority with the server itself.
        let others = voters.filter { $0 != index }.map { max(heardAt[$0], lead.since) }
        let needed = voters.count / 2
        guard needed > 0, others.count >= needed else { return nil }
        let last = others.sorted(by: >)[needed - 1]
        return time - last > patience ? last : nil
    }
}
