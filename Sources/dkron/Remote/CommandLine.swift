internal import Adapters
internal import Core

/// Runs a command that talks to a server; the word is its first. The result is the exit status: 0,
/// 1 when the server refused, 2 for wrong usage, 3 without a server.
func runRemoteCommand(_ word: String, _ arguments: [String]) -> Int32 {
    let group = RemoteCommand.all.filter { $0.words[0] == word }
    guard let (command, rest) = RemoteCommand.find(in: group, arguments) else {
        return runGroup(word, group, arguments)
    }
    do throws(CommandFailure) {
        guard let parsed = try RemoteArguments(rest, of: command) else {
            printOut(command.help)
            return 0
        }
        let client = try Client(parsed.options)
        try command.run(
            RemoteCall(
                operands: parsed.operands, options: parsed.options, client: client,
                console: Console()))
        return 0
    } catch {
        printError("dkron \(command.name): \(printable(error.message))")
        if case .usage = error { printError("Try: dkron \(command.name) --help") }
        return error.status
    }
}

/// The list of a group's commands, when help for the group was asked for, or none was named.
private func runGroup(
    _ word: String, _ group: [RemoteCommand], _ arguments: [String]
) -> Int32 {
    var lines = ["Usage: dkron \(word) COMMAND [OPTIONS]", ""]
    lines += RemoteCommand.summaries(of: group)
    if word == "raft" {
        lines.append("  raft recover          make a stopped server the only one (offline)")
    }
    lines += ["", "dkron \(word) COMMAND --help tells more about a command."]
    let help = lines.joined(separator: "\n")
    guard let first = arguments.first else {
        printError("dkron \(word): a command is missing\n\n\(help)")
        return 2
    }
    if ["--help", "-h", "help"].contains(first) {
        printOut(help)
        return 0
    }
    if first.hasPrefix("-") {
        printError("dkron \(word): options stand behind the command\n\n\(help)")
        return 2
    }
    let known = group.filter { $0.words.count > 1 }.map { $0.words[1] }
    let message = "dkron \(word): unknown command \"\(printable(first))\""
    if let nearest = Suggestion.nearest(to: first, among: known) {
        printError("\(message); did you mean \"dkron \(word) \(nearest)\"?")
    } else {
        printError("\(message)\n\n\(help)")
    }
    return 2
}

extension RemoteCommand {
    /// The words that begin a command of this kind.
    static let firstWords: [String] = all.reduce(into: []) { words, command in
        if !words.contains(command.words[0]) { words.append(command.words[0]) }
    }

    /// The command that the arguments name, and those behind its name; nil if they name none.
    static func find(
        in group: [RemoteCommand], _ arguments: [String]
    ) -> (RemoteCommand, [String])? {
        if let second = arguments.first,
            let command = group.first(where: { $0.words.count > 1 && $0.words[1] == second })
        {
            return (command, Array(arguments.dropFirst()))
        }
        guard let command = group.first(where: { $0.words.count == 1 }) else { return nil }
        // With commands beside it, a word behind this one is meant to be one of those.
        if group.count > 1, let first = arguments.first, !first.hasPrefix("-") { return nil }
        return (command, arguments)
    }

    /// One line for each command.
    static func summaries(of commands: [RemoteCommand]) -> [String] {
        var table = Table()
        for command in commands {
            let summary = command.summary.prefix(1).lowercased() + command.summary.dropFirst()
            let form =
                command.operands.isEmpty ? command.name : "\(command.name) \(command.operands)"
            table.add("", Table.Cell(form), Table.Cell(summary))
        }
        return table.lines(Style(hasColours: false))
    }
}

/// Arguments sorted into options and operands.
struct RemoteArguments: Hashable {
    private(set) var operands: [String] = []
    private(set) var options: [String: String] = [:]

    /// Nil when help was asked for.
    init?(_ arguments: [String], of command: RemoteCommand) throws(CommandFailure) {
        let known = command.options + RemoteOption.common
        var rest = arguments[...]
        var optionsEnded = false
        while let argument = rest.popFirst() {
            if optionsEnded || argument == "-" || !argument.hasPrefix("-") {
                operands.append(argument)
            } else if argument == "--" {
                optionsEnded = true
            } else {
                let parts = argument.split(
                    separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                let name = Self.long(String(parts[0]))
                guard let option = known.first(where: { $0.name == name }) else {
                    throw Self.unknown(name, known)
                }
                if name == "--help" { return nil }
                let attached = parts.count == 2 ? String(parts[1]) : nil
                options[name] = try Self.value(of: option, attached, &rest)
            }
        }
        guard operands.count <= command.operandCount.upperBound else {
            let extra = operands[command.operandCount.upperBound]
            throw .usage("\"\(extra)\" is one argument too many.")
        }
        guard operands.count >= command.operandCount.lowerBound else {
            throw .usage("Something is missing: dkron \(command.name) \(command.operands)")
        }
        // Part of a path: an empty one would name another resource.
        if operands.contains("") { throw .usage("An argument is empty.") }
    }

    private static func long(_ name: String) -> String {
        switch name {
        case "-h": "--help"
        case "-f": "--follow"
        case "-w": "--wait"
        default: name
        }
    }

    private static func value(
        of option: RemoteOption, _ attached: String?, _ rest: inout ArraySlice<String>
    ) throws(CommandFailure) -> String {
        if option.placeholder == nil {
            guard attached == nil else { throw .usage("\(option.name) takes no value.") }
            return ""
        }
        guard let value = attached ?? rest.popFirst() else {
            throw .usage("\(option.name) needs a value.")
        }
        return value
    }

    private static func unknown(_ name: String, _ known: [RemoteOption]) -> CommandFailure {
        guard let nearest = Suggestion.nearest(to: name, among: known.map(\.name)) else {
            return .usage("\(name) is not an option.")
        }
        return .usage("\(name) is not an option; did you mean \(nearest)?")
    }
}
