// Walking arrays and objects, and finding members by name.

/// The elements of an array, in document order.
package struct JSONElements: Sequence, IteratorProtocol {
    let nodes: [JSONNode]
    var index: Int
    let end: Int

    init(nodes: [JSONNode], index: Int, end: Int) {
        self.nodes = nodes
        self.index = index
        self.end = end
    }

    @inline(__always)
    package mutating func next() -> JSONValue? {
        guard index < end else { return nil }
        let value = JSONValue(index: index)
        index = Int(nodes[index].next)
        return value
    }
}

/// One member of an object. `name` is itself a value, a string, so that errors can point at it.
package struct JSONMember: Hashable, Sendable {
    package var name: JSONValue
    package var value: JSONValue

    init(name: JSONValue, value: JSONValue) {
        self.name = name
        self.value = value
    }
}

/// The members of an object, in document order, duplicates included.
package struct JSONMembers: Sequence, IteratorProtocol {
    let nodes: [JSONNode]
    var index: Int
    let end: Int

    init(nodes: [JSONNode], index: Int, end: Int) {
        self.nodes = nodes
        self.index = index
        self.end = end
    }

    @inline(__always)
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

    /// No fewer than the members of an object: each has two nodes or more. Complexity: O(1).
    func mostMembers(of object: JSONValue) -> Int {
        let node = node(object)
        return node.kind == .object ? (Int(node.next) - Int(object.index) - 1) / 2 : 0
    }

    /// The elements of an array; none if the value is something else.
    package func elements(of array: JSONValue) -> JSONElements {
        let node = node(array)
        let first = Int(array.index) + 1
        return JSONElements(
            nodes: nodes, index: first, end: node.kind == .array ? Int(node.next) : first)
    }

    /// The members of an object; none if the value is something else.
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

func asciiLowercased(_ byte: UInt8) -> UInt8 {
    byte &- 0x41 < 26 ? byte | 0x20 : byte
}
