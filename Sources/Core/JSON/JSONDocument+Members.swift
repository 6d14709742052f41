// Walking arrays and objects, and finding members by name.

/// The elements of an array, in document order.
@frozen
package struct JSONElements: Sequence, IteratorProtocol {
    @usableFromInline let nodes: [JSONNode]
    @usableFromInline var index: Int
    @usableFromInline let end: Int

    @inlinable
    init(nodes: [JSONNode], index: Int, end: Int) {
        self.nodes = nodes
        self.index = index
        self.end = end
    }

    @inlinable
    package mutating func next() -> JSONValue? {
        guard index < end else { return nil }
        let value = JSONValue(index: index)
        index = Int(nodes[index].next)
        return value
    }
}

/// One member of an object. `name` is itself a value, a string, so that errors can point at it.
@frozen
package struct JSONMember: Hashable, Sendable {
    package var name: JSONValue
    package var value: JSONValue

    @inlinable
    init(name: JSONValue, value: JSONValue) {
        self.name = name
        self.value = value
    }
}

/// The members of an object, in document order, duplicates included.
@frozen
package struct JSONMembers: Sequence, IteratorProtocol {
    @usableFromInline let nodes: [JSONNode]
    @usableFromInline var index: Int
    @usableFromInline let end: Int

    @inlinable
    init(nodes: [JSONNode], index: Int, end: Int) {
        self.nodes = nodes
        self.index = index
        self.end = end
    }

    @inlinable
    package mutating func next() -> JSONMember? {
        guard index < end else { return nil }
        let value = index + 1
        let member = JSONMember(name: JSONValue(index: index), value: JSONValue(index: value))
        index = Int(nodes[value].next)
        return member
    }
}

extension JSONDocument {
    /// The number of elements or members; 0 if the value is neither array nor object.
    /// Complexity: O(count).
    @inlinable
    package func count(of value: JSONValue) -> Int {
        let node = node(value)
        guard node.kind == .array || node.kind == .object else { return 0 }
        var count = 0
        var index = Int(value.index) + 1
        while index < Int(node.next) {
            count += 1
            index = Int(nodes[node.kind == .object ? index + 1 : index].next)
        }
        return count
    }

    /// The elements of an array; none if the value is something else.
    @inlinable
    package func elements(of array: JSONValue) -> JSONElements {
        let node = node(array)
        let first = Int(array.index) + 1
        return JSONElements(
            nodes: nodes, index: first, end: node.kind == .array ? Int(node.next) : first)
    }

    /// The members of an object; none if the value is something else.
    @inlinable
    package func members(of object: JSONValue) -> JSONMembers {
        let node = node(object)
        let first = Int(object.index) + 1
        return JSONMembers(
            nodes: nodes, index: first, end: node.kind == .object ? Int(node.next) : first)
    }

    /// The value of the last member whose name is exactly `name`. Complexity: O(members).
    package func member(named name: String, of object: JSONValue) -> JSONValue? {
        let wanted = Array(name.utf8)
        var result: JSONValue?
        for member in members(of: object) where equals(member.name, wanted, ignoringCase: false) {
            result = member.value
        }
        return result
    }

    /// The value of the last member whose name is `name`, ASCII letters of either case being equal.
    /// Complexity: O(members).
    package func member(ignoringCase name: String, of object: JSONValue) -> JSONValue? {
        let wanted = Array(name.utf8)
        var result: JSONValue?
        for member in members(of: object) where equals(member.name, wanted, ignoringCase: true) {
            result = member.value
        }
        return result
    }

    /// Whether a string (a member's name) has these bytes.
    package func equals(_ value: JSONValue, _ wanted: [UInt8], ignoringCase: Bool) -> Bool {
        let node = node(value)
        guard node.kind == .string else { return false }
        if !node.flag {
            guard Int(node.length) == wanted.count + 2 else { return false }
            let start = Int(node.start) + 1
            return equalBytes(bytes, from: start, wanted, ignoringCase: ignoringCase)
        }
        let text = unescaped(node)
        return text.count == wanted.count
            && equalBytes(text, from: 0, wanted, ignoringCase: ignoringCase)
    }

    private func equalBytes(
        _ text: [UInt8], from start: Int, _ wanted: [UInt8], ignoringCase: Bool
    ) -> Bool {
        for index in wanted.indices {
            let a = text[start + index]
            let b = wanted[index]
            if a != b && !(ignoringCase && asciiLowercased(a) == asciiLowercased(b)) {
                return false
            }
        }
        return true
    }
}

/// A fixed set of member names, for turning a name into a number to switch over without making a
/// string of it. ASCII letters of either case are equal, as Dkron's clients expect.
///
///     let fields = JSONNames(["id", "name"])          // once
///     switch fields.index(of: member.name, in: document) { case 0: …; default: … }
package struct JSONNames: Sendable {
    /// The names as given; an index of `index(of:in:)` is one of this array.
    package let names: [String]
    @usableFromInline let lowercased: [[UInt8]]
    /// Open addressing, a power of two at least four times the number of names; -1 is empty.
    @usableFromInline let slots: [Int16]

    package init(_ names: [String]) {
        invariant(names.count < 4096, "a set of member names holds at most 4,095")
        self.names = names
        let lowercased = names.map { $0.utf8.map(asciiLowercased) }
        var size = 16
        while size < names.count * 4 { size *= 2 }
        var slots = [Int16](repeating: -1, count: size)
        for (index, name) in lowercased.enumerated() {
            var slot = Self.hash(name.span) & (size - 1)
            while slots[slot] >= 0 {
                invariant(lowercased[Int(slots[slot])] != name, "member names differ")
                slot = (slot + 1) & (size - 1)
            }
            slots[slot] = Int16(index)
        }
        self.lowercased = lowercased
        self.slots = slots
    }

    /// The number of a member's name; nil if it is not in the set.
    @inlinable
    package func index(of name: JSONValue, in document: JSONDocument) -> Int? {
        let node = document.node(name)
        guard node.kind == .string else { return nil }
        if node.flag { return index(of: document.unescaped(node).span) }
        let start = Int(node.start) + 1
        return index(of: document.bytes.span.extracting(start..<(start + Int(node.length) - 2)))
    }

    @inlinable
    package func index(of name: Span<UInt8>) -> Int? {
        let mask = slots.count - 1
        var slot = Self.hash(name) & mask
        while true {
            let index = Int(slots[slot])
            guard index >= 0 else { return nil }
            if matches(name, lowercased[index]) { return index }
            slot = (slot + 1) & mask
        }
    }

    @inlinable
    func matches(_ name: Span<UInt8>, _ wanted: [UInt8]) -> Bool {
        guard name.count == wanted.count else { return false }
        for index in 0..<name.count where asciiLowercased(name[index]) != wanted[index] {
            return false
        }
        return true
    }

    /// Length, first, middle and last byte tell a few dozen names apart well enough.
    @inlinable
    static func hash(_ name: Span<UInt8>) -> Int {
        guard name.count > 0 else { return 0 }
        let first = Int(asciiLowercased(name[0]))
        let middle = Int(asciiLowercased(name[name.count / 2]))
        let last = Int(asciiLowercased(name[name.count - 1]))
        return (first &* 31 &+ middle &* 7 &+ last) &* 13 &+ name.count
    }
}

@inlinable
func asciiLowercased(_ byte: UInt8) -> UInt8 {
    byte &- 0x41 < 26 ? byte | 0x20 : byte
}
