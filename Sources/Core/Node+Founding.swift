// How a server without data comes to its cluster. A server that is told to found one with others
// promises one exact list of servers, once and for ever, and begins only when all of them have
// promised the same: so two clusters can never begin with one of them. Everyone else is alone, or
// waits for a leader that takes it in.

/// What is known of the promises of others. Forgotten by a crash: they are asked again.
struct Founding {
    /// How often promises are told, and the others looked for.
    static let interval = Duration.seconds(1)
    /// How long enough servers must have been seen before a list is proposed: others may come that
    /// belong into it.
    static let settling = Duration.seconds(1)
    static let reportInterval = Duration.seconds(10)
    /// For how long a server that may found a cluster alone looks for one that it is to join.
    static let looking = Duration.seconds(10)

    /// The addresses to join have been asked once.
    var hasAsked = false
    var promises = SortedMap<ServerID, [ServerID]>()
    /// The list that would be proposed, and since when it has been the same.
    var candidate: (list: [ServerID], since: Instant)?
    var nextLook = Instant.distantFuture
    var nextReport = Instant.distantFuture

    var nextDeadline: Instant { min(nextLook, nextReport) }
}

extension Node {
    /// Recovery is over: takes part, or finds out with whom.
    mutating func beginFounding(_ out: inout Outbox) {
        let monotonic = now.monotonic
        guard !raft.isFounded else {
            return withRaft(&out) { $0.start(at: monotonic, into: &$1) }
        }
        if let promised = raft.promised {
            // Alone, or taken into a cluster: nobody else has to agree.
            if promised.count < 2 { return found(&out) }
        } else if let first = config.firstServers {
            return promiseAndFound(first, &out)
        } else if config.bootstrapExpect < 2, !config.joinsOthers {
            return promiseAndFound([config.dataID], &out)
        }
        founding.nextLook = monotonic
        founding.nextReport = monotonic + Founding.reportInterval
    }

    private mutating func promiseAndFound(_ founders: [ServerID], _ out: inout Outbox) {
        withRaft(&out) { $0.promise(founders, into: &$1) }
        found(&out)
    }

    private mutating func found(_ out: inout Outbox) {
        founding = Founding()
        let monotonic = now.monotonic
        withRaft(&out) { $0.start(at: monotonic, into: &$1) }
        if snapshotting.configuration.isEmpty {
            snapshotting.configuration = raft.configuration.encoded
        }
    }

    /// Looks for the others and tells them the promise.
    mutating func continueFounding(_ out: inout Outbox) {
        guard phase == .running, !raft.isFounded, founding.nextDeadline <= now.monotonic else {
            return
        }
        if now.monotonic >= founding.nextLook {
            founding.nextLook = now.monotonic + Founding.interval
            if raft.hardState.founders == nil {
                config.bootstrapExpect == 1 ? foundAlone(&out) : seekFounders(&out)
            }
            tellPromise(&out)
            foundIfPromised(&out)
        }
        if !raft.isFounded, now.monotonic >= founding.nextReport {
            founding.nextReport = now.monotonic + Founding.reportInterval
            reportWaiting(&out)
        }
    }

    /// Not where those that it is to join have a cluster already: then its disk was replaced, and
    /// it is to be taken in again.
    private mutating func foundAlone(_ out: inout Outbox) {
        let hasLooked =
            founding.hasAsked || now.monotonic - startedAt.monotonic >= Founding.looking
        let isElsewhere = members.contains {
            $0.isServer && $0.clusterID != nil && isOfRegion($0)
        }
        if hasLooked, !isElsewhere { promiseAndFound([config.dataID], &out) }
    }

    /// The addresses to join have been asked.
    mutating func lookedForCluster() {
        guard config.isServer, !raft.isFounded else { return }
        founding.hasAsked = true
        founding.nextLook = now.monotonic
    }

    /// Proposes a list when enough servers wait to found a cluster. The first of them does it.
    private mutating func seekFounders(_ out: inout Outbox) {
        let expected = config.bootstrapExpect
        guard expected > 1 else { return }
        let list = Array(waitingFounders.prefix(expected))
        guard list.count == expected, list.first == config.dataID else {
            founding.candidate = nil
            return
        }
        guard let candidate = founding.candidate, candidate.list == list else {
            founding.candidate = (list, now.monotonic)
            return
        }
        if now.monotonic - candidate.since >= Founding.settling { promise(list, &out) }
    }

    /// Servers that are there and expect as many founders as this one, itself among them.
    private var waitingFounders: [ServerID] {
        members.filter {
            $0.status == .alive && $0.isServer && $0.clusterID == nil && isOfRegion($0)
                && $0.tag("expect") == "\(config.bootstrapExpect)"
        }.compactMap(\.id).sorted()
    }

