// Stopping: no further decisions; what was decided runs to its end here for a while, then the rest
// is ended and said so.

/// How far a stop is.
struct StopState {
    /// When what still runs is ended.
    var endsRunsAt: Instant?
    /// When the node gives up waiting for results.
    var exitsAt: Instant?
    var reportsAt: Instant?
    /// When a leader looks again for another server to lead.
    var handsOverAt: Instant?
    /// Nil on a server that keeps its seat.
    var departure: Departure?

    var nextDeadline: Instant? {
        let times = [endsRunsAt, exitsAt, reportsAt, handsOverAt, departure?.nextLook]
        let soonest = times.reduce(.distantFuture) { min($0, $1 ?? .distantFuture) }
        return soonest == .distantFuture ? nil : soonest
    }
}

extension Node {
    static var stopReason: String { "killed: node stopped" }
    /// How often a stop says what it waits for.
    private static var stopReportInterval: Duration { .seconds(5) }

    mutating func take(_ control: Control, _ out: inout Outbox) {
        switch control {
        case .stop:
            guard phase != .stopping else { return }
            beginStopping(&out)
        case .leave: config.isServer ? beginLeaving(&out) : take(.stop, &out)
        case .stopNow, .detach:
            phase = .exited
            out.emit(.exit)
        case .reload(let tags, let notifications):
            readZonesAgain(&out)
            if let notifications { self.notifications = notifications }
            if let tags { changeTags(tags, &out) }
        }
    }

    /// Where an attempt is made, as it is told to it: the node, and all its tags as a JSON object.
    static func place(of node: Member) -> [EnvironmentEntry] {
        var writer = JSONWriter(.compact, escaping: .minimal)
        writer.beginObject()
        for tag in node.tags { writer.member(tag.name, tag.value) }
        writer.endObject()
        return [
            EnvironmentEntry(name: "DKRON_NODE", value: node.name.text),
            EnvironmentEntry(
                name: "DKRON_TAGS", value: String(decoding: writer.bytes, as: UTF8.self)),
        ]
    }

    /// Targets are chosen by the new tags from here on; what was decided before keeps its targets.
    private mutating func changeTags(_ tags: [TagEntry], _ out: inout Outbox) {
        var changed = Member(config, tags: tags)
        changed.clusterID = clusterID
        guard let own = members.firstIndex(where: { $0.name == changed.name }),
            members[own] != changed
        else { return }
        members[own] = changed
        runner.place = Self.place(of: changed)
        tellOwnTags(&out)
        let shown = tags.map { "\($0.name)=\($0.value)" }.joined(separator: " ")
        out.log(
            .info, "member changed",
            [.init("member", changed.name.text), .init("tags", shown)])
    }

    private mutating func beginStopping(_ out: inout Outbox) {
        guard case .running = phase else {
            phase = .exited
            out.emit(.exit)
            return
        }
        phase = .stopping
        // An agent has nothing to come back to but its results, which it keeps.
        if !config.isServer { beginDeparture(&out) }
        stopping.endsRunsAt = now.monotonic + config.shutdownTimeout
        stopping.reportsAt = now.monotonic + Self.stopReportInterval
        stopping.handsOverAt = now.monotonic
        if !raft.isAlone { raft.abstains = true }
        out.log(
            .info, "stopping: no more ticks are decided",
            [
                .init("running", "\(runner.activeCount)"),
                .init("shutdown_timeout", DurationText.print(config.shutdownTimeout)),
            ])
    }

    /// Somebody else is about to lead, or could be.
    private var isHandingOver: Bool {
        isLeading && !raft.isAlone && stopping.endsRunsAt != nil
            && raft.configuration.voters.count(where: isAnswering)
                > raft.configuration.voters.count / 2
    }

    /// Ends the node when nothing is left to wait for.
    mutating func continueStopping(_ out: inout Outbox) {
        guard phase == .stopping else { return }
        let monotonic = now.monotonic
        if let at = stopping.handsOverAt, monotonic >= at {
            // The others go on deciding at once, while what runs here comes to its end.
            stopping.handsOverAt = nil
            if isLeading, !raft.isAlone {
                stopping.handsOverAt = monotonic + LeaveState.interval
                if !raft.isTransferring { _ = handOver(&out) }
            }
        }
        let owesNothing = !isLeading || raft.pendingCount == 0
        if runner.heldCount == 0, owesNothing, !isHandingOver, heldEdits.isEmpty,
            applyQueue.isEmpty,
            log.isIdle, runLog.isIdle, continueDeparture(&out)
        {
            phase = .exited
            out.emit(.exit)
            return
        }
        if let at = stopping.endsRunsAt, monotonic >= at {
            stopping.endsRunsAt = nil
            stopping.exitsAt = monotonic + config.tunables.grace + Self.stopReportInterval
            let wall = now.wall
            out.log(
                .warning, "the shutdown time-out is over; ending what still runs",
                [.init("running", "\(runner.activeCount)")])
            withRunner(&out) { $0.endAll(reason: Self.stopReason, at: wall, into: &$1) }
        }
        if let at = stopping.reportsAt, monotonic >= at {
            stopping.reportsAt = monotonic + Self.stopReportInterval
            out.log(
                .info, "waiting for runs to end before stopping",
                [
                    .init("running", "\(runner.activeCount)"),
                    .init("results", "\(runner.heldCount)"),
                ])
        }
        if let at = stopping.exitsAt, monotonic >= at {
            switch stopping.departure {
            // Results that nobody took are kept for the next start; the others hear that it goes.
            case .working, .parting: if !tellDeparture(&out) { return }
            case nil, .telling, .gone: break
            }
            phase = .exited
            out.emit(.exit)
        }
    }
}
