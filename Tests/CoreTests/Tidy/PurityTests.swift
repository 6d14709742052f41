// Core computes the same from the same inputs, in every process and on every day. These tests
// refuse the names through which a clock, a generator, a thread or the order of a hash table
// could come in.

import Testing

@Suite("Tidy: purity of Core")
struct PurityTests {
    static let core = SourceTree.swift(under: "Sources/Core/")

    /// A forbidden sequence of tokens, and why.
    static let banned: [(tokens: [String], reason: String)] = [
        (["ContinuousClock"], "reads a clock"),
        (["SuspendingClock"], "reads a clock"),
        ([".", "random", "("], "draws from the system's generator"),
        (["SystemRandomNumberGenerator"], "draws from the system's generator"),
        (["shuffled", "("], "draws from the system's generator"),
        (["shuffle", "("], "draws from the system's generator"),
        (["randomElement"], "draws from the system's generator"),
        (["hashValue"], "differs from process to process"),
        (["Hasher", "("], "differs from process to process"),
        (["ObjectIdentifier"], "depends on addresses"),
        (["print", "("], "writes past the outbox"),
        (["debugPrint", "("], "writes past the outbox"),
        (["dump", "("], "writes past the outbox"),
        (["readLine"], "reads past the inputs"),
        (["CommandLine"], "reads past the inputs"),
        (["Task"], "runs beside the step"),
        (["async"], "runs beside the step"),
        (["await"], "runs beside the step"),
        (["actor"], "runs beside the step"),
        (["Thread"], "runs beside the step"),
        (["Dispatch"], "runs beside the step"),
        (["@", "_extern"], "calls around the boundary"),
        (["@", "_silgen_name"], "calls around the boundary"),
        (["Double"], "rounds; decisions are made in whole numbers"),
        (["Float"], "rounds; decisions are made in whole numbers"),
    ]

    /// Files that may hold hash tables, because they only look up, insert and remove by key.
    static let hashTables: [String: String] = [
        "Sources/Core/Executors/Conversations.swift":
            "conversations by execution, connection and host: looked up, never walked over",
        "Sources/Core/Executors/ExecutorSettings.swift": "settings by key: looked up",
        "Sources/Core/Executors/HTTP/HTTPCalls.swift": "looks up calls by their numbers",
        "Sources/Core/Executors/HTTP/HTTPJob.swift": "looks up settings by their names",
        "Sources/Core/HTTP/HTTPCaller.swift": "looks up calls and connections by their numbers",
        "Sources/Core/Pattern/Pattern.swift": "finds equal sets; starts of classes, then sorted",
        "Sources/Core/Pattern/PatternSearch.swift": "finds equal states",
        "Sources/Core/Executors/Shell/ShellCommand.swift": "looks up settings by their names",
        "Sources/Core/Journal/HistoryStore.swift": "compares sums, one segment at a time",
        "Sources/Core/GRPC/GRPCClient.swift": "looks up calls by numbers and streams",
        "Sources/Core/GRPC/GRPCServer.swift": "looks up calls by their numbers",
        "Sources/Core/Plugins/PluginHost.swift": "looks up calls by execution and socket",
        "Sources/Core/Protobuf/ProtobufSchema.swift": "looks up types by their names",
        "Sources/Core/JSON/JSONMergePatch.swift": "looks up members whose order is kept beside",
    ]

    /// Files that may use floating point, because no decision depends on it.
    static let floatingPoint: [String: String] = [
        "Sources/Core/Protobuf/ProtobufFloats.swift": "numbers of others pass as bits and text"
    ]

    @Test("no banned name")
    func names() {
        var broken: [String] = []
        for file in Self.core {
            for index in file.tokens.indices {
                for (tokens, reason) in Self.banned where file.tokens[index].text == tokens[0] {
                    guard file.texts(from: index, tokens.count) == tokens,
                        tokens[0] == "." || index == 0 || !Self.isMember(file, index)
                    else { continue }
                    let isFloat = ["Double", "Float"].contains(tokens[0])
                    if isFloat, Self.floatingPoint[file.path] != nil { continue }
                    let name = tokens.joined()
                    broken.append("\(file.place(file.tokens[index].line)): \(name) \(reason)")
                }
            }
        }
        #expect(broken == [])
    }

    /// Whether the name is one of our own: declared here, or a member of something.
    private static func isMember(_ file: SwiftFile, _ index: Int) -> Bool {
        [".", "func", "case"].contains(file.tokens[index - 1].text)
            && !["hashValue", "randomElement", "shuffled", "shuffle"]
                .contains(file.tokens[index].text)
    }

