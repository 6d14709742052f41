/// What is wrong with a command line, as one sentence.
package struct UsageError: Error, Hashable, Sendable, CustomStringConvertible {
    package var message: String
    package var description: String { message }

    package init(_ message: String) { self.message = message }
}

/// A command line taken apart: which options stood there, in order, and what was left.
package struct ParsedArguments: Sendable {
    package private(set) var options: [(option: CommandLineOption, value: String)] = []
    package private(set) var positional: [String] = []
    /// `--help` or `-h` stood there; nothing after it was looked at.
    package private(set) var wantsHelp = false

    /// Errors: an unknown option (with the nearest known one), a missing value, a value for a
    /// boolean that is none.
    package init(
        _ arguments: [String], against known: [CommandLineOption]
    ) throws(UsageError) {
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--" {
                positional += rest
                return
            }
            if argument == "--help" || argument == "-h" {
                wantsHelp = true
                return
            }
            guard argument.hasPrefix("-"), argument != "-" else {
                positional.append(argument)
                continue
            }
            guard argument.hasPrefix("--") else {
                let word = "-" + argument
                throw UsageError("unknown option \(argument): options begin with --, try \(word)")
            }
            let parts = argument.dropFirst(2).split(
                separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts[0])
            guard let option = known.first(where: { $0.name == name }) else {
                throw Self.unknown(name, known)
            }
            let attached = parts.count == 2 ? String(parts[1]) : nil
            let value = try Self.value(of: option, attached, &rest)
            options.append((option, value))
        }
    }

    private static func value(
        of option: CommandLineOption, _ attached: String?, _ rest: inout ArraySlice<String>
    ) throws(UsageError) -> String {
        switch option.kind {
        case .flag:
            guard let attached else { return "true" }
            guard let isOn = CommandLineOption.boolean(attached) else {
                throw UsageError("--\(option.name) is either true or false, not \"\(attached)\"")
            }
            return isOn ? "true" : "false"
        case .value, .list, .map:
            guard let value = attached ?? rest.popFirst() else {
                throw UsageError("--\(option.name) needs a value")
            }
            return value
        }
    }

    private static func unknown(_ name: String, _ known: [CommandLineOption]) -> UsageError {
        guard let nearest = Suggestion.nearest(to: name, among: known.map(\.name)) else {
            return UsageError("unknown option --\(name)")
        }
        return UsageError("unknown option --\(name); did you mean --\(nearest)?")
    }
}

/// Splits `a,"b,c",d` at the commas outside double quotes; `""` inside quotes is one quote.
func commaSeparated(_ text: String) throws(UsageError) -> [String] {
    var items: [String] = []
    var item = ""
    var quoted = false
    var characters = text.unicodeScalars[...]
    while let character = characters.popFirst() {
        switch character {
        case "\"" where !quoted && item.isEmpty: quoted = true
        case "\"" where quoted && characters.first == "\"":
            characters.removeFirst()
            item.unicodeScalars.append("\"")
        case "\"" where quoted: quoted = false
        case "," where !quoted:
            items.append(item)
            item = ""
        default: item.unicodeScalars.append(character)
        }
    }
    guard !quoted else { throw UsageError("a double quote is not closed in \(text)") }
    items.append(item)
    return items
}
