internal import Adapters

/// Runs the command that the arguments name. Returns the exit status of the process: 0 for a
/// normal end, 1 for a usage or start-up error, 2 when a node could not go on.
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
    case "help", "--help", "-h":
        guard let topic = rest.first else {
            printOut(overview)
            return 0
        }
        return runCommand([topic, "--help"])
    // Started by `agent` alone: owns the processes of its jobs.
    case "supervisor": return SupervisorMain.run(rest)
    case "doc", "completion", "leave", "raft", "acl", "shell", "http":
        printError("dkron: the command \"\(word)\" is not available in this version\n\n\(overview)")
        return 1
    default:
        printError("dkron: unknown command \"\(word)\"\n\n\(overview)")
        return 1
    }
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
      keygen     print a new key for encryption between nodes
      version    print the version
      help       show this text, or with a command's name that command's

    dkron COMMAND --help tells more about a command.
    """
