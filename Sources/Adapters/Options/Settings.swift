internal import Core

/// What the file, the environment and the command line say, each stronger than the one before.
/// Whatever is wrong is collected, so that all of it can be told at once.
struct Settings {
    /// In the order in which the options first stood somewhere.
    private(set) var all: [Setting] = []
    private(set) var warnings: [String] = []
    private(set) var problems: [String] = []
    private(set) var filePath: String?

    subscript(name: String) -> Setting? { all.first { $0.option.name == name } }

    /// Replaces what weaker places said.
    private mutating func set(
        _ option: CommandLineOption, _ values: [Setting.Value], _ origin: Setting.Origin
    ) {
        var setting = Setting(option: option, values: values, origin: origin)
        for value in values {
            do {
                try option.check(value.text, setting.subject(value.origin))
            } catch {
                problems.append(error.message)
                setting.isMalformed = true
            }
        }
        if let index = all.firstIndex(where: { $0.option.name == option.name }) {
            all[index] = setting
        } else {
            all.append(setting)
        }
    }

    /// `tag` alone counts where both stand: the map is what a file says for want of the list.
    mutating func settleTags() {
        guard let tag = self["tag"], let tags = self["tags"] else { return }
        warnings.append(
            "\(tags.subject) is passed over, because tag (\(tag.place)) says which tags hold")
        all.removeAll { $0.option.name == "tags" }
    }

    // MARK: Command line

    mutating func read(_ options: [(option: CommandLineOption, value: String)]) {
        var index = 0
        while index < options.count {
            let option = options[index].option
            index += 1
            let isFirst = !options[..<(index - 1)].contains { $0.option.name == option.name }
            guard isFirst else { continue }
            let texts = options.filter { $0.option.name == option.name }.map(\.value)
            var items = option.kind == .list ? [] : [texts[texts.count - 1]]
            do {
                if option.kind == .list {
                    for text in texts { items += try commaSeparated(text) }
                }
            } catch {
                problems.append("--\(option.name): \(error.message)")
            }
            let values = items.map { Setting.Value(text: $0, origin: .commandLine) }
            set(option, values, .commandLine)
        }
    }

    // MARK: Environment

    /// Variables that a node gives to its commands, one of which may be a node.
    private static let ofCommands = [
        "DKRON_EXECUTION_ID", "DKRON_GROUP", "DKRON_ATTEMPT", "DKRON_SCHEDULED_AT",
        "DKRON_JOB_NAME",
    ]

    /// An empty variable counts as missing.
    mutating func readEnvironment(_ entries: [String], _ table: [CommandLineOption]) {
        for entry in entries where entry.hasPrefix("DKRON_") {
            guard let end = entry.firstIndex(of: "=") else { continue }
            let variable = String(entry[..<end])
            let text = String(entry[entry.index(after: end)...])
            if text.isEmpty || Self.ofCommands.contains(variable)
                || variable.hasPrefix(SecretFiles.prefix)
            {
                continue
            }
            guard let option = table.first(where: { $0.variable == variable }) else {
                let hint = Self.hint(for: variable, table)
                warnings.append(
                    "environment variable \(variable) is not known and has no effect\(hint)")
                continue
            }
            guard option.places.contains(.environment) else {
                let place = option.places.contains(.file) ? "in a file" : "on the command line"
                warnings.append(
                    "environment variable \(variable) has no effect; \(option.name) can stand only "
                        + place)
                continue
            }
            let setting = Setting(option: option, values: [], origin: .environment)
            do {
                let items = try Self.items(of: option, inVariable: text, setting.subject)
                set(
                    option, items.map { Setting.Value(text: $0, origin: .environment) },
                    .environment)
            } catch {
                problems.append("\(error.message)")
            }
        }
    }

    private static func hint(for variable: String, _ table: [CommandLineOption]) -> String {
        let known = table.filter { $0.places.contains(.environment) }.map {
            String($0.variable.dropFirst(6))
        }
        let nearest = Suggestion.nearest(to: String(variable.dropFirst(6)), among: known)
        return nearest.map { "; did you mean DKRON_\($0)?" } ?? ""
    }

    private static func items(
        of option: CommandLineOption, inVariable text: String, _ subject: String
    ) throws(UsageError) -> [String] {
        switch option.kind {
        case .value: return [text]
        case .flag: return [try boolean(text, subject)]
        // Unlike other lists, and as Dkron reads it.
        case .list where option.name == "tag":
            return text.split { $0 == " " || $0 == "\t" || $0 == "\n" }.map { String($0) }
        case .list:
            do { return try commaSeparated(text) } catch {
                throw UsageError("\(subject): \(error.message)")
            }
        case .map:
            let node: YAMLNode
            do { node = try ConfigurationFile.json(Array(text.utf8)) } catch {
                throw UsageError("\(subject) must hold a JSON object: \(error)")
            }
            return try pairs(node, subject).map(\.text)
        }
    }

