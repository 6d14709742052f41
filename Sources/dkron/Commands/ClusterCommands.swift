internal import Core

/// The commands about nodes and the cluster.
let clusterCommands: [RemoteCommand] = [
    RemoteCommand(
        "members", summary: "List the nodes of the cluster",
        examples: ["dkron members"], run: listMembers),
    RemoteCommand(
        "status", summary: "Show the server and its cluster",
        details: "The exit status is 1 when the server is up and can't serve.",
        examples: ["dkron status --address http://127.0.0.1:8080"], run: showStatus),
    RemoteCommand(
        "settings", summary: "Show the settings of the cluster",
        examples: ["dkron settings"], run: showSettings),
    RemoteCommand(
        "settings get", "[NAME]", 0...1, summary: "Show the settings, or the value of one",
        examples: ["dkron settings get catch_up_window"], run: showSettings),
    RemoteCommand(
        "settings set", "NAME=VALUE...", 1...100, summary: "Change settings, and keep the others",
        examples: ["dkron settings set catch_up_window=30m group_retention=50"],
        run: changeSettings),
    RemoteCommand(
        "pause", summary: "Stop ticks, and refuse changes and runs",
        options: [RemoteOption("--allow-edits", "stop ticks only")],
        examples: ["dkron pause --allow-edits"], run: pauseCluster),
    RemoteCommand(
        "unpause", summary: "Let ticks go on",
        examples: ["dkron unpause"], run: unpauseCluster),
]

private func listMembers(_ call: RemoteCall) throws(CommandFailure) {
    let reply = try call.client.get(["v1", "members"], call.layout)
    if call.printed(reply) { return }
    // Those that say what the other columns show, or concern nobody.
    let hidden = ["server", "bootstrap", "expect", "version", "rpc_addr", "port"]
    var table = Table(["NAME", "STATUS", "KIND", "ADDRESS", "VERSION", "TAGS"])
    for member in try reply.value().elements {
        let tags = member["Tags"]?.members ?? []
        let shown = tags.filter { !hidden.contains($0.name) }
        let status = member["statusText"]?.string ?? ""
        let isServer = tags.contains { $0.name == "server" }
        let address = member["Addr"]?.string ?? ""
        let host = address.contains(":") ? "[\(address)]" : address
        let isDrained = member["drained"]?.isTrue ?? false
        table.add(
            Table.Cell(member["Name"]?.string ?? ""),
            isDrained
                ? Table.Cell("\(status), drained", .active)
                : Table.Cell(status, tone(ofState: status)),
            Table.Cell(isServer ? "server" : "agent"),
            Table.Cell("\(host):\(member["Port"]?.shown ?? "")"),
            Table.Cell(tags.first { $0.name == "version" }?.value.shown ?? "-"),
            Table.Cell(shown.map { "\($0.name)=\($0.value.shown)" }.joined(separator: " ")))
    }
    call.console.print(table)
}

private func showStatus(_ call: RemoteCall) throws(CommandFailure) {
    let reply = try call.client.get(["v1"], call.layout)
    let ready = try call.client.exchange(.get, ["ready"])
    if !call.printed(reply) {
        let busy = try call.client.exchange(
            .get, ["v1", "busy"], [Query("_end", "1"), Query("output_size_limit", "0")])
        let node = try reply.value()
        let cluster = node["cluster"]
        let gossip = node["serf"]
        var table = Table()
        func add(_ name: String, _ text: String?, _ tone: Tone = .plain) {
            if let text { table.add(Table.Cell(name, .faint), Table.Cell(text, tone)) }
        }
        add("server", call.client.address)
        add("node", node["agent"]?["name"]?.string)
        add("version", node["agent"]?["version"]?.string)
        add(
            "state", ready.status == 200 ? "ready" : "not ready", ready.status == 200 ? .good : .bad
        )
        add("cluster", cluster?["id"]?.text)
        add("leader", cluster?["leader"]?.text ?? "none")
        if let members = gossip?["members"]?.string {
            let failed = gossip?["failed"]?.string ?? "0"
            add("members", failed == "0" ? members : "\(members), of which \(failed) failed")
        }
        add("jobs", cluster?["jobs"]?.string)
        if busy.status == 200 { add("running", busy.total.map { "\($0)" }) }
        let isPaused = cluster?["paused"]?.string == "true"
        add("ticks", isPaused ? "paused" : "on", isPaused ? .active : .plain)
        add("default zone", cluster?["default_timezone"]?.text)
        add("time", cluster?["time"]?.time.map { call.console.exact($0) })
        call.console.print(table)
    }
    if ready.status != 200 { throw .refused(ready.refusal) }
}

// MARK: Settings

private func showSettings(_ call: RemoteCall) throws(CommandFailure) {
    let reply = try call.client.get(["v1", "settings"], call.layout)
    let settings = try reply.value()
    if let name = call.operands.first {
        let known = settings.members
        guard let setting = known.first(where: { $0.name == name }) else {
            let names = known.map(\.name).joined(separator: ", ")
            throw .usage("There is no setting \"\(name)\"; there are \(names).")
        }
        let value = setting.value
        return printOut(
            call.wantsJSON
                ? String(decoding: value.document.compact(value.value), as: UTF8.self)
                : printable(value.shown))
    }
    if !call.printed(reply) { print(settings, call.console) { _ in true } }
}

private func print(_ settings: JSONView, _ console: Console, where isShown: (String) -> Bool) {
    var table = Table()
    for (name, value) in settings.members where isShown(name) {
        table.add(Table.Cell(name), Table.Cell(value.shown))
    }
    console.print(table)
}

private func changeSettings(_ call: RemoteCall) throws(CommandFailure) {
    var writer = JSONWriter(.compact, escaping: .minimal)
    var names: [String] = []
    writer.beginObject()
    for operand in call.operands {
        let parts = operand.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty else {
            throw .usage("A setting is given as NAME=VALUE, not \"\(operand)\".")
        }
        names.append(String(parts[0]))
        writer.key(names[names.count - 1])
        writeSetting(String(parts[1]), to: &writer)
    }
    writer.endObject()
    let reply = try call.client.send(
        .put, ["v1", "settings"], call.layout, body: writer.take())
    if !call.printed(reply) {
        print(try reply.value(), call.console) { names.contains($0) }
    }
}

/// Numbers and `null` as such, everything else as text.
private func writeSetting(_ text: String, to writer: inout JSONWriter) {
    if text == "null" {
        writer.null()
    } else if let number = Int64(text) {
        writer.integer(number)
    } else {
        writer.string(text)
    }
}

// MARK: Pausing

private func pauseCluster(_ call: RemoteCall) throws(CommandFailure) {
    var query = call.layout
    if call.has("--allow-edits") { query.append(Query("edits", "allow")) }
    let reply = try call.client.send(.post, ["v1", "pause"], query)
    if call.printed(reply) { return }
    let refuses = try reply.value()["edits"]?.string == "refuse"
    printOut(
        refuses
            ? "paused: ticks are skipped, changes and runs refused" : "paused: ticks are skipped")
}

private func unpauseCluster(_ call: RemoteCall) throws(CommandFailure) {
    let reply = try call.client.send(.post, ["v1", "unpause"], call.layout)
    if !call.printed(reply) { printOut("ticks go on") }
}
