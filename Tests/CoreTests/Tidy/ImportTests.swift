// Which target may import what. The package manager does not enforce it, so this does.

import Testing

@Suite("Tidy: imports")
struct ImportTests {
    /// The longest matching folder decides.
    static let allowed: [(folder: String, modules: Set<String>)] = [
        ("Sources/Core/", []),
        ("Sources/Adapters/", ["Core", "CSystem", "Glibc", "Synchronization"]),
        ("Sources/Simulator/", ["Core"]),
        ("Sources/Simulator/main.swift", ["Core", "Glibc"]),
        ("Sources/dkron/", ["Core", "Adapters", "Glibc"]),
        ("Sources/DkronPlugin/", ["Core", "Adapters", "Glibc", "Synchronization"]),
        ("Tests/CoreTests/", ["Core", "Glibc", "Testing"]),
        ("Tests/AdaptersTests/", ["Adapters", "Core", "CSystem", "Glibc", "Testing"]),
        ("Tests/ContractTests/", ["Adapters", "Core", "Glibc", "Simulator", "Testing"]),
        ("Tests/CommandTests/", ["Adapters", "Core", "Testing", "dkron"]),
        ("Tests/EndToEndTests/", ["Core", "Glibc", "Synchronization", "Testing"]),
        ("Tests/Benchmarks/", ["Core", "CSystem", "Glibc"]),
        ("SimTests/", ["Core", "Glibc", "Simulator", "Testing"]),
        ("fuzz/", []),
        ("Package.swift", ["PackageDescription"]),
    ]

    @Test("each target imports only what its row allows")
    func targets() {
        var broken: [String] = []
        for file in SourceTree.swift {
            let row = Self.allowed.filter { file.path.hasPrefix($0.folder) }
                .max { $0.folder.utf8.count < $1.folder.utf8.count }
            guard let row else {
                broken.append("\(file.path): belongs to no target of the table")
                continue
            }
            for (module, line) in Self.imports(of: file) where !row.modules.contains(module) {
                broken.append("\(file.place(line)): may not import \(module)")
            }
        }
        #expect(broken == [])
    }

    @Test("the package depends on no other package")
    func package() {
        let manifest = SwiftFile(path: "Package.swift", bytes: SourceTree.read("Package.swift"))
        let pairs = zip(manifest.tokens, manifest.tokens.dropFirst())
        #expect(!pairs.contains { $0.0.text == "." && $0.1.text == "package" })
    }

    @Test("the lexer sees imports and no comments or strings")
    func lexer() {
        let source = """
            // import A
            /* import B /* nested */ */
            @testable import Core
            let text = "import C \\(f("import D")) // import E"
            let raw = #"import "F" \\(g)"#
            let quotes = #\"\"\"\"#
            internal import struct Glibc.stat
            """
        let file = SwiftFile(path: "x.swift", bytes: Array(source.utf8))
        #expect(Self.imports(of: file).map(\.module) == ["Core", "Glibc"])
        #expect(file.tokens.contains { $0.text == "f" })
        #expect(!file.tokens.contains { $0.text == "g" || $0.text == "C" })
    }

    /// Module names after `import`, without the kind and the member of `import struct M.t`.
    static func imports(of file: SwiftFile) -> [(module: String, line: Int)] {
        let kinds: Set<String> = ["struct", "class", "enum", "func", "var", "let", "protocol"]
        var found: [(module: String, line: Int)] = []
        for (index, token) in file.tokens.enumerated() where token.text == "import" {
            let next = file.texts(from: index + 1, 2)
            guard let first = next.first else { continue }
            found.append((kinds.contains(first) ? next.last ?? first : first, token.line))
        }
        return found
    }
}
