// The servers of the cluster and their seats in the consensus.

/// What a person wants changed about the seats.
package enum SeatOrder: Hashable, Sendable {
    /// Take the seat of a server.
    case remove(ServerID)
    /// Have another server lead: this one, or the one that lacks least.
    case transfer(to: ServerID?)
    /// This node gives up its seat and stops.
    case leave
}

/// What became of it.
package enum SeatOutcome: Hashable, Sendable {
    case done
    case unknownServer
    /// The sentence says why.
    case refused(String)
    case failed(ProposalFailure)
}

extension API {
    func listPeers(_ call: Call, _ context: APIContext, _ actions: inout [APIAction]) {
        var writer = JSONWriter(call.layout)
        writer.beginArray()
        for id in context.configuration.members {
            let member = context.members.first { $0.id == id }
            writer.beginObject()
            writer.member("id", Hexadecimal.text(ofIdentity: id))
            writer.member("node", member?.name.text ?? "")
            writer.member("address", member?.tag("rpc_addr") ?? "")
            writer.member("leader", id == context.leaderID)
            writer.member("voter", context.configuration.isVoter(id))
            writer.endObject()
        }
        writer.endArray()
        respond(call, Answer(200, writer), context, &actions)
    }

    /// A server is named by its id, or by the name of its node.
    private func server(_ text: String, _ context: APIContext) throws(APIError) -> ServerID {
        if let id = Hexadecimal.identity(text), context.configuration.contains(id) { return id }
        let named = context.members.first { $0.name.text == text }?.id
        if let named, context.configuration.contains(named) { return named }
        throw APIError(
            404, "unknown_server",
            "No server \"\(text)\" has a seat; GET /v1/raft/peers lists those that have.")
    }

    mutating func removePeer(
        _ call: Call, _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        let id = try server(call.parameters.first ?? "", context)
        try order(.remove(id), call, &actions)
    }

    mutating func transferLeadership(
        _ call: Call, _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        guard let text = call.query["to"], !text.isEmpty else {
            return try order(.transfer(to: nil), call, &actions)
        }
        try order(.transfer(to: try server(text, context)), call, &actions)
    }

    mutating func leave(
        _ call: Call, _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        guard context.members.count > 1 || !context.config.isServer else {
            throw APIError(
                409, "single_server",
                "This is the cluster's only server, so there is nobody to leave it to. To shut it"
                    + " down, send SIGTERM to its process; the data stays for the next start.")
        }
        try order(.leave, call, &actions)
    }

    private mutating func order(
        _ order: SeatOrder, _ call: Call, _ actions: inout [APIAction]
    ) throws(APIError) {
        try wait(call.id, for: .seats(call, order))
        actions.append(.arrange(call.id, order))
    }

    /// The answer to `arrange`.
    package mutating func arranged(
        _ id: RequestID, _ outcome: SeatOutcome, _ context: APIContext,
        into actions: inout [APIAction]
    ) {
        guard case .seats(let call, let order) = pending[id] else { return }
        pending.remove(id)
        let answer: Answer
        switch outcome {
        case .done:
            answer = order == .leave ? servers(call, context) : arrangedAnswer(call, context)
        case .unknownServer:
            let error = APIError(404, "unknown_server", "That server has no seat any more.")
            answer = Answer(error, layout: call.layout)
        case .refused(let reason):
            answer = Answer(APIError(409, "refused", reason), layout: call.layout)
        case .failed(let failure): answer = Answer(context.error(failure), layout: call.layout)
        }
        respond(call, answer, context, &actions)
    }

    private func arrangedAnswer(_ call: Call, _ context: APIContext) -> Answer {
        var writer = JSONWriter(call.layout)
        writer.beginObject()
        writer.key("voters")
        writer.beginArray()
        for id in context.configuration.voters { writer.string(Hexadecimal.text(ofIdentity: id)) }
        writer.endArray()
        writer.endObject()
        return Answer(200, writer)
    }

    /// The servers by region, as Dkron describes them.
    private func servers(_ call: Call, _ context: APIContext) -> Answer {
        let known = context.members.filter(\.isServer)
        var regions: [String] = []
        for member in known {
            let region = member.tag("region") ?? ""
            if !regions.contains(region) { regions.append(region) }
        }
        var writer = JSONWriter(call.layout)
        writer.beginObject()
        for region in regions.sorted() {
            writer.key(region)
            writer.beginArray()
            for member in known where member.tag("region") ?? "" == region {
                writer.server(member)
            }
            writer.endArray()
        }
        writer.endObject()
        return Answer(200, writer)
    }
}

extension JSONWriter {
    fileprivate mutating func server(_ member: Member) {
        beginObject()
        self.member("Name", member.name.text)
        self.member("ID", member.name.text)
        self.member("Region", member.tag("region") ?? "")
        self.member("Datacenter", member.tag("dc") ?? "")
        self.member("Port", member.tag("port").flatMap { Int($0) } ?? 0)
        self.member("Bootstrap", false)
        self.member("Expect", member.tag("expect").flatMap { Int($0) } ?? 0)
        self.member("RaftVersion", 3)
        self.member("BuildVersion", member.tag("version") ?? "")
        key("Addr")
        beginObject()
        self.member("IP", member.address)
        self.member("Port", member.tag("port").flatMap { Int($0) } ?? 0)
        self.member("Zone", "")
        endObject()
        self.member("Status", member.status.rawValue)
        endObject()
    }
}
