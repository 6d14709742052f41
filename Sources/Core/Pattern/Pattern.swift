// Regular expressions of a small syntax (docs/executors.md), searched for in time linear in the
// text: the expression becomes a program for Thompson's simulation, and `PatternSearch` builds a
// deterministic automaton from it as the text asks for states. There is nothing in the syntax that
// would need backtracking, and the size of the program is bounded, so no expression is slow.

/// A compiled expression. Equal patterns have equal programs.
package struct Pattern: Hashable, Sendable {
    enum Instruction: Hashable, Sendable {
        /// Takes one scalar that is in `sets[index]`, and goes on behind.
        case take(set: Int)
        /// Goes on at both places.
        case split(Int, Int)
        case jump(Int)
        case require(Assertion)
        case match
    }

    /// What must hold between two scalars.
    enum Assertion: UInt8, Hashable, Sendable {
        case textStart, textEnd, lineStart, lineEnd, wordBoundary, noWordBoundary
    }

    /// Bytes of UTF-8 that an expression may have.
    package static let longestText = 1_000
    /// Instructions of a program; one scalar of text costs at most a small multiple of it.
    package static let mostInstructions = 1_000
    /// The largest number in `{n,m}`.
    package static let mostRepetitions = 1_000
    /// Groups inside groups.
    package static let deepestNesting = 50

    /// As it was written.
    package let text: String
    private(set) var program: [Instruction] = []
    private(set) var sets: [ScalarSet] = []
    /// Scalars from one of these up to the next are alike to every instruction.
    private(set) var classStarts: [UInt32] = []

    /// Errors name the column and what is not supported or malformed.
    package init(_ text: String) throws(TextError) {
        let count = text.utf8.count
        guard count <= Self.longestText else {
            throw TextError(
                column: 1,
                "the expression has \(count) bytes; at most \(Self.longestText) are "
                    + "allowed")
        }
        var parser = PatternParser(text)
        let tree = try parser.parse()
        var compiler = PatternCompiler()
        try compiler.compile(tree)
        compiler.program.append(.match)
        self.text = text
        program = compiler.program
        sets = compiler.sets
        classStarts = Self.classes(of: sets)
    }

    /// Whether the expression matches anywhere in a text. Linear in its length.
    package func matches(_ bytes: [UInt8]) -> Bool {
        var search = PatternSearch(self)
        search.feed(bytes)
        return search.finish()
    }

    private static func classes(of sets: [ScalarSet]) -> [UInt32] {
        // What assertions tell apart is told apart everywhere.
        var starts: Set<UInt32> = [0]
        for set in sets + [.word, .newline] {
            for range in set.ranges {
                starts.insert(range.lowerBound)
                if range.upperBound < ScalarSet.last { starts.insert(range.upperBound + 1) }
            }
        }
        return starts.sorted()
    }
}

/// Sorted ranges of Unicode scalars that neither touch nor overlap.
struct ScalarSet: Hashable, Sendable {
    static let last: UInt32 = 0x10_ffff
    private(set) var ranges: [ClosedRange<UInt32>]

