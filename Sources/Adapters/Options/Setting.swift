/// An option that stood somewhere, with what holds in the end.
package struct Setting: Sendable {
    package struct Value: Hashable, Sendable {
        package var text: String
        package var origin: Origin
    }

    package enum Origin: Hashable, Sendable {
        case commandLine
        case environment
        case file(path: String, line: Int)
    }

    package var option: CommandLineOption
    /// One for options that are no lists or maps. Of a map: `name=value`.
    package var values: [Value]
    /// Of the first value, also when there is none.
    package var origin: Origin
    /// What an address template came to.
    package var evaluated: String?
    /// A value is not even of its option's form, which was noted when it was read.
    var isMalformed = false

    var text: String { values.last?.text ?? "" }

    /// How a message names the option where it stands.
    package func subject(_ origin: Origin) -> String {
        switch origin {
        case .commandLine: "--\(option.name)"
        case .environment: "environment variable \(option.variable)"
        case .file(let path, let line): "\(path):\(line): \(option.name)"
        }
    }

    package var subject: String { subject(values.last?.origin ?? origin) }

    /// How the list of settings names the place.
    package var place: String {
        switch origin {
        case .commandLine: "--\(option.name)"
        case .environment: option.variable
        case .file(let path, let line): "\(path):\(line)"
        }
    }

    /// Whether an option that is about security is left open by what stands there.
    var isOff: Bool {
        switch option.kind {
        case .flag: text == "false"
        case .map: !values.contains { $0.text == "enabled=true" }
        // On a command line the empty text is a variable that was meant to hold something.
        case .value, .list: text.isEmpty && origin != .commandLine
        }
    }

    /// The value for people: secrets and passwords within addresses are left out.
    package var shown: String {
        if values.isEmpty { return "(none)" }
        if option.isSecret { return "(set, not shown)" }
        if let evaluated { return "\(evaluated)  from \(quoted(text))" }
        return values.map { Self.masked($0.text) }.map(quoted).joined(separator: ", ")
    }

    private func quoted(_ text: String) -> String {
        let isPlain = text.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value != 0x7F }
        return isPlain && !text.isEmpty ? text : text.debugDescription
    }

    /// Cloud discovery takes its keys in the text, and an address may hold `user:password@`.
    static func masked(_ text: String) -> String {
        if text.contains("provider=") { return "(cloud discovery, not shown)" }
        guard let at = text.lastIndex(of: "@"), text[..<at].contains(":") else { return text }
        return "(not shown)" + text[at...]
    }
}
