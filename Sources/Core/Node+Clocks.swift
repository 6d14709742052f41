// The time of the cluster: the leader's monotonic clock, and the median of what the voters' clocks
// show. One wrong clock, the leader's own included, moves nothing; a leader decides and stamps
// nothing before a majority has told the time.

/// What a leader knows of the clocks of the other voters.
struct VoterClocks {
    /// How often they are asked until enough have answered, and afterwards.
    static let firstInterval = Duration.milliseconds(100)
    static let interval = Duration.seconds(5)
    /// An answer that took longer says too little.
    static let patience = Duration.milliseconds(500)
    /// A reading that is older does not count any more.
    static let life = Duration.seconds(60)

    /// Whether clocks that differ by so much are worth a word.
    static func isWrong(_ difference: Duration) -> Bool {
        difference > .seconds(1) || difference < .seconds(-1)
    }

    private struct Reading {
        /// That clock minus this server's monotonic one, which no step of a wall clock moves.
        var offset: Duration
        var at: Instant
    }

    /// How often a wrong clock is told of.
    static let reportInterval = Duration.minutes(10)

    private var readings = SortedMap<ServerID, Reading>()
    /// When the servers whose clocks are wrong were told so last.
    private var reported = SortedMap<ServerID, Instant>()
    var nextAsk = Instant.distantFuture
    /// Elected, and waiting for the time.
    var elected: Term?
    /// This server's wall clock minus its monotonic one when the voters' were compared with it.
    var own = Duration.zero

    static func offset(_ wall: WallTime, _ monotonic: Instant) -> Duration {
        Duration(nanoseconds: saturatingDifference(wall.nanoseconds, monotonic.nanoseconds))
    }

    /// A voter's wall clock showed this when it answered a question asked at `askedAt`.
    mutating func take(_ wall: WallTime, of id: ServerID, askedAt: Instant, at now: Now) {
        let trip = now.monotonic - askedAt
        guard trip >= .zero, trip <= Self.patience else { return }
        let half = Duration(nanoseconds: trip.nanoseconds / 2)
        readings[id] = Reading(
            offset: Self.offset(wall + half, now.monotonic), at: now.monotonic)
    }

    /// How far a server's clock is ahead of the cluster's, if somebody should be told now.
    mutating func wrongness(
        of id: ServerID, own: ServerID, shift: Duration, at now: Now
    ) -> Duration? {
        let base = Self.offset(now.wall, now.monotonic).nanoseconds
        let offset =
            id == own
            ? Duration.zero
            : readings[id].map {
                Duration(nanoseconds: saturatingDifference($0.offset.nanoseconds, base))
            }
        guard let offset else { return nil }
        let ahead = offset - shift
        guard Self.isWrong(ahead) else {
            reported.remove(id)
            return nil
        }
        if let last = reported[id], now.monotonic - last < Self.reportInterval { return nil }
        reported[id] = now.monotonic
        return ahead
    }

    /// The median of the voters' clocks minus this server's own, of an even number the earlier;
    /// nil while fewer than a majority are known.
    func shift(among voters: [ServerID], own: ServerID, at now: Now) -> Duration? {
        let base = Self.offset(now.wall, now.monotonic).nanoseconds
        var offsets = voters.compactMap { id -> Duration? in
            if id == own { return .zero }
            guard let reading = readings[id], now.monotonic - reading.at <= Self.life else {
                return nil
            }
            return Duration(
                nanoseconds: saturatingDifference(reading.offset.nanoseconds, base))
        }
        guard offsets.count >= Quorum.size(of: voters.count) else { return nil }
        offsets.sort()
        return offsets[(offsets.count - 1) / 2]
    }
}

extension Node {
    /// Asks the voters for the time.
    mutating func askClocks(_ out: inout Outbox) {
        guard raft.role == .leader, now.monotonic >= clocks.nextAsk else { return }
        clocks.nextAsk =
            now.monotonic
            + (clocks.elected == nil ? VoterClocks.interval : VoterClocks.firstInterval)
        for voter in raft.configuration.voters where voter != config.dataID {
            send(.askTime(now.monotonic), to: voter, &out)
        }
    }

    /// Begins to lead, once the time is known.
    mutating func takeLead(_ term: Term, _ out: inout Outbox) {
        clocks = VoterClocks()
        guard raft.isLeading, raft.hardState.term == term else { return }
        clocks.elected = term
        clocks.nextAsk = now.monotonic
        leadIfTimeIsKnown(&out)
        askClocks(&out)
    }

    private mutating func leadIfTimeIsKnown(_ out: inout Outbox) {
        guard let term = clocks.elected, let shift = clockShift else { return }
        clocks.elected = nil
        clocks.own = VoterClocks.offset(now.wall, now.monotonic)
        clusterTime.restart(shift: shift, at: now)
        lead(term, &out)
    }

    private var clockShift: Duration? {
        clocks.shift(among: raft.configuration.voters, own: config.dataID, at: now)
    }

    /// A step of this server's own clock is what one voter of several says: it moves the time by
    /// what it moves their median, at once, and not only when the others have told theirs again.
    /// Before anything of a step uses the time.
    mutating func followVoters() {
        guard isLeading, !raft.isAlone else { return }
        let own = VoterClocks.offset(now.wall, now.monotonic)
        let change = Duration(
            nanoseconds: saturatingDifference(own.nanoseconds, clocks.own.nanoseconds))
        // What is less is not worth a look at all of them in each step.
        guard change > .milliseconds(1) || change < .milliseconds(-1) else { return }
        clocks.own = own
        // With nobody's word the time goes on as it went.
        clusterTime.shift =
            clockShift
            ?? Duration(
                nanoseconds: saturatingDifference(
                    clusterTime.shift.nanoseconds, change.nanoseconds))
    }

    mutating func hearTime(
        _ wall: WallTime, askedAt: Instant, from id: ServerID, _ out: inout Outbox
    ) {
        guard raft.role == .leader else { return }
        clocks.take(wall, of: id, askedAt: askedAt, at: now)
        leadIfTimeIsKnown(&out)
        guard isLeading, let shift = clockShift else { return }
        clocks.own = VoterClocks.offset(now.wall, now.monotonic)
        clusterTime.shift = shift
        for id in [config.dataID, id] { tellWrongClock(of: id, shift, &out) }
    }

    private mutating func tellWrongClock(
        of id: ServerID, _ shift: Duration, _ out: inout Outbox
    ) {
        let ahead = clocks.wrongness(
            of: id, own: config.dataID, shift: shift, at: now)
        guard let ahead else { return }
        if id == config.dataID { return hearOwnClockIsWrong(by: ahead, &out) }
        out.log(
            .warning,
            "a server's clock is wrong; the cluster goes by the median of its servers' clocks",
            [.init("server", name(of: id)), .init("ahead", DurationText.print(ahead))])
        send(.clockIsWrong(by: ahead), to: id, &out)
    }

    /// Compared with the clocks of most servers.
    mutating func hearOwnClockIsWrong(by ahead: Duration, _ out: inout Outbox) {
        out.log(
            .warning,
            "the clock of this machine is wrong, compared with those of most servers; no tick "
                + "depends on it, but the times in this log do: set it right",
            [.init("ahead", DurationText.print(ahead))])
    }
}
