// Nodes that a person takes out of work, and the way back after a clock that was wrong.

extension API {
    /// The node that the path names: a member, or one that was one.
    private func node(_ call: Call, _ context: APIContext) throws(APIError) -> NodeName {
        let name = NodeName(call.parameters.first ?? "")
        let isKnown =
            context.members.contains { $0.name == name }
            || context.store.knownNode(name) != nil
            || context.store.cluster.drained.contains(name)
        guard isKnown else {
            throw APIError(
                404, "unknown_node",
                "There is no node named \"\(name)\"; GET /v1/members lists those there are.")
        }
        return name
    }

    /// Has a node get no new executions, or get them again.
    mutating func drain(
        _ call: Call, _ isDrained: Bool, _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        let name = try node(call, context)
        try propose(.drain(name, isDrained), .drain(name), call, &actions)
    }

    func concludeDrain(
        of node: NodeName, _ made: Proposal, _ context: APIContext,
        _ actions: inout [APIAction]
    ) {
        let isDrained = context.store.cluster.drained.contains(node)
        log(
            isDrained ? "node drained" : "node takes executions again", made.call,
            [.init("member", node.text)], &actions)
        var writer = JSONWriter(made.call.layout)
        writer.beginObject()
        writer.member("node", node.text)
        writer.member("drained", isDrained)
        writer.endObject()
        reply(made, Answer(200, writer), context, &actions)
    }

    /// Asks a node to leave the cluster: an agent, which has no API of its own, above all.
    mutating func dismiss(
        _ call: Call, _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        let name = try node(call, context)
        guard let member = context.members.first(where: { $0.name == name }), member.isThere,
            let id = member.id
        else {
            throw APIError(
                409, "not_there",
                "The node \"\(name)\" does not answer, so it can't be asked to leave.")
        }
        if id == context.config.dataID { return try leave(call, context, &actions) }
        try order(.dismiss(id), call, &actions)
    }

    // MARK: Rewinding

    /// Has ticks that a clock ahead of the time has decided already be due again.
    mutating func rewind(
        _ call: Call, _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        var job: JobName?
        if !call.parameters.isEmpty {
            _ = try stored(call.job, context)
            job = call.job
        }
        try propose(
            .rewind(Rewind(time: context.stamp, job: job)), .rewind(job, total: 0), call, &actions)
    }

    /// A slice is done: the next one, or the answer.
    mutating func concludeRewind(
        of job: JobName?, total: UInt32, _ made: Proposal, _ result: ApplyResult,
        _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        guard case .rewound(let jobs, let next) = result else {
            if case .rejected(let rejection) = result, let job {
                throw APIError(rejection, job: job)
            }
            return invariant(false, "a ledger is rewound or its job unknown")
        }
        let total = total + jobs
        if let next, !made.isAbandoned {
            let rest = Rewind(time: context.stamp, after: next)
            return try propose(.rewind(rest), .rewind(nil, total: total), made.call, &actions)
        }
        let scope = job.map { [LogRecord.Field("job", $0.text)] } ?? []
        log("ledger rewound", made.call, scope + [.init("jobs", "\(total)")], &actions)
        var writer = JSONWriter(made.call.layout)
        writer.beginObject()
        writer.member("jobs", Int(total))
        writer.member("time", RFC3339.print(context.store.cluster.lastStamp))
        writer.endObject()
        reply(made, Answer(200, writer), context, &actions)
    }
}
