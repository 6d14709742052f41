/// An option of a command. Every command also has those of `RemoteOption.common`.
struct RemoteOption: Sendable {
    /// With its dashes.
    let name: String
    /// What stands for its value in the help; nil when it takes none.
    let placeholder: String?
    let help: String

    init(_ name: String, _ help: String) {
        (self.name, placeholder, self.help) = (name, nil, help)
    }

    init(_ name: String, _ placeholder: String, _ help: String) {
        (self.name, self.placeholder, self.help) = (name, placeholder, help)
    }

    static let common = [
        RemoteOption("--json", "print the server's JSON"),
        RemoteOption(
            "--address", "URL", "the server (default: DKRON_ADDRESS, else \(Client.defaultAddress))"
        ),
        RemoteOption(
            "--tls-ca", "FILE", "https: authorities instead of the system's (DKRON_TLS_CA)"),
        RemoteOption("--tls-cert", "FILE", "https: certificate of this client (DKRON_TLS_CERT)"),
        RemoteOption("--tls-key", "FILE", "https: the certificate's key (DKRON_TLS_KEY)"),
        RemoteOption("--timeout", "TIME", "how long the server may be silent (default: 30s)"),
        RemoteOption("--help", "show this text"),
    ]

    var form: String { placeholder.map { "\(name) \($0)" } ?? name }
}

/// A command that talks to a server: its grammar, its help, and what it does.
struct RemoteCommand: Sendable {
    /// `["job", "list"]`.
    let words: [String]
    /// As shown in the usage line: `NAME [EXECUTION]`.
    let operands: String
    let operandCount: ClosedRange<Int>
    let summary: String
    /// Further paragraphs of the help.
    let details: String
    let options: [RemoteOption]
    let examples: [String]
    let run: @Sendable (RemoteCall) throws(CommandFailure) -> Void

    init(
        _ name: String, _ operands: String = "", _ operandCount: ClosedRange<Int> = 0...0,
        summary: String, details: String = "", options: [RemoteOption] = [],
        examples: [String], run: @escaping @Sendable (RemoteCall) throws(CommandFailure) -> Void
    ) {
        words = name.split(separator: " ").map(String.init)
        self.operands = operands
        self.operandCount = operandCount
        self.summary = summary
        self.details = details
        self.options = options
        self.examples = examples
        self.run = run
    }

    static let all = jobCommands + clusterCommands + nodeCommands + raftCommands + backupCommands

    var name: String { words.joined(separator: " ") }

    var help: String {
        var usage = "Usage: dkron \(name)"
        if !operands.isEmpty { usage += " \(operands)" }
        var lines = ["\(usage) [OPTIONS]", "", "\(summary)."]
        if !details.isEmpty { lines += ["", details] }
        lines.append("")
        let options = options + RemoteOption.common
        let width = options.map(\.form.count).max() ?? 0
        for option in options {
            let padding = String(repeating: " ", count: width - option.form.count + 2)
            lines.append("  \(option.form)\(padding)\(option.help)")
        }
        lines += ["", examples.count == 1 ? "Example:" : "Examples:"]
        lines += examples.map { "  \($0)" }
        return lines.joined(separator: "\n")
    }
}

/// What a command was given.
struct RemoteCall {
    let operands: [String]
    /// Names with their dashes; empty values for options without one.
    let options: [String: String]
    let client: Client
    let console: Console

    func has(_ option: String) -> Bool { options[option] != nil }

    var wantsJSON: Bool { has("--json") }

    /// A number that is not negative; nil when the option is absent.
    func number(_ option: String) throws(CommandFailure) -> Int? {
        guard let text = options[option] else { return nil }
        guard let number = Int(text), number >= 0 else {
            throw .usage("\(option) is a whole number, not \"\(text)\".")
        }
        return number
    }

    /// The query parameter that has JSON indented for people.
    var layout: [Query] { wantsJSON && console.isTerminal ? [Query("pretty")] : [] }

    /// Prints the server's JSON if that was asked for; says whether it was.
    func printed(_ reply: Reply) -> Bool {
        guard wantsJSON else { return false }
        console.write(reply.body + (reply.body.last == 0x0a ? [] : [0x0a]))
        return true
    }
}
