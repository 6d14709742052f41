// A function fits a screen, a file fits a head, a line fits a page.

import Testing

@Suite("Tidy: sizes")
struct SizeTests {
    static let lineLimit = 100
    static let functionTarget = 70
    static let functionLimit = 90
    static let fileTarget = 500
    static let fileLimit = 600
    /// The list of exceptions may not become the rule.
    static let exceptionLimit = 12

    /// Files above the target, and functions (`path: name`) above theirs, each with its reason.
    /// Nothing excuses going above the limits.
    static let exceptions: [String: String] = [
        "Tests/CoreTests/Journal/HistoryStoreTests.swift: liveRandomly":
            "one random life after another, whose steps share a dozen variables"
    ]

    @Test("lines")
    func lines() {
        var broken: [String] = []
        for file in SourceTree.swift {
            for (index, length) in file.lineLengths.enumerated() where length > Self.lineLimit {
                broken.append("\(file.place(index + 1)): \(length) columns")
            }
        }
        #expect(broken == [])
    }

    @Test("files")
    func files() {
        var broken: [String] = []
        for file in SourceTree.swift {
            let count = file.lineLengths.count
            let limit = Self.exceptions[file.path] == nil ? Self.fileTarget : Self.fileLimit
            if count > limit { broken.append("\(file.path): \(count) lines") }
        }
        #expect(broken == [])
    }

    @Test("functions")
    func functions() {
        var broken: [String] = []
        for file in SourceTree.swift {
            for function in Function.all(in: file) {
                let key = "\(file.path): \(function.name)"
                let excused = Self.exceptions[key] != nil
                let limit = excused ? Self.functionLimit : Self.functionTarget
                if function.lines > limit {
                    broken.append(
                        "\(file.place(function.line)): \(function.name), "
                            + "\(function.lines) lines")
                }
            }
        }
        #expect(broken == [])
    }

    @Test("exceptions are few and not stale")
    func exceptions() {
        #expect(Self.exceptions.count <= Self.exceptionLimit)
        var names: Set<String> = []
        for file in SourceTree.swift {
            if file.lineLengths.count > Self.fileTarget { names.insert(file.path) }
            for function in Function.all(in: file) where function.lines > Self.functionTarget {
                names.insert("\(file.path): \(function.name)")
            }
        }
        #expect(Self.exceptions.keys.filter { !names.contains($0) } == [])
    }
}

/// A function or initialiser with a body.
struct Function {
    let name: String
    let line: Int
    /// From the line of its keyword to the line of its last brace.
    let lines: Int

    static func all(in file: SwiftFile) -> [Function] {
        var functions: [Function] = []
        for (index, token) in file.tokens.enumerated() {
            guard token.text == "func" || token.text == "init" || token.text == "deinit",
                index == 0 || file.tokens[index - 1].text != ".",
                let open = body(of: index, in: file)
            else { continue }
            let name = token.text == "func" ? file.tokens[index + 1].text : token.text
            let end = file.tokens[file.closing(open)].line
            functions.append(Function(name: name, line: token.line, lines: end - token.line + 1))
        }
        return functions
    }

    /// The brace that opens the body; nil for a requirement of a protocol.
    private static func body(of keyword: Int, in file: SwiftFile) -> Int? {
        let others: Set<String> = [
            "func", "init", "var", "let", "case", "subscript", "}", "static",
        ]
        var index = keyword + 1
        while index < file.tokens.count {
            let text = file.tokens[index].text
            if text == "(" || text == "[" {
                index = file.closing(index)
            } else if text == "{" {
                return index
            } else if index > keyword + 1, others.contains(text) {
                return nil
            }
            index += 1
        }
        return nil
    }
}
