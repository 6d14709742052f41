internal import Core

/// The commands about the servers that hold the cluster's log, and about leaving it.
let raftCommands: [RemoteCommand] = [
    RemoteCommand(
        "leave", "[NODE]", 0...1,
        summary: "Take a node out of its cluster for good, and stop it",
        details: "Without NODE it is the server at --address. A server gives up its seat; SIGTERM\n"
            + "keeps it. An agent leaves with every stop: it takes no new executions, waits for\n"
            + "what runs as a stop does, and hands over the results.",
        examples: ["dkron leave --address http://10.0.0.7:8080", "dkron leave worker-3"],
        run: leave),
    RemoteCommand(
        "raft list-peers", summary: "List the servers that hold the log",
        examples: ["dkron raft list-peers"], run: listPeers),
    RemoteCommand(
        "raft remove-peer", summary: "Take the seat of a server that will not come back",
        details: "The server should be down: one that runs goes on until it hears of it.",
        options: [RemoteOption("--peer-id", "ID", "of the server, as list-peers shows it")],
        examples: ["dkron raft remove-peer --peer-id 0f8a1c0e5d7b4f7f9a3e6b1d2c4a5e60"],
        run: removePeer),
    RemoteCommand(
        "raft transfer-leader", "[ID]", 0...1,
        summary: "Have another server lead, the one with that id or the most advanced one",
        examples: ["dkron raft transfer-leader"], run: transferLeader),
]

private func leave(_ call: RemoteCall) throws(CommandFailure) {
    if let node = call.operands.first {
        let reply = try call.client.send(.post, ["v1", "members", node, "leave"], call.layout)
        if !call.printed(reply) { printOut("\(node) was told to leave the cluster and to stop") }
        return
    }
    let reply = try call.client.send(.post, ["v1", "leave"], call.layout)
    if call.printed(reply) { return }
    printOut("the node at \(call.client.address) leaves its cluster and stops")
}

private func listPeers(_ call: RemoteCall) throws(CommandFailure) {
    let reply = try call.client.get(["v1", "raft", "peers"], call.layout)
    if call.printed(reply) { return }
    var table = Table(["NODE", "ID", "ADDRESS", "STATE", "VOTER"])
    for peer in try reply.value().elements {
        let isLeader = peer["leader"]?.isTrue ?? false
        table.add(
            Table.Cell(peer["node"]?.text ?? "(unknown)"), Table.Cell(peer["id"]?.string ?? ""),
            Table.Cell(peer["address"]?.text ?? "(unknown)"),
            Table.Cell(isLeader ? "leader" : "follower", isLeader ? .good : .plain),
            Table.Cell(peer["voter"]?.shown ?? ""))
    }
    call.console.print(table)
}

private func removePeer(_ call: RemoteCall) throws(CommandFailure) {
    guard let id = call.options["--peer-id"], !id.isEmpty else {
        throw .usage("--peer-id is missing; dkron raft list-peers shows the ids.")
    }
    let reply = try call.client.send(.delete, ["v1", "raft", "peers", id], call.layout)
    if !call.printed(reply) { printOut("the seat of \(id) is taken") }
}

private func transferLeader(_ call: RemoteCall) throws(CommandFailure) {
    let target = call.operands.first.map { [Query("to", $0)] } ?? []
    let reply = try call.client.send(.post, ["v1", "raft", "transfer"], target + call.layout)
    if !call.printed(reply) { printOut("the lead is being handed over") }
}