    @Test("hash tables only in the files of the list, and never walked over")
    func hashOrder() {
        var broken: [String] = []
        for file in Self.core {
            let tables = HashTables(of: file)
            if Self.hashTables[file.path] == nil {
                broken += tables.places.map { "\(file.place($0)): a hash table, see the list" }
            }
            broken += tables.walks.map { "\(file.place($0.line)): walks over \($0.text)" }
        }
        #expect(broken == [])
        let existing = Set(Self.core.map(\.path))
        #expect(Self.hashTables.keys.filter { !existing.contains($0) } == [])
        #expect(Self.floatingPoint.keys.filter { !existing.contains($0) } == [])
    }

    @Test("walks over hash tables are recognised")
    func recognition() {
        let source = """
            var jobs: [Name: Job] = [:]
            var seen = Set<Name>()
            func walk() {
                for job in jobs { use(job) }
                for name in self.seen where name.isGood { use(name) }
                let headers: Headers = ["a": 1, name: 2, Name("b"): 3]
                use(jobs.values.count, jobs.keys.sorted(), jobs[name], a[i ? 1 : 2], seen.count)
                seen.forEach(use)
            }
            """
        let tables = HashTables(of: SwiftFile(path: "x.swift", bytes: Array(source.utf8)))
        #expect(tables.places == [1, 2])
        #expect(tables.walks.map(\.line) == [4, 5, 7, 8])
    }
}

/// The hash tables that a file declares, and the places where it depends on their order.
struct HashTables {
    /// Lines with a dictionary's or a set's type or literal.
    private(set) var places: [Int] = []
    /// Where a declared table's elements are used in the table's own order.
    private(set) var walks: [SwiftFile.Token] = []

    private static let ordered: Set<String> = [
        "keys", "values", "map", "compactMap", "flatMap", "filter", "forEach", "reduce", "first",
        "min", "max", "enumerated", "makeIterator", "prefix", "dropFirst", "popFirst",
        "removeFirst", "lazy", "description",
    ]

    init(of file: SwiftFile) {
        var names: Set<String> = []
        for index in file.tokens.indices {
            let token = file.tokens[index]
            let isGeneric = ["Dictionary", "Set"].contains(token.text)
            guard isGeneric || Self.isDictionary(file, index) else { continue }
            places.append(token.line)
            if let name = Self.declaredName(file, before: index) { names.insert(name) }
        }
        for index in file.tokens.indices where names.contains(file.tokens[index].text) {
            if Self.isWalk(file, index) { walks.append(file.tokens[index]) }
        }
    }

    /// Whether a `[` begins the type `[K: V]`: before the colon stand only names of types.
    private static func isDictionary(_ file: SwiftFile, _ index: Int) -> Bool {
        guard file.tokens[index].text == "[" else { return false }
        var depth = 0
        for token in file.tokens[index...file.closing(index)] {
            switch token.text {
            case "[": depth += 1
            case "]": depth -= 1
            case ":" where depth == 1: return file.tokens[index + 1].text != ":"
            case ".", "<", ">", "Self": break
            default: guard isTypeName(token.text) else { return false }
            }
        }
        return false
    }

    private static func isTypeName(_ text: String) -> Bool {
        guard let first = text.utf8.first else { return false }
        return first &- UInt8(ascii: "A") < 26
    }

    /// `name` of `name: [K: V]`, `name = [:]` and `name = Set<T>()`.
    private static func declaredName(_ file: SwiftFile, before index: Int) -> String? {
        guard index >= 2, [":", "="].contains(file.tokens[index - 1].text) else { return nil }
        let name = file.tokens[index - 2].text
        guard let first = name.utf8.first, first | 0x20 >= UInt8(ascii: "a") else { return nil }
        return name
    }

    private static func isWalk(_ file: SwiftFile, _ index: Int) -> Bool {
        let next = file.texts(from: index + 1, 5)
        if next.count > 1, next[0] == ".", ordered.contains(next[1]) {
            return
                !(["keys", "values"].contains(next[1]) && next.dropFirst(2).first == "."
                && next.dropFirst(3).first == "sorted")
        }
        guard next.first != ".", next.first != "[", next.first != "(" else { return false }
        var before = index - 1
        while before > 0, ["self", "."].contains(file.tokens[before].text) { before -= 1 }
        return before >= 0 && file.tokens[before].text == "in"
    }
}