    private static func boolean(_ text: String, _ subject: String) throws(UsageError) -> String {
        guard let isOn = CommandLineOption.boolean(text) else {
            throw UsageError("\(subject) is either true or false, not \"\(text)\"")
        }
        return isOn ? "true" : "false"
    }

    // MARK: File

    /// A file of something else is not answered with a line for each of its own.
    private static let mostProblems = 20

    mutating func readFile(given: String?, _ host: ConfigurationHost, _ table: [CommandLineOption])
    {
        let file: ConfigurationFile
        do {
            guard let found = try ConfigurationFile.find(given: given, host: host) else { return }
            file = found
        } catch {
            problems.append(error.message)
            return
        }
        filePath = file.path
        let known = table.filter { $0.places.contains(.file) }
        // Lines by keys as they are matched: without regard to case.
        var lines: [String: Int] = [:]
        for member in file.members {
            if problems.count >= Self.mostProblems {
                problems.append(
                    "\(file.path): line \(member.line) and those after it were not looked at")
                return
            }
            let key = member.key.lowercased()
            if let line = lines[key] {
                problems.append(
                    "\(file.path):\(member.line): \(member.key) stands here a second time, after "
                        + "line \(line)")
                continue
            }
            lines[key] = member.line
            guard let option = known.first(where: { $0.name == key }) else {
                problems.append(Self.unknown(member, in: file.path, table))
                continue
            }
            do { try take(member, of: option, in: file.path) } catch {
                problems.append(error.message)
            }
        }
    }

    private static func unknown(
        _ member: YAMLMember, in path: String, _ table: [CommandLineOption]
    ) -> String {
        let place = "\(path):\(member.line): "
        let key = member.key.lowercased()
        if table.contains(where: { $0.name == key }) {
            return place + "\(key) can stand only on the command line, as --\(key)"
        }
        let names = table.filter { $0.places.contains(.file) }.map(\.name)
        let hint = Suggestion.nearest(to: key, among: names).map { "; did you mean \($0)?" } ?? ""
        let shown = member.key.unicodeScalars.prefix(60).map { String($0) }.joined()
        return place + "there is no option called \"\(shown)\"\(hint)"
    }

    private mutating func take(
        _ member: YAMLMember, of option: CommandLineOption, in path: String
    ) throws(UsageError) {
        let node = member.value
        // A key with nothing behind it leaves the option as it is.
        if node.isNull { return }
        let origin = Setting.Origin.file(path: path, line: member.line)
        let subject = Setting(option: option, values: [], origin: origin).subject
        func value(_ text: String, _ line: Int) -> Setting.Value {
            Setting.Value(text: text, origin: .file(path: path, line: line))
        }
        let values: [Setting.Value]
        switch (option.kind, node.content) {
        case (.flag, .scalar(let text, _)):
            values = [value(try Self.boolean(text, subject), member.line)]
        case (.value, .scalar(let text, _)): values = [value(text, member.line)]
        case (.list, .scalar(let text, _)):
            do { values = try commaSeparated(text).map { value($0, member.line) } } catch {
                throw UsageError("\(subject): \(error.message)")
            }
        case (.list, .list(let items)):
            var texts: [Setting.Value] = []
            for item in items {
                guard case .scalar(let text, _) = item.content, !item.isNull else {
                    throw UsageError(
                        "\(path):\(item.line): \(option.name) is a list of single values")
                }
                texts.append(value(text, item.line))
            }
            values = texts
        case (.map, .map): values = try Self.pairs(node, subject).map { value($0.text, $0.line) }
        default:
            let wanted =
                switch option.kind {
                case .flag, .value: "a single value"
                case .list: "a list"
                case .map: "a map"
                }
            throw UsageError("\(subject) must be \(wanted), not \(node.kind)")
        }
        set(option, values, origin)
    }

    /// The members of a map as `name=value`.
    private static func pairs(
        _ node: YAMLNode, _ subject: String
    ) throws(UsageError) -> [(text: String, line: Int)] {
        guard case .map(let members) = node.content else {
            throw UsageError("\(subject) must be a map, not \(node.kind)")
        }
        var texts: [(text: String, line: Int)] = []
        for member in members {
            guard case .scalar(let text, _) = member.value.content else {
                throw UsageError("\(subject): \(member.key) must be a single value")
            }
            guard !member.key.isEmpty, !member.key.contains("=") else {
                throw UsageError("\(subject): a name without '=' is needed, not \"\(member.key)\"")
            }
            texts.append(("\(member.key)=\(member.value.isNull ? "" : text)", member.line))
        }
        return texts
    }
}
