// Leaving for good: the lead goes to another server, the others hear that this node goes, the
// leader takes back its seat, and the process stops. Stopping alone leaves nothing.

/// How far a leave is.
struct LeaveState {
    /// How long a leader looks for a successor.
    static let patience = Duration.seconds(10)
    static let interval = Duration.milliseconds(200)

    var isWanted = false
    /// The others are being told.
    var isTold = false
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
        guard leaving.isWanted, !leaving.isTold, now.monotonic >= leaving.nextLook else { return }
        leaving.nextLook = now.monotonic + LeaveState.interval
        let monotonic = now.monotonic
        if isLeading, !raft.isAlone, monotonic < leaving.until {
            // A server that leaves while it leads would take back its own seat.
            if raft.isTransferring || handOver(&out) { return }
        }
        leaving.isTold = true
        leaving.nextLook = .distantFuture
        guard membership != nil else { return hasLeft(&out) }
        withMembership(&out) { $0.leave(at: monotonic, into: &$1) }
    }

    mutating func hasLeft(_ out: inout Outbox) {
        out.log(.info, "left the cluster")
        take(.stop, &out)
    }
}
