// `dkron raft recover`: a cluster out of one server, when its majority is lost for good.

internal import Adapters
internal import Core

private let usage = """
    Usage: dkron raft recover [--data-dir DIR] [--dry-run]

    Makes the stopped server with this data directory the only voter of its cluster, when a
    majority of the servers is lost for good. Everything in its log is kept, what was committed and
    what was not. What only the lost servers had is gone, so use the server whose last entry has the
    highest term; of several with the same term, the one whose last index is highest. --dry-run
    prints both.

    The other servers of the cluster are asked first: while a majority could answer, nothing is
    done. Run it on one server only, as the user that the server runs as. The others come back with
    empty data directories.

      --data-dir DIR  of the server, which must be stopped (default: dkron.data)
      --dry-run       say what would be done, and change nothing
      --help          show this text

    Example:
      sudo -u dkron dkron raft recover --data-dir /var/lib/dkron
    """

private let options = [
    CommandLineOption.used(
        "data-dir", .value, "DIR", "of the server", standard: "dkron.data"),
    CommandLineOption.used(
        "dry-run", .flag, "", "say what would be done, and change nothing", standard: "false"),
]

/// Runs `dkron raft recover …`. The result is the exit status: 0, 1 when it was refused, 2 for
/// wrong usage.
func runRaftRecoverCommand(_ arguments: [String]) -> Int32 {
    let parsed: ParsedArguments
    do throws(UsageError) {
        parsed = try ParsedArguments(arguments, against: options)
    } catch {
        return refuse(error.message)
    }
    if parsed.wantsHelp {
        printOut(usage)
        return 0
    }
    if let extra = parsed.positional.first {
        return refuse("unexpected argument \"\(extra)\"")
    }
    func value(_ name: String) -> String? {
        parsed.options.last { $0.option.name == name }?.value
    }
    do {
        try recover(value("data-dir") ?? "dkron.data", isDry: value("dry-run") == "true")
        return 0
    } catch {
        printError("dkron raft recover: \(printable("\(error)"))")
        return 1
    }
}

private func refuse(_ message: String) -> Int32 {
    printError("dkron raft recover: \(printable(message))\n\n\(usage)")
    return 2
}

/// One of the other voters, and whether it lives.
private struct Voter {
    var id: ServerID
    var name: String
    var answers: Bool
    /// What is known of it, as the rest of a sentence about it.
    var finding: String
}

private func recover(_ path: String, isDry: Bool) throws {
    let directory = try DataDirectory(existing: path)
    let storage = try OfflineStorage(directory)
    let perform = { (operation: StorageOperation) in storage.perform(operation) }
    var recovery = QuorumRecovery(
        dataID: directory.id, perform: QuorumRecovery.readOnly(perform))
    try recovery.read()
    report(recovery, path)
    guard !recovery.isAlone else {
        throw QuorumRecovery.Fault(
            description: "this server is the only voter already, so no majority is missing; "
                + "start it: dkron agent --server --data-dir \(path)")
    }
    let voters = recovery.otherVoters.map { ask($0, recovery, as: directory.id) }
    for voter in voters { printOut("  \(voter.name): \(voter.finding)") }
    try refuseIfAlive(voters, recovery, directory.id)
    guard !isDry else {
        return printOut(
            "nothing was changed (--dry-run); without it, this server would become the only voter")
    }
    recovery = QuorumRecovery(dataID: directory.id, perform: perform)
    try recovery.read()
    let name = try recovery.write(salt: Entropy.number())
    conclude(name, voters, recovery, path)
}

private func report(_ recovery: QuorumRecovery, _ path: String) {
    let cluster = recovery.store.cluster
    let stamp = RFC3339.print(WallTime(seconds: cluster.lastStamp.seconds))
    printOut(
        "\(path): cluster \(cluster.clusterID), \(recovery.store.counters.jobs) jobs, last "
            + "entry of term \(recovery.lastTerm) at index \(recovery.lastIndex), stamped \(stamp)")
    let others = recovery.otherVoters.count
    printOut("voters: this server and \(others) other\(others == 1 ? "" : "s")")
}

private func ask(_ id: ServerID, _ recovery: QuorumRecovery, as own: ServerID) -> Voter {
    let known = recovery.known(id)
    let name = known?.name.text ?? Hexadecimal.text(ofIdentity: id)
    guard let text = known?.tag("rpc_addr"), let address = GossipAddress(text: text) else {
        return Voter(
            id: id, name: name, answers: false,
            finding: "not asked, because no address of it is known here; make sure yourself that "
                + "it is down")
    }
    switch PeerQuestion.ask(address, addressee: id, as: own, timeout: .seconds(3)) {
    case .success(let hello) where hello.id == id:
        return Voter(id: id, name: name, answers: true, finding: "answers at \(address)")
    case .success:
        return Voter(
            id: id, name: name, answers: false,
            finding: "another node answers at its address \(address)")
    case .failure(let failure):
        return Voter(
            id: id, name: name, answers: false,
            finding: "does not answer at \(address): \(failure.reason)")
    }
}

private func refuseIfAlive(
    _ voters: [Voter], _ recovery: QuorumRecovery, _ own: ServerID
) throws {
    let alive = voters.filter(\.answers)
    // Started again, this server would be one more, if it has a vote.
    let count = alive.count + (recovery.configuration.isVoter(own) ? 1 : 0)
    let needed = Quorum.size(of: recovery.configuration.voters.count)
    guard count >= needed else { return }
    let names = alive.map(\.name).joined(separator: ", ")
    throw QuorumRecovery.Fault(
        description: "the cluster does not need this: \(names) \(alive.count == 1 ? "is" : "are") "
            + "alive, and with this server that makes a majority of its "
            + "\(recovery.configuration.voters.count) voters. Start this server again instead. "
            + "Nothing was changed")
}

private func conclude(
    _ name: String, _ voters: [Voter], _ recovery: QuorumRecovery, _ path: String
) {
    let names = voters.map(\.name).joined(separator: ", ")
    printOut(
        """
        This server is the only voter now, and the cluster goes on as \(name).
        Kept: everything in this server's log, also what no majority had acknowledged.
        Missing: what \(names) acknowledged and this server never received. Runs of \
        commands meanwhile are in the agents' hands and are reported when it leads again.

        Next:
          1. Start this server as before: dkron agent --server --data-dir \(path)
             Ticks missed since then follow each job's catch_up.
          2. Never start \(names) with the old data: together they could be a majority of
             the cluster that was, and run every job once more. A server that has heard of this
             recovery stops by itself and says so.
          3. Empty their data directories and start them with --retry-join and this server's
             address. Each is taken in, gets everything, and votes. Agents go along by themselves.
        """)
}
