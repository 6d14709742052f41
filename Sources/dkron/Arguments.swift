internal import Adapters
internal import Core

/// Runs the command that the arguments name. Returns the exit status of the process: 0 for a
/// normal end. A node gives 1 for a start that failed and 2 when it could not go on; commands that
/// talk to one give 1 when it refused, 2 for wrong usage and 3 when none answered.
func runCommand(_ arguments: [String]) -> Int32 {
    guard let word = arguments.first else {
        printOut(overview)
        return 0
    }
    let rest = Array(arguments.dropFirst())
    switch word {
    case "agent": return runAgentCommand(rest)
    case "schedule": return runScheduleCommand(rest)
    case "version", "--version": return runVersionCommand(rest)
    case "keygen": return runKeygenCommand(rest)
    case "recover": return runRecoverCommand(rest)
    // The only one of its group that talks to no server.
    case "raft" where rest.first == "recover":
        return runRaftRecoverCommand(Array(rest.dropFirst()))
    case "help", "--help", "-h":
        guard let topic = rest.first else {
            printOut(overview)
            return 0
        }
        return runCommand([topic] + rest.dropFirst() + ["--help"])
    // Started by `agent` alone: owns the processes of its jobs.
    case "supervisor": return SupervisorMain.run(rest)
    // Dkron 4 starts its own executors like this.
    case "shell", "http":
        return PluginFile(path: "dkron-executor-\(word)").map(runPlugin) ?? 2
    case "doc", "completion", "acl":
        printError("dkron: the command \"\(word)\" is not available in this version\n\n\(overview)")
        return 1
    default:
        if RemoteCommand.firstWords.contains(word) { return runRemoteCommand(word, rest) }
        let guess = guess(at: word)
        printError("dkron: unknown command \"\(printable(word))\"\(guess ?? "\n\n\(overview)")")
        return 2
    }
}

/// Serves as the plugin that the file's name says. Returns the exit status.
func runPlugin(_ file: PluginFile) -> Int32 {
    switch BuiltInPlugin.run(file) {
    case .success(let status): return status
    case .failure(let error):
        printError("dkron: \(error)")
        return 2
    }
}

/// What somebody may have meant by a first word that is no command.
private func guess(at word: String) -> String? {
    if word.hasPrefix("-") { return "; options stand behind the command" }
    let own =
        ["agent", "schedule", "recover", "keygen", "version", "help"] + RemoteCommand.firstWords
    if let nearest = Suggestion.nearest(to: word, among: own) {
        return "; did you mean \"dkron \(nearest)\"?"
    }
    // `dkron list` for `dkron job list`.
    let inner = RemoteCommand.all.filter { $0.words.count > 1 }
    guard let nearest = Suggestion.nearest(to: word, among: inner.map { $0.words[1] }),
        let command = inner.first(where: { $0.words[1] == nearest })
    else { return nil }
    return "; did you mean \"dkron \(command.name)\"?"
}

/// Answers `--help`, and refuses everything else, for a command without options of its own.
func refuseArguments(_ arguments: [String], of command: String, help: String) -> Int32? {
    guard let first = arguments.first else { return nil }
    if first == "--help" || first == "-h" {
        printOut(help)
        return 0
    }
    printError("dkron \(command): unexpected argument \"\(first)\"\n\n\(help)")
    return 1
}

private let overview = """
    dkron, a distributed cron

    Usage: dkron COMMAND [OPTIONS]

      agent      start a node in the foreground
      schedule   show when a schedule fires, without a server
      recover    make a data directory of a backup, without a server
      raft recover
                 make a stopped server the only one, when the majority is lost for good
      keygen     print a new key for encryption between nodes
      version    print the version
      help       show this text, or with a command's name that command's

    Commands that talk to a running server:

    \(RemoteCommand.summaries(of: RemoteCommand.all).joined(separator: "\n"))

    dkron COMMAND --help tells more about a command.
    """
