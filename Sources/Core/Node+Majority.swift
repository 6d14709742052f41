// A server without a leader: what is missing, for the log and for whoever asks.

/// Watches over a server that takes part in the consensus and knows no leader.
struct LeaderWatch {
    /// After this many longest elections somebody should know.
    static let elections: Int64 = 5
    static let interval = Duration.seconds(10)

    /// How long there is no leader before somebody should know.
    static func patience(_ tunables: RaftTunables) -> Duration {
        tunables.electionMaximum * elections
    }

    var nextReport = Instant.distantFuture
    var isReported = false
}

extension Node {
    /// Tells what is missing while there is no leader, and when there is one again.
    mutating func watchLeader(_ out: inout Outbox) {
        guard config.isServer, phase == .running, raft.isFounded, raft.leader == nil else {
            guard leaderWatch.nextReport != .distantFuture else { return }
            if leaderWatch.isReported, let leader = raft.leader {
                out.log(.info, "there is a leader again", [.init("leader", name(of: leader))])
            }
            return leaderWatch = LeaderWatch()
        }
        guard leaderWatch.nextReport != .distantFuture else {
            return leaderWatch.nextReport = now.monotonic + LeaderWatch.patience(raft.tunables)
        }
        guard now.monotonic >= leaderWatch.nextReport else { return }
        leaderWatch.nextReport = now.monotonic + LeaderWatch.interval
        leaderWatch.isReported = true
        let electorate = Electorate(raft.configuration, members)
        out.log(
            .error,
            "there is no leader: nothing is decided and nothing is acknowledged; "
                + electorate.advice(for: config.dataID),
            [
                .init("voters", "\(electorate.voters.count)"),
                .init("needed", "\(electorate.needed)"),
                .init("present", electorate.names(of: electorate.present)),
                .init("missing", electorate.names(of: electorate.missing)),
            ])
    }
}