    init(_ ranges: [ClosedRange<UInt32>]) {
        var result: [ClosedRange<UInt32>] = []
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let before = result.last, range.lowerBound <= before.upperBound &+ 1 {
                let end = max(before.upperBound, range.upperBound)
                result[result.count - 1] = before.lowerBound...end
            } else {
                result.append(range)
            }
        }
        self.ranges = result
    }

    var inverted: ScalarSet {
        var result: [ClosedRange<UInt32>] = []
        var next: UInt32 = 0
        for range in ranges {
            if range.lowerBound > next { result.append(next...(range.lowerBound - 1)) }
            next = range.upperBound + 1
        }
        if next <= Self.last { result.append(next...Self.last) }
        return ScalarSet(result)
    }

    /// With both cases of the ASCII letters in it.
    var ignoringCase: ScalarSet {
        var result = ranges
        for range in ranges {
            for (letters, shift) in [(UInt32(0x41)...0x5a, 32), (0x61...0x7a, -32)] {
                guard range.overlaps(letters) else { continue }
                let part = range.clamped(to: letters)
                result.append(
                    UInt32(Int(part.lowerBound) + shift)...UInt32(Int(part.upperBound) + shift))
            }
        }
        return ScalarSet(result)
    }

    func contains(_ scalar: UInt32) -> Bool {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound < scalar { low = middle + 1 } else { high = middle }
        }
        return low < ranges.count && ranges[low].contains(scalar)
    }

    static let all = ScalarSet([0...last])
    static let newline = ScalarSet([0x0a...0x0a])
    static let digit = ScalarSet([0x30...0x39])
    static let word = ScalarSet([0x30...0x39, 0x41...0x5a, 0x5f...0x5f, 0x61...0x7a])
    static let space = ScalarSet([0x09...0x0a, 0x0c...0x0d, 0x20...0x20])
}

/// An expression as it is written.
indirect enum PatternTree: Hashable {
    case empty
    case set(ScalarSet)
    case assertion(Pattern.Assertion)
    case sequence([PatternTree])
    case choice([PatternTree])
    /// Without `most` as often as one likes.
    case repeated(PatternTree, least: Int, most: Int?)
}

private struct PatternCompiler {
    var program: [Pattern.Instruction] = []
    var sets: [ScalarSet] = []
    private var setNumbers: [ScalarSet: Int] = [:]
    /// Parts compiled so far; repeated emptiness makes many of them and no instruction.
    private var visits = 0

    mutating func compile(_ tree: PatternTree) throws(TextError) {
        visits += 1
        guard visits <= 8 * Pattern.mostInstructions else { throw Self.tooLarge }
        switch tree {
        case .empty: break
        case .set(let set): try emit(.take(set: number(of: set)))
        case .assertion(let assertion): try emit(.require(assertion))
        case .sequence(let parts): for part in parts { try compile(part) }
        case .choice(let parts): try choose(parts)
        case .repeated(let part, let least, let most): try repeated(part, least, most)
        }
    }

    private mutating func emit(_ instruction: Pattern.Instruction) throws(TextError) {
        // One place is kept for the match at the end.
        guard program.count < Pattern.mostInstructions - 1 else { throw Self.tooLarge }
        program.append(instruction)
    }

    private mutating func number(of set: ScalarSet) -> Int {
        if let known = setNumbers[set] { return known }
        setNumbers[set] = sets.count
        sets.append(set)
        return sets.count - 1
    }

    private mutating func choose(_ parts: [PatternTree]) throws(TextError) {
        var ends: [Int] = []
        for part in parts.dropLast() {
            let fork = program.count
            try emit(.split(fork + 1, 0))
            try compile(part)
            ends.append(program.count)
            try emit(.jump(0))
            program[fork] = .split(fork + 1, program.count)
        }
        if let last = parts.last { try compile(last) }
        for end in ends { program[end] = .jump(program.count) }
    }

    private mutating func repeated(
        _ part: PatternTree, _ least: Int, _ most: Int?
    ) throws(TextError) {
        var start = program.count
        for _ in 0..<least {
            start = program.count
            try compile(part)
        }
        guard let most else {
            if least > 0 { return try emit(.split(start, program.count + 1)) }
            let fork = program.count
            try emit(.split(fork + 1, 0))
            try compile(part)
            try emit(.jump(fork))
            program[fork] = .split(fork + 1, program.count)
            return
        }
        var forks: [Int] = []
        for _ in least..<most {
            forks.append(program.count)
            try emit(.split(program.count + 1, 0))
            try compile(part)
        }
        for fork in forks { program[fork] = .split(fork + 1, program.count) }
    }

    private static let tooLarge = TextError(
        column: 1,
        "the expression is too large: with its repetitions written out it takes more than "
            + "\(Pattern.mostInstructions) steps; repeat less")
}
