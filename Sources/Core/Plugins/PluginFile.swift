// Which files are plugins, and which of them are started.

/// What a plugin does. The names are those in the names of files.
package enum PluginKind: String, Hashable, Sendable, CaseIterable {
    case executor
    case processor

    /// Those that need no plugin.
    package var builtInNames: [String] {
        switch self {
        case .executor: BuiltInExecutor.names
        case .processor: BuiltInProcessor.names
        }
    }
}

/// A program that is a plugin by its name: `dkron-executor-NAME` or `dkron-processor-NAME`.
package struct PluginFile: Hashable, Sendable {
    package let kind: PluginKind
    /// By which jobs name it.
    package let name: String
    package let path: String

    /// Nil if the last part of the path is no plugin's name.
    package init?(path: String) {
        let file = path.utf8.split(separator: 0x2f).last.map { String(Substring($0)) } ?? ""
        let found = PluginKind.allCases.first { file.hasPrefix("dkron-\($0.rawValue)-") }
        guard let kind = found else { return nil }
        var name = String(file.dropFirst("dkron-\(kind.rawValue)-".count))
        if name.hasSuffix(".exe") { name.removeLast(4) }
        guard !name.isEmpty else { return nil }
        self.kind = kind
        self.name = name
        self.path = path
    }

    /// `executor kafka`, for messages.
    package var description: String { "\(kind.rawValue) \(name)" }

    /// Of files in the order in which they were found, those to start, sorted by kind and name, and
    /// a line for each that is not. A later one of the same name wins over an earlier one, and
    /// what the program has itself over both.
    package static func chosen(
        _ files: [PluginFile], builtIn: (PluginKind) -> [String]
    ) -> (files: [PluginFile], notes: [LogRecord]) {
        var chosen: [PluginFile] = []
        var notes: [LogRecord] = []
        func pass(_ file: PluginFile, _ why: String) {
            notes.append(
                LogRecord(
                    .info, "plugin: \(file.description) is not started: \(why)",
                    [.init("path", file.path)]))
        }
        for file in files {
            if builtIn(file.kind).contains(file.name) {
                pass(file, "this program has it built in")
            } else if let index = chosen.firstIndex(where: {
                $0.kind == file.kind && $0.name == file.name
            }) {
                pass(chosen[index], "\(file.path) takes its place")
                chosen[index] = file
            } else {
                chosen.append(file)
            }
        }
        chosen.sort { ($0.kind.rawValue, $0.name) < ($1.kind.rawValue, $1.name) }
        return (chosen, notes)
    }
}
