/// A priority queue: the smallest element comes out first. Equal elements come out in an order that
/// depends only on the history of calls.
///
/// Four children a node: half the depth of a binary heap, and the children share a cache line.
package struct MinHeap<Element: Comparable> {
    @usableFromInline
    var elements: [Element] = []

    @inlinable
    package init() {}

    @inlinable
    package var count: Int { elements.count }
    @inlinable
    package var isEmpty: Bool { elements.isEmpty }
    /// The smallest element.
    @inlinable
    package var first: Element? { elements.first }

    /// O(log n).
    @inlinable
    package mutating func insert(_ element: Element) {
        elements.append(element)
        var hole = elements.count - 1
        while hole > 0 {
            let parent = (hole - 1) / 4
            guard element < elements[parent] else { break }
            elements[hole] = elements[parent]
            hole = parent
        }
        elements[hole] = element
    }

    /// Removes the smallest element. O(log n).
    @inlinable
    package mutating func popFirst() -> Element? {
        guard let last = elements.popLast() else { return nil }
        guard let smallest = elements.first else { return last }
        sink(last)
        return smallest
    }

    /// Puts `element` in the place of the smallest and returns that one: a pop and an insert for
    /// the price of one. The heap must not be empty. O(log n).
    @inlinable
    package mutating func replaceFirst(with element: Element) -> Element {
        invariant(!elements.isEmpty, "only a heap with elements has one to replace")
        let smallest = elements[0]
        sink(element)
        return smallest
    }

    @inlinable
    package mutating func removeAll(keepingCapacity: Bool = false) {
        elements.removeAll(keepingCapacity: keepingCapacity)
    }

    /// Lets `element` fall from the root to its place.
    @inlinable
    mutating func sink(_ element: Element) {
        var hole = 0
        while true {
            let firstChild = 4 * hole + 1
            guard firstChild < elements.count else { break }
            var least = firstChild
            for child in firstChild + 1..<min(firstChild + 4, elements.count)
            where elements[child] < elements[least] {
                least = child
            }
            guard elements[least] < element else { break }
            elements[hole] = elements[least]
            hole = least
        }
        elements[hole] = element
    }

    /// Every parent is at most its children.
    package func checkInvariants() {
        for child in elements.indices.dropFirst() {
            invariant(!(elements[child] < elements[(child - 1) / 4]), "a heap's parents come first")
        }
    }
}

extension MinHeap: Sendable where Element: Sendable {}
