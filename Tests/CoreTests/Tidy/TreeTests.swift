// What must never be in the repository, and what must always be in its documents.

import Glibc
import Testing

@Suite("Tidy: the tree and its documents")
struct TreeTests {
    static let textSuffixes = [
        ".swift", ".md", ".c", ".h", ".sh", ".py", ".txt", ".plan", ".tsv", "/run", "/purity",
    ]
    static let texts = SourceTree.paths.filter { path in
        textSuffixes.contains { path.hasSuffix($0) }
    }

    @Test("no unfinished markers")
    func markers() {
        // Written in halves, so that this file does not find itself.
        let words = ["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"]
        let phrases = ["not " + "implemented", "not yet " + "implemented", "unimple" + "mented"]
        var broken: [String] = []
        for path in Self.texts {
            let file = TextSearch(path)
            broken += words.flatMap { file.places(of: $0, asWord: true) }
            broken += phrases.flatMap { file.places(of: $0) }
        }
        #expect(broken == [])
    }

    @Test("no path of anybody's machine")
    func machinePaths() {
        let prefixes = ["/wo" + "rk/", "/ho" + "me/", "/Us" + "ers/", "/ro" + "ot/", "/fa" + "rm/"]
        var broken: [String] = []
        for path in Self.texts {
            let file = TextSearch(path)
            broken += prefixes.flatMap { file.places(of: $0) }
        }
        #expect(broken == [])
    }

    @Test("no Swift line ends in blanks or holds a tab, every text ends with a newline")
    func whitespace() {
        var broken: [String] = []
        for path in Self.texts {
            let file = TextSearch(path)
            if !file.isEmpty, !file.endsWithNewline { broken.append(path) }
            guard path.hasSuffix(".swift") else { continue }
            broken += file.places(of: " \n") + file.places(of: "\t")
        }
        #expect(broken == [])
    }

    @Test("the first screen of the README has the commands that matter")
    func readme() {
        let screen = SourceTree.text("README.md").split(separator: "\n").prefix(40)
        for command in ["swift run -c release dkron agent --server", "swift test", "curl "] {
            #expect(screen.contains { $0.contains(command) }, "\(command)")
        }
    }

    @Test("the README names every command of the program")
    func commands() {
        let readme = SourceTree.text("README.md")
        let suffix = "Command.swift"
        let names = SourceTree.paths.filter { $0.hasPrefix("Sources/dkron/Commands/") }
            .compactMap { $0.split(separator: "/").last.map(String.init) }
            .filter { $0.hasSuffix(suffix) }
            .map { $0.dropLast(suffix.utf8.count).lowercased() }
        #expect(!names.isEmpty)
        #expect(names.filter { !readme.contains("dkron \($0)") } == [])
    }

    @Test("links between the documents lead somewhere")
    func links() {
        var broken: [String] = []
        let existing = Set(SourceTree.paths)
        for path in Self.texts where path.hasSuffix(".md") {
            let folder = path.split(separator: "/").dropLast().joined(separator: "/")
            for target in Self.linkTargets(of: SourceTree.text(path)) {
                let full = folder.isEmpty ? target : folder + "/" + target
                let isFolder = SourceTree.paths.contains { $0.hasPrefix(full + "/") }
                if !existing.contains(full), !isFolder { broken.append("\(path): \(target)") }
            }
        }
        #expect(broken == [])
    }

    /// Targets of `[text](target)` without those that lead out of the tree, and without anchors.
    private static func linkTargets(of text: String) -> [String] {
        var targets: [String] = []
        for piece in text.split(separator: "](").dropFirst() {
            let target = piece.prefix { $0 != ")" && $0 != "#" }
            if target.isEmpty || target.contains(":") || target.contains(" ") { continue }
            targets.append(String(target))
        }
        return targets
    }
}

/// Finds plain texts in one file, by the C library: fast in debug builds too.
struct TextSearch {
    private let path: String
    private let bytes: [CChar]

    init(_ path: String) {
        self.path = path
        bytes = SourceTree.read(path).map(CChar.init(bitPattern:)) + [0]
    }

    var isEmpty: Bool { bytes.count == 1 }
    var endsWithNewline: Bool { bytes.dropLast().last == CChar(UInt8(ascii: "\n")) }

    /// `path:line` of each occurrence; as a word, only where no letter or digit adjoins it.
    func places(of text: String, asWord: Bool = false) -> [String] {
        bytes.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return [] }
            var places: [String] = []
            var start = 0
            while let hit = strstr(base + start, text) {
                let offset = UnsafePointer(hit) - base
                start = offset + text.utf8.count
                let adjoins =
                    isalnum(Int32(buffer[start])) != 0
                    || offset > 0 && isalnum(Int32(buffer[offset - 1])) != 0
                if asWord, adjoins { continue }
                let line = buffer[..<offset].count { $0 == CChar(UInt8(ascii: "\n")) } + 1
                places.append("\(path):\(line)")
            }
            return places
        }
    }
}
