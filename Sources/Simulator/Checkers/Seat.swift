// What the judges keep of one node.

import Core

struct Seat {
    /// Of the data directory.
    private(set) var identity: ServerID = 0
    var platter = PlatterLog()
    var durability = DurabilityChecker()
    var replay: ReplayChecker
    /// The index that the server has applied.
    var applied: LogIndex = 0
    /// How far what it applied was compared with what is canonical.
    var followed: LogIndex = 0
    /// When it heard each server last, in this life.
    var heardAt: [ServerID: TrueTime] = [:]
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

    init(samplesReplay: Bool) { replay = ReplayChecker(isOn: samplesReplay) }

    mutating func beginLife(_ node: VirtualNode, _ config: Config, seed: UInt64, now: Now) {
        identity = node.identity
        platter.beginLife(node.disk)
        durability.beginLife()
        replay.begin(config, seed: seed, now: now)
        applied = 0
        followed = 0
        lead = nil
        proposals.removeAll()
        proposingTerm = nil
        voters = nil
        newestLocal = 0
        heardAt.removeAll(keepingCapacity: true)
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
    /// - Parameter heard: when it heard each of the others that vote.
    func aloneSince(
        _ heard: [TrueTime], for patience: Duration, at time: TrueTime
    ) -> TrueTime? {
        guard let lead else { return nil }
        // The n-th newest word of the others makes a majority with the server itself.
        let needed = (heard.count + 1) / 2
        guard needed > 0 else { return nil }
        let last = max(heard.sorted(by: >)[needed - 1], lead.since)
        return time - last > patience ? last : nil
    }
}
