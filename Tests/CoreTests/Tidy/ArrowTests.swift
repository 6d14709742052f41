// Core's folders are rooms, and the doors between them are few: a file may mention a type of
// another folder only along an arrow of the table below (the same as in ARCHITECTURE.md).

import Testing

@Suite("Tidy: arrows between Core's folders")
struct ArrowTests {
    /// The folders each folder may use besides itself. `Boundary` is the files at the top of Core
    /// that say what goes in and out, without `Node`, which wires and is used by no folder.
    static let arrows: [String: Set<String>] = [
        "Base": [],
        "Calendar": ["Base"],
        "Cron": ["Base", "Calendar"],
        "JSON": ["Base"],
        "YAML": ["Base"],
        "HTTP": ["Base"],
        "HTTP2": ["Base"],
        "Protobuf": ["Base", "Calendar", "JSON"],
        "GRPC": ["Base", "HTTP2", "Protobuf"],
        "Pattern": ["Base"],
        "Wire": ["Base"],
        "Journal": ["Base"],
        "Raft": ["Base", "Journal"],
        "Membership": ["Base", "Wire"],
        "Store": ["Base", "Calendar", "Cron", "JSON"],
        "Scheduler": ["Base", "Calendar", "Cron", "Store"],
        "Executors": [
            "Base", "Calendar", "JSON", "HTTP", "HTTP2", "Protobuf", "GRPC", "Pattern", "Store",
        ],
        "Plugins": [
            "Base", "JSON", "HTTP", "HTTP2", "Protobuf", "GRPC", "Store", "Executors", "Processors",
        ],
        "Executions": ["Base", "Calendar", "JSON", "Store", "Wire", "Executors"],
        "Transfer": ["Base", "Journal", "Raft", "Store"],
        "Peers": [
            "Base", "HTTP", "Raft", "Store", "Executors", "Executions", "Transfer", "Boundary",
        ],
        "Processors": [
            "Base", "Calendar", "JSON", "HTTP", "Journal", "Store", "Executors",
        ],
        "Metrics": ["Base", "Store"],
        "API": [
            "Base", "Calendar", "Cron", "JSON", "HTTP", "Wire", "Journal", "Raft", "Membership",
            "Pattern", "Store", "Scheduler", "Executors", "Executions", "Processors", "Metrics",
            "Boundary",
        ],
    ]

    /// Plain values of the boundary in which every folder may speak.
    static let vocabulary: Set<String> = ["Mark", "LogRecord", "Tunables"]

    @Test("types are mentioned only along the arrows")
    func mentions() {
        var owners: [String: Set<String>] = [:]
        var nested: [String: Set<String>] = [:]
        for file in PurityTests.core {
            for name in Self.declaredTypes(of: file, nested: false)
            where !Self.vocabulary.contains(name) {
                owners[name, default: []].insert(Self.room(of: file))
            }
            for name in Self.declaredTypes(of: file, nested: true) {
                nested[Self.room(of: file), default: []].insert(name)
            }
        }
        var broken: [String] = []
        for file in PurityTests.core {
            let room = Self.room(of: file)
            guard let allowed = Self.arrows[room] else {
                if room != "Boundary", room != "Node" {
                    broken.append("\(file.path): \(room) has no row in the table")
                }
                continue
            }
            for (index, token) in file.tokens.enumerated() {
                guard let homes = owners[token.text], !homes.contains(room),
                    homes.isDisjoint(with: allowed),
                    !nested[room, default: []].contains(token.text),
                    index == 0 || file.tokens[index - 1].text != "."
                else { continue }
                let home = homes.sorted().joined(separator: " or ")
                broken.append("\(file.place(token.line)): \(room) uses \(token.text) of \(home)")
            }
        }
        #expect(broken == [])
    }

    @Test("the table has no cycle")
    func order() {
        var rest = Self.arrows.mapValues { $0.subtracting(["Boundary"]) }
        while let free = rest.first(where: { $0.value.isDisjoint(with: rest.keys) }) {
            rest[free.key] = nil
        }
        #expect(rest.keys.sorted() == [])
    }

    /// The folder below Core, or the kind of a file at its top.
    static func room(of file: SwiftFile) -> String {
        let parts = file.path.split(separator: "/")
        if parts.count > 3 { return String(parts[2]) }
        return file.path.hasPrefix("Sources/Core/Node") ? "Node" : "Boundary"
    }

    /// Names of the types declared at the top level of a file, or those declared inside others
    /// with the first generic parameters.
    static func declaredTypes(of file: SwiftFile, nested: Bool) -> [String] {
        let keywords: Set<String> = ["struct", "enum", "class", "protocol", "typealias"]
        var names: [String] = []
        var depth = 0
        for (index, token) in file.tokens.enumerated() {
            if token.text == "{" { depth += 1 }
            if token.text == "}" { depth -= 1 }
            let isParameter = token.text == "<" && nested
            guard keywords.contains(token.text) || isParameter, index + 1 < file.tokens.count,
                (depth > 0) == nested || isParameter,
                index == 0 || file.tokens[index - 1].text != "."
            else { continue }
            names.append(file.tokens[index + 1].text)
        }
        return names
    }
}
