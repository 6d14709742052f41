// The node, the cluster and its settings.

extension API {
    /// The process lives and answers; nothing else is said.
    func health(_ call: Call, _ context: APIContext, _ actions: inout [APIAction]) {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("status", "healthy")
        writer.endObject()
        respond(call, Answer(200, writer), context, &actions)
    }

    /// Whether requests can be served: the data is read and a leader is known.
    func ready(
        _ call: Call, _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        guard let reason = context.hindrance else {
            var writer = JSONWriter(call.layout)
            writer.beginObject()
            writer.member("status", "ready")
            writer.endObject()
            return respond(call, Answer(200, writer), context, &actions)
        }
        throw APIError(
            503, "not_ready", "This server is not ready: \(reason).", retryAfter: 1)
    }

    /// All values are texts, as Dkron has them.
    func status(_ call: Call, _ context: APIContext, _ actions: inout [APIAction]) {
        let members = context.members
        let cluster = context.store.cluster
        func count(_ status: Member.Status) -> String {
            "\(members.count { $0.status == status })"
        }
        var writer = JSONWriter(call.layout)
        writer.beginObject()
        writer.key("agent")
        writer.settings([
            Setting(name: "name", value: context.config.nodeName.text),
            Setting(name: "version", value: context.config.version),
        ])
        writer.key("serf")
        let zeros = [
            "coordinate_resets", "event_queue", "health_score", "intent_queue", "query_queue",
        ]
        var serf = zeros.map { Setting(name: $0, value: "0") }
        let isEncrypted = context.config.gossip.map { $0.sealBytes > 0 } ?? false
        // Logical clocks, which begin at one.
        for clock in ["event_time", "member_time", "query_time"] {
            serf.append(Setting(name: clock, value: "1"))
        }
        serf.append(Setting(name: "encrypted", value: isEncrypted ? "true" : "false"))
        serf.append(Setting(name: "failed", value: count(.failed)))
        serf.append(Setting(name: "left", value: count(.left)))
        serf.append(Setting(name: "members", value: "\(members.count)"))
        serf.sort { $0.name < $1.name }
        writer.settings(serf)
        writer.key("tags")
        writer.settings(member(context.config.nodeName, context)?.tags ?? [])
        writer.key("cluster")
        writer.settings([
            Setting(name: "applied_index", value: "\(context.store.appliedIndex)"),
            Setting(name: "default_timezone", value: cluster.settings.defaultTimezone),
            Setting(name: "id", value: cluster.clusterID),
            Setting(name: "jobs", value: "\(context.store.counters.jobs)"),
            Setting(name: "leader", value: leaderName(context)?.text ?? ""),
            Setting(name: "paused", value: cluster.isPaused ? "true" : "false"),
            Setting(name: "time", value: RFC3339.print(context.stamp)),
        ])
        writer.endObject()
        respond(call, Answer(200, writer), context, &actions)
    }

    func members(_ call: Call, _ context: APIContext, _ actions: inout [APIAction]) {
        var writer = JSONWriter(call.layout)
        writer.beginArray()
        for member in context.members.sorted(by: { $0.name < $1.name }) {
            writer.member(member, isListed: true)
        }
        writer.endArray()
        var answer = Answer(200, writer)
        answer.headers.append("X-Total-Count", "\(context.members.count)")
        respond(call, answer, context, &actions)
    }

    func leader(
        _ call: Call, _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        guard let name = leaderName(context), let member = member(name, context) else {
            throw context.noLeader
        }
        var writer = JSONWriter(call.layout)
        writer.member(member, isListed: false)
        respond(call, Answer(200, writer), context, &actions)
    }

    func isLeader(_ call: Call, _ context: APIContext, _ actions: inout [APIAction]) {
        var writer = JSONWriter(call.layout)
        let leads = context.role == .leader
        writer.string(leads ? "I am a leader" : "I am a follower")
        respond(call, Answer(leads ? 200 : 404, writer), context, &actions)
    }

    func leaderName(_ context: APIContext) -> NodeName? {
        switch context.role {
        case .leader: context.config.nodeName
        case .follower(let leader): leader
        case .recovering, .stopping, .halted: nil
        }
    }

    private func member(_ name: NodeName, _ context: APIContext) -> Member? {
        context.members.first { $0.name == name }
    }

    // MARK: Pause

    func showPause(_ call: Call, _ context: APIContext, _ actions: inout [APIAction]) {
        respond(call, pauseAnswer(call, context), context, &actions)
    }

    mutating func pause(
        _ call: Call, _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        let edits = call.query["edits"] ?? "refuse"
        guard edits == "allow" || edits == "refuse" else {
            throw .parameter("edits", "The parameter edits is allow or refuse, not \"\(edits)\".")
        }
        try propose(.pause(editsAllowed: edits == "allow"), .pause, call, &actions)
    }

    func pauseAnswer(_ call: Call, _ context: APIContext) -> Answer {
        let cluster = context.store.cluster
        var writer = JSONWriter(call.layout)
        writer.beginObject()
        writer.member("paused", cluster.isPaused)
        if cluster.isPaused {
            writer.member("edits", cluster.refusesEdits ? "refuse" : "allow")
        }
        writer.endObject()
        return Answer(200, writer)
    }

    // MARK: Outcomes

    /// What follows from the outcome of a proposal.
    mutating func conclude(
        _ made: Proposal, _ result: ApplyResult, _ context: APIContext,
        _ actions: inout [APIAction]
    ) throws(APIError) {
        switch made.intent {
        case .saveJob(let edit): try conclude(edit, made, result, context, &actions)
        case .run(let job, let wait):
            try concludeRun(of: job, wait: wait, made, result, context, &actions)
        case .kill(let job, let key):
            try concludeKill(of: job, key, isKill: true, made, result, context, &actions)
        case .giveUp(let job, let key):
            try concludeKill(of: job, key, isKill: false, made, result, context, &actions)
        case .deleteJob(let job, let body):
            if case .rejected(let rejection) = result { throw APIError(rejection, job: job) }
            log("job deleted", made.call, [.init("job", job.text)], &actions)
            var answer = Answer(200)
            answer.body = .bytes(body)
            reply(made, answer, context, &actions)
        case .deleteExecutions(let job):
            if case .rejected(let rejection) = result { throw APIError(rejection, job: job) }
            log("executions deleted", made.call, [.init("job", job.text)], &actions)
            let (document, state) = try stored(job, context)
            reply(made, jobAnswer(200, made.call, document, state, context), context, &actions)
        case .pause:
            let isPaused = context.store.cluster.isPaused
            log(isPaused ? "cluster paused" : "cluster resumed", made.call, [], &actions)
            reply(made, pauseAnswer(made.call, context), context, &actions)
        case .settings:
            log("settings changed", made.call, [], &actions)
            reply(made, settingsAnswer(made.call, context), context, &actions)
        case .restorePart, .restoreCommit, .restoreAbandon:
            concludeRestore(made, result, context, &actions)
        }
    }
}
