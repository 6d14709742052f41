/// A queue with indices: appending, taking from either end and looking anywhere are O(1)
/// (appending amortised).
package struct RingBuffer<Element> {
    /// A power of two slots; the filled ones start at `head` and wrap around.
    @usableFromInline
    var slots: [Element?] = []
    @usableFromInline
    var head = 0
    @usableFromInline
    var filled = 0

    @inlinable
    package init() {}

    @inlinable
    package var count: Int { filled }
    @inlinable
    package var isEmpty: Bool { filled == 0 }
    @inlinable
    package var first: Element? { isEmpty ? nil : self[0] }
    @inlinable
    package var last: Element? { isEmpty ? nil : self[filled - 1] }

    /// Counted from the oldest element.
    @inlinable
    package subscript(index: Int) -> Element {
        get {
            invariant(index >= 0 && index < filled, "a ring buffer's index lies inside it")
            return slots[slot(index)]!
        }
        set {
            invariant(index >= 0 && index < filled, "a ring buffer's index lies inside it")
            slots[slot(index)] = newValue
        }
    }

    @inlinable
    package mutating func append(_ element: Element) {
        if filled == slots.count { grow() }
        slots[slot(filled)] = element
        filled += 1
    }

    @inlinable
    package mutating func prepend(_ element: Element) {
        if filled == slots.count { grow() }
        head = (head &- 1) & (slots.count - 1)
        slots[head] = element
        filled += 1
    }

    @inlinable
    package mutating func popFirst() -> Element? {
        guard filled > 0 else { return nil }
        defer {
            slots[head] = nil
            head = (head + 1) & (slots.count - 1)
            filled -= 1
        }
        return slots[head]
    }

    @inlinable
    package mutating func popLast() -> Element? {
        guard filled > 0 else { return nil }
        filled -= 1
        let position = slot(filled)
        defer { slots[position] = nil }
        return slots[position]
    }

    /// O(count removed).
    @inlinable
    package mutating func removeFirst(_ count: Int) {
        invariant(count >= 0 && count <= filled, "a ring buffer loses at most what it holds")
        for _ in 0..<count { _ = popFirst() }
    }

    /// O(count removed).
    @inlinable
    package mutating func removeLast(_ count: Int) {
        invariant(count >= 0 && count <= filled, "a ring buffer loses at most what it holds")
        for _ in 0..<count { _ = popLast() }
    }

    @inlinable
    package mutating func removeAll() {
        slots.removeAll()
        head = 0
        filled = 0
    }

    @inlinable
    func slot(_ index: Int) -> Int { (head + index) & (slots.count - 1) }

    @inlinable
    mutating func grow() {
        let size = slots.isEmpty ? 8 : slots.count * 2
        var larger: [Element?] = []
        larger.reserveCapacity(size)
        for index in 0..<filled { larger.append(slots[slot(index)]) }
        while larger.count < size { larger.append(nil) }
        slots = larger
        head = 0
    }
}

extension RingBuffer: Sequence {
    /// Oldest first.
    package struct Iterator: IteratorProtocol {
        @usableFromInline
        let buffer: RingBuffer
        @usableFromInline
        var index = 0

        @inlinable
        init(_ buffer: RingBuffer) { self.buffer = buffer }

        @inlinable
        package mutating func next() -> Element? {
            guard index < buffer.count else { return nil }
            defer { index += 1 }
            return buffer[index]
        }
    }

    @inlinable
    package func makeIterator() -> Iterator { Iterator(self) }
    @inlinable
    package var underestimatedCount: Int { count }
}

extension RingBuffer: Sendable where Element: Sendable {}
