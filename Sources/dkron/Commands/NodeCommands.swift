internal import Core
internal import Glibc

/// The commands that take a node out of work, and the one for after a clock that was wrong.
let nodeCommands: [RemoteCommand] = [
    RemoteCommand(
        "drain", "NODE", 1...1,
        summary: "Give a node no new executions, and wait until those on it have ended",
        details: "What runs there goes on, and so does what was decided for it before. The node\n"
            + "stays drained, over restarts of it and of servers, until dkron undrain.",
        options: [RemoteOption("--no-wait", "do not wait for what runs there")],
        examples: ["dkron drain worker-3"], run: drain),
    RemoteCommand(
        "undrain", "NODE", 1...1, summary: "Give a drained node executions again",
        examples: ["dkron undrain worker-3"], run: undrain),
    RemoteCommand(
        "ledger rewind", "[JOB]", 0...1,
        summary: "Make ticks due again that a clock ahead of the time has decided",
        details: "Ticks up to a job's last decision are decided, also when the clock was wrong\n"
            + "then. Put the clocks right first. Every job whose last decision lies more than a\n"
            + "minute ahead goes on from the present; a JOB that is named also if it is less.\n"
            + "What the ledger says stays; ticks ahead get another row when they are due.",
        examples: ["dkron ledger rewind", "dkron ledger rewind nightly"], run: rewindLedger),
]

private func drain(_ call: RemoteCall) throws(CommandFailure) {
    let node = call.operands[0]
    let reply = try call.client.send(.post, ["v1", "members", node, "drain"], call.layout)
    if call.wantsJSON, call.has("--no-wait") {
        _ = call.printed(reply)
        return
    }
    if !call.wantsJSON { printOut("\(node) gets no new executions") }
    if call.has("--no-wait") { return }
    var shown: Int?
    while true {
        let busy = try call.client.get(
            ["v1", "busy"],
            [Query("node", node), Query("_end", "1"), Query("output_size_limit", "0")])
        let count = busy.total ?? 0
        if count == 0 { break }
        if count != shown, !call.wantsJSON {
            printOut("\(count) execution\(count == 1 ? "" : "s") not ended there yet")
        }
        shown = count
        usleep(500_000)
    }
    if !call.printed(reply) { printOut("nothing runs on \(node) any more") }
}

private func undrain(_ call: RemoteCall) throws(CommandFailure) {
    let node = call.operands[0]
    let reply = try call.client.send(.post, ["v1", "members", node, "undrain"], call.layout)
    if !call.printed(reply) { printOut("\(node) gets executions again") }
}

private func rewindLedger(_ call: RemoteCall) throws(CommandFailure) {
    let path = call.operands.first.map { ["v1", "jobs", $0, "ledger", "rewind"] }
    let reply = try call.client.send(.post, path ?? ["v1", "ledger", "rewind"], call.layout)
    if call.printed(reply) { return }
    let count = try reply.value()["jobs"]?.shown ?? "0"
    guard count != "0" else { return printOut("no job's last decision lies ahead of the time") }
    printOut("\(count) job\(count == "1" ? " goes" : "s go") on from the present")
}
