// A node that leaves goes in order: no new executions from the moment on in which it means to, then
// what runs ends and its results are handed over, then it says good-bye, so that the leader waits
// for no lease of it, and only then the others hear that it is gone. Agents always stop like this;
// servers when they leave for good, after handing over the lead.

/// How far a departure is.
enum Departure: Hashable {
    /// Others know that it is about to leave; what runs here comes to its end.
    case working
    /// Nothing runs any more. The leader is told so until it has heard it, for a while.
    case parting(next: Instant, until: Instant)
    /// The others are being told that it is gone.
    case telling
    case gone

    /// For how long a leader is looked for that says farewell. It does so to a server once its seat
    /// is given up, which may take its turn behind others.
    static let patience = Duration.seconds(5)
    static let patienceOfServer = Duration.seconds(20)
    static let interval = Duration.seconds(1)
    /// How long telling everybody takes at most; see `Membership.leave`.
    static let tellingTime = Duration.seconds(12)

    var nextLook: Instant? {
        if case .parting(let next, let until) = self { return min(next, until) }
        return nil
    }
}

extension Node {
    mutating func beginDeparture(_ out: inout Outbox) {
        guard membership != nil, stopping.departure == nil else { return }
        stopping.departure = .working
        let monotonic = now.monotonic
        runner.close(at: monotonic)
        withMembership(&out) { $0.leave(at: monotonic, isHeld: true, into: &$1) }
    }

    /// Goes on when nothing is left to wait for here.
    /// - Returns: whether the process may end.
    mutating func continueDeparture(_ out: inout Outbox) -> Bool {
        switch stopping.departure {
        case nil, .gone: return true
        case .telling: return false
        case .working:
            guard leaderID != nil, leaderID != config.dataID else {
                return tellDeparture(&out)
            }
            let patience = config.isServer ? Departure.patienceOfServer : Departure.patience
            stopping.departure = .parting(next: now.monotonic, until: now.monotonic + patience)
            stopping.exitsAt = nil
            return continueDeparture(&out)
        case .parting(let next, let until):
            guard now.monotonic < until else {
                if config.isServer {
                    out.log(
                        .warning,
                        "no leader gave this server's seat up in time; one does as soon as it can, "
                            + "and until then the seat counts as that of a server that is down")
                }
                return tellDeparture(&out)
            }
            if now.monotonic >= next {
                let again = now.monotonic + Departure.interval
                stopping.departure = .parting(next: again, until: until)
                // It counts once the leader has heard by gossip that this node means to leave.
                if let leader = leaderID, let name = member(leader)?.name {
                    withMembership(&out) { $0.repeatLeave(to: name, into: &$1) }
                }
                report(.goodbye, &out)
            }
            return false
        }
    }

    /// - Returns: whether the process may end.
    mutating func tellDeparture(_ out: inout Outbox) -> Bool {
        stopping.departure = .telling
        stopping.exitsAt = now.monotonic + Departure.tellingTime
        let monotonic = now.monotonic
        withMembership(&out) { $0.release(at: monotonic, into: &$1) }
        return stopping.departure == .gone
    }

    /// The leader has heard the good-bye.
    mutating func heardFarewell(_ out: inout Outbox) {
        guard case .parting = stopping.departure else { return }
        _ = tellDeparture(&out)
    }

    /// Everybody has been told.
    mutating func hasLeft(_ out: inout Outbox) {
        out.log(.info, "left the cluster")
        stopping.departure = .gone
    }

    /// A node says good-bye to this leader. One that came late, by way of another server, from a
    /// life before the present one must end nothing: gossip tells sooner than a node says it who is
    /// about to leave, and of who has come back that it is there.
    mutating func heardGoodbye(of node: NodeName, _ out: inout Outbox) {
        switch member(named: node)?.status {
        case .leaving, .left: break
        default: return
        }
        let store = store
        withDispatcher(&out) { $0.departed(node, saidGoodbye: true, store, into: &$1) }
        if !takesBackSeat(of: node) { deliver(.farewell, to: node, &out) }
    }
}
