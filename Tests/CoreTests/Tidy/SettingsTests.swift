import Testing

@testable import Core

@Suite("Settings of executors and processors")
struct SettingsTests {
    @Test("docs/executors.md tells of every setting in the section of its executor")
    func executors() {
        let page = Self.sections("docs/executors.md")
        for executor in BuiltInExecutor.allCases {
            // Its settings stand in the README, where the first job is explained.
            let text =
                executor == .shell ? SourceTree.text("README.md") : page[executor.rawValue] ?? ""
            for key in executor.table {
                #expect(
                    text.contains("`\(key.name)`"),
                    "\(executor.rawValue): \(key.name) is not described")
            }
        }
    }

    @Test("a table names no setting twice, and reads what it names")
    func tables() {
        for executor in BuiltInExecutor.allCases {
            let names = executor.table.map(\.name)
            #expect(Set(names).count == names.count, "\(executor.rawValue)")
            do throws(ExecutorSettingError) {
                try executor.check([Setting(name: "no-such-key", value: "1")])
                Issue.record("\(executor.rawValue) takes any key")
            } catch {
                for name in names { #expect(error.message.contains(name)) }
            }
        }
    }

    /// What stands below each heading of the second level.
    private static func sections(_ path: String) -> [String: String] {
        var sections: [String: String] = [:]
        var heading = ""
        for line in SourceTree.text(path).split(separator: "\n") {
            if line.hasPrefix("## ") { heading = String(line.dropFirst(3)) }
            sections[heading, default: ""] += line + "\n"
        }
        return sections
    }
}