    private var serversOfOtherExpectation: [String] {
        members.compactMap { member in
            let theirs = member.tag("expect")
            guard member.status == .alive, member.isServer, member.clusterID == nil,
                theirs != "\(config.bootstrapExpect)"
            else { return nil }
            return "\(member.name.text) expects \(theirs ?? "none")"
        }
    }

    private mutating func promise(_ list: [ServerID], _ out: inout Outbox) {
        withRaft(&out) { $0.promise(list, into: &$1) }
        founding.nextLook = now.monotonic
        let names = list.map { name(of: $0) }.joined(separator: " ")
        out.log(.info, "promised to found a cluster", [.init("servers", names)])
    }

    private mutating func tellPromise(_ out: inout Outbox) {
        // Not before it survives a crash.
        guard let promised = raft.promised else { return }
        for id in promised where id != config.dataID {
            send(.promise(promised, wantsAnswer: founding.promises[id] == nil), to: id, &out)
        }
    }

    /// Another server tells what it has promised.
    mutating func receivePromise(
        _ list: [ServerID], wantsAnswer: Bool, from id: ServerID, _ out: inout Outbox
    ) {
        if !raft.isFounded, phase == .running {
            founding.promises[id] = list
            if raft.hardState.founders == nil, list.contains(config.dataID),
                list.count == config.bootstrapExpect, list == list.sorted()
            {
                promise(list, &out)
            }
            foundIfPromised(&out)
        }
        if wantsAnswer, let promised = raft.promised, promised.contains(id) {
            send(.promise(promised, wantsAnswer: false), to: id, &out)
        }
    }

    private mutating func foundIfPromised(_ out: inout Outbox) {
        guard !raft.isFounded, let promised = raft.promised, promised.count > 1 else { return }
        let others = promised.filter { $0 != config.dataID }
        guard others.allSatisfy({ founding.promises[$0] == promised }) else { return }
        out.log(.info, "all founders of the cluster have promised")
        found(&out)
    }

    /// Whether a message about the log may be heard. One of a founder proves that all have
    /// promised; one of a leader takes in a server that has promised nothing.
    mutating func isInConsensus(
        hearing message: RaftMessage, from id: ServerID, _ out: inout Outbox
    ) -> Bool {
        guard config.isServer, isOfThisCluster(hearing: message, from: id, &out) else {
            return false
        }
        if raft.isFounded { return true }
        guard phase == .running else { return false }
        guard let founders = raft.hardState.founders else {
            switch message.body {
            case .append, .heartbeat: break
            default: return false
            }
            out.log(.info, "taken into a cluster", [.init("by", name(of: id))])
            promiseAndFound([], &out)
            return true
        }
        guard founders.contains(id), raft.promised != nil else { return false }
        found(&out)
        return true
    }

    /// Who leads tells by its tag which cluster this is. A server without data that two clusters
    /// take in at the same time must not hear the second one until the log of the first says so:
    /// by then it would have entries of both.
    private mutating func isOfThisCluster(
        hearing message: RaftMessage, from id: ServerID, _ out: inout Outbox
    ) -> Bool {
        guard let theirs = member(id)?.clusterID else { return true }
        if let clusterID { return clusterID == theirs }
        switch message.body {
        case .append, .heartbeat: belong(to: theirs, &out)
        default: break
        }
        return true
    }

    private mutating func reportWaiting(_ out: inout Outbox) {
        if let promised = raft.hardState.founders {
            let missing = promised.filter {
                $0 != config.dataID && founding.promises[$0] != promised
            }
            return out.log(
                .info,
                "waiting for the other founders of the cluster, who must all be there once; to "
                    + "begin anew, stop the servers that wait and empty their data directories",
                [.init("missing", missing.map { name(of: $0) }.joined(separator: " "))])
        }
        if config.bootstrapExpect > 1 {
            let present = waitingFounders.map { name(of: $0) }.joined(separator: " ")
            let fields = [
                LogRecord.Field("expected", "\(config.bootstrapExpect)"),
                LogRecord.Field("present", present),
            ]
            let others = serversOfOtherExpectation
            guard others.isEmpty else {
                return out.log(
                    .warning,
                    "servers that wait expect different numbers, and can't found a cluster "
                        + "together; give all the same --bootstrap-expect",
                    fields + [.init("others", others.joined(separator: ", "))])
            }
            return out.log(.info, "waiting for the servers to found a cluster with", fields)
        }
        out.log(
            .info,
            "waiting for the leader of a cluster to take this server in; with --join addresses a "
                + "server never begins a cluster of its own",
            [.init("members", "\(members.count)")])
    }

    func name(of id: ServerID) -> String {
        member(id)?.name.text ?? Hexadecimal.text(ofIdentity: id)
    }
}

extension Config {
    /// There are others that this node was told to find.
    var joinsOthers: Bool {
        gossip.map { !$0.join.isEmpty || !$0.retryJoin.isEmpty } ?? false
    }
}
