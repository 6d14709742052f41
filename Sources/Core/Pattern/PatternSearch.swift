// One search through one text that comes in pieces.
//
// A state of the automaton is the set of program places that are alive behind the text so far, and
// what the last scalar was, for assertions. States and transitions are made when the text first
// asks for them, and thrown away when there are too many: then a scalar costs one pass over the
// program, which is bounded, and never more.

/// Looks for a pattern in text that is handed over piece by piece and not kept.
package struct PatternSearch: Sendable {
    /// What stands before a place of the text.
    private enum Before: UInt8 {
        case start, newline, word, other
    }

    private struct State {
        /// Ascending.
        var places: [Int]
        var before: Before
    }

    /// States kept at the same time.
    private static let mostStates = 256
    private static let unknown: Int32 = -1
    private static let matched: Int32 = -2

    private let pattern: Pattern
    /// Classes of the ASCII characters.
    private var ascii: [UInt16] = []
    /// Transitions by state and class; the last class is the end of the text.
    private let width: Int
    private var transitions: [Int32] = []
    private var states: [State] = []
    private var numbers: [[Int]: Int32] = [:]
    private var current: Int32 = 0
    /// Places seen in the walk that is under way.
    private var seen: [UInt32]
    private var walk: UInt32 = 0
    /// Instructions looked at so far: the measure of work. At most a small multiple of
    /// `Pattern.mostInstructions` for each scalar.
    package private(set) var steps: UInt64 = 0
    /// The expression has matched; the rest of the text can't change it.
    package private(set) var isMatched = false

    private var partial: UInt32 = 0
    private var missing = 0
    private var leastScalar: UInt32 = 0

    package init(_ pattern: Pattern) {
        self.pattern = pattern
        width = pattern.classStarts.count + 1
        seen = [UInt32](repeating: 0, count: pattern.program.count)
        ascii = (0..<128).map { UInt16(Self.index(of: $0, in: pattern.classStarts)) }
        current = number(of: State(places: [], before: .start))
    }

    /// Takes the next bytes of the text. What is not UTF-8 counts as U+FFFD.
    package mutating func feed(_ bytes: some Sequence<UInt8>) {
        for byte in bytes {
            if isMatched { return }
            if missing == 0, byte < 0x80 {
                take(Int(ascii[Int(byte)]))
            } else {
                decode(byte)
            }
        }
    }

    /// The text has ended. Returns whether the expression matches anywhere in it.
    package mutating func finish() -> Bool {
        if missing > 0 { take(scalar: 0xfffd) }
        missing = 0
        if !isMatched { take(width - 1) }
        return isMatched
    }

    // MARK: Scalars

    private mutating func decode(_ byte: UInt8) {
        if missing > 0 {
            guard byte & 0xc0 == 0x80 else {
                missing = 0
                take(scalar: 0xfffd)
                return byte < 0x80 ? take(Int(ascii[Int(byte)])) : decode(byte)
            }
            partial = partial << 6 | UInt32(byte & 0x3f)
            missing -= 1
            guard missing == 0 else { return }
            let isScalar =
                partial >= leastScalar && partial <= ScalarSet.last && partial >> 11 != 0x1b
            return take(scalar: isScalar ? partial : 0xfffd)
        }
        switch byte {
        case 0xc2...0xdf: (partial, missing, leastScalar) = (UInt32(byte & 0x1f), 1, 0x80)
        case 0xe0...0xef: (partial, missing, leastScalar) = (UInt32(byte & 0x0f), 2, 0x800)
        case 0xf0...0xf4: (partial, missing, leastScalar) = (UInt32(byte & 0x07), 3, 0x1_0000)
        default: take(scalar: 0xfffd)
        }
    }

    private mutating func take(scalar: UInt32) {
        if !isMatched { take(Self.index(of: scalar, in: pattern.classStarts)) }
    }

    private static func index(of scalar: UInt32, in starts: [UInt32]) -> Int {
        var low = 0
        var high = starts.count
        while low + 1 < high {
            let middle = (low + high) / 2
            if starts[middle] <= scalar { low = middle } else { high = middle }
        }
        return low
    }

    // MARK: The automaton

    private mutating func take(_ symbol: Int) {
        let slot = Int(current) * width + symbol
        var next = transitions[slot]
        if next == Self.unknown {
            let before = states.count
            next = transition(from: states[Int(current)], symbol)
            // Of a table that was thrown away meanwhile the old place means nothing.
            if states.count >= before { transitions[slot] = next }
        }
        steps += 1
        if next == Self.matched { isMatched = true } else { current = next }
    }

    private mutating func transition(from state: State, _ symbol: Int) -> Int32 {
        let isEnd = symbol == width - 1
        let scalar = isEnd ? 0 : pattern.classStarts[symbol]
        let after: Before? =
            isEnd
            ? nil : scalar == 0x0a ? .newline : ScalarSet.word.contains(scalar) ? .word : .other
        walk += 1
        // A match may begin at every place of the text.
        var stack = [0]
        stack.append(contentsOf: state.places.reversed())
        var next: [Int] = []
        while let place = stack.popLast() {
            guard seen[place] != walk else { continue }
            seen[place] = walk
            steps += 1
            switch pattern.program[place] {
            case .match: return Self.matched
            case .jump(let target): stack.append(target)
            case .split(let first, let second):
                stack.append(second)
                stack.append(first)
            case .require(let assertion):
                if Self.holds(assertion, state.before, after) { stack.append(place + 1) }
            case .take(let set):
                if !isEnd, pattern.sets[set].contains(scalar) { next.append(place + 1) }
            }
        }
        next.sort()
        return number(of: State(places: next, before: after ?? .other))
    }

    private static func holds(
        _ assertion: Pattern.Assertion, _ before: Before, _ after: Before?
    ) -> Bool {
        switch assertion {
        case .textStart: before == .start
        case .textEnd: after == nil
        case .lineStart: before == .start || before == .newline
        case .lineEnd: after == nil || after == .newline
        case .wordBoundary: (before == .word) != (after == .word)
        case .noWordBoundary: (before == .word) == (after == .word)
        }
    }

    private mutating func number(of state: State) -> Int32 {
        let key = state.places + [Int(state.before.rawValue)]
        if let known = numbers[key] { return known }
        if states.count == Self.mostStates {
            states.removeAll(keepingCapacity: true)
            numbers.removeAll(keepingCapacity: true)
            transitions.removeAll(keepingCapacity: true)
        }
        let number = Int32(states.count)
        numbers[key] = number
        states.append(state)
        transitions.append(contentsOf: repeatElement(Self.unknown, count: width))
        return number
    }
}
