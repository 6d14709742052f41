// Leaving for good: the lead goes to another server, then the node stops as one that departs, and
// the leader takes back its seat. Stopping alone leaves nothing, except on an agent.

/// How far a leave is.
struct LeaveState {
    /// How long a leader looks for a successor.
    static let patience = Duration.seconds(10)
    static let interval = Duration.milliseconds(200)

    var isWanted = false
    var until = Instant.distantFuture
    var nextLook = Instant.distantFuture
}

extension Node {
    mutating func beginLeaving(_ out: inout Outbox) {
        guard phase == .running, !leaving.isWanted else { return }
        out.log(.info, "leaving the cluster for good", [.init("node", config.nodeName.text)])
        leaving.isWanted = true
        leaving.until = now.monotonic + LeaveState.patience
        leaving.nextLook = now.monotonic
        continueLeaving(&out)
    }

    mutating func continueLeaving(_ out: inout Outbox) {
        guard leaving.isWanted, now.monotonic >= leaving.nextLook else { return }
        leaving.nextLook = now.monotonic + LeaveState.interval
        if isLeading, !raft.isAlone, now.monotonic < leaving.until {
            // A server that leaves while it leads would take back its own seat.
            if raft.isTransferring || handOver(&out) { return }
        }
        leaving.nextLook = .distantFuture
        beginDeparture(&out)
        take(.stop, &out)
    }
}
