// A fixed set of member names.

/// Turns a member's name into a number to switch over without making a string of it. ASCII letters
/// of either case are equal, as Dkron's clients expect.
///
///     let fields = JSONNames(["id", "name"])          // once
///     switch fields.index(of: member.name, in: document) { case 0: …; default: … }
package struct JSONNames: Sendable {
    /// The names as given; an index of `index(of:in:)` is one of this array.
    package let names: [String]
    /// Open addressing, a power of two at least eight times the number of names.
    let slots: [Slot]

    struct Slot: Sendable {
        /// The first eight bytes in lower case, the first lowest, missing ones zero.
        var first: UInt64
        /// The last eight bytes likewise; zero for names that the first eight tell in full.
        var last: UInt64
        /// Bytes of the name; -1 if the slot is empty.
        var length: Int32
        /// Which name it is.
        var index: Int32

        init(first: UInt64, last: UInt64, length: Int, index: Int) {
            self.first = first
            self.last = last
            self.length = Int32(length)
            self.index = Int32(index)
        }
    }

    package init(_ names: [String]) {
        invariant(names.count < 1024, "a set of member names holds at most 1,023")
        var size = 16
        while size < names.count * 8 { size *= 2 }
        var slots = [Slot](
            repeating: Slot(first: 0, last: 0, length: -1, index: 0), count: size)
        for (index, name) in names.enumerated() {
            let bytes = name.utf8.map(asciiLowercased)
            let input = bytes.span.bytes
            let first = Self.first(input, 0, bytes.count)
            var slot = Self.hash(first, bytes.count) & (size - 1)
            while slots[slot].length >= 0 { slot = (slot + 1) & (size - 1) }
            slots[slot] = Slot(
                first: first, last: Self.last(input, 0, bytes.count), length: bytes.count,
                index: index)
        }
        self.names = names
        self.slots = slots
    }

    /// The number of a member's name; nil if it is not in the set.
    @inline(__always)
    package func index(of name: JSONValue, in document: JSONDocument) -> Int? {
        let node = document.node(name)
        guard node.kind == .string else { return nil }
        if node.flag { return index(ofText: document.unescaped(node)) }
        return index(
            in: document.bytes.span.bytes, at: Int(node.start) &+ 1, length: Int(node.length) &- 2)
    }

    @inline(never)
    private func index(ofText text: [UInt8]) -> Int? {
        index(in: text.span.bytes, at: 0, length: text.count)
    }

    /// Most names are found in lower case at the first place looked at, and two words tell them.
    @inline(__always)
    func index(in input: RawSpan, at start: Int, length: Int) -> Int? {
        let first = Self.first(input, start, length)
        let last = Self.last(input, start, length)
        let slot = slots[Self.hash(first, length) & (slots.count &- 1)]
        if slot.first == first, slot.last == last, Int(slot.length) == length, length <= 16 {
            return Int(slot.index)
        }
        return search(input, at: start, length: length, first: first, last: last)
    }

    /// Any case, any place, any length.
    @inline(never)
    private func search(
        _ input: RawSpan, at start: Int, length: Int, first: UInt64, last: UInt64
    ) -> Int? {
        var place = Self.hash(first, length) & (slots.count - 1)
        while slots[place].length >= 0 {
            let slot = slots[place]
            if Int(slot.length) == length, Self.lowercased(first) == slot.first,
                Self.lowercased(last) == slot.last,
                length <= 16 || middleEquals(input, start, length, names[Int(slot.index)])
            {
                return Int(slot.index)
            }
            place = (place + 1) & (slots.count - 1)
        }
        return nil
    }

    /// Compares what lies between the first and the last eight bytes.
    private func middleEquals(
        _ input: RawSpan, _ start: Int, _ length: Int, _ name: String
    ) -> Bool {
        let wanted = name.utf8.span
        for offset in 8..<(length - 8) {
            let byte = input.unsafeLoad(fromByteOffset: start + offset, as: UInt8.self)
            if asciiLowercased(byte) != asciiLowercased(wanted[offset]) { return false }
        }
        return true
    }

    /// The first eight bytes of a name as a number, the first lowest, missing ones zero.
    @inline(__always)
    static func first(_ input: RawSpan, _ start: Int, _ length: Int) -> UInt64 {
        guard start >= 0, start &+ 8 <= input.byteCount else {
            return shortWord(input, start, length)
        }
        let word = UInt64(
            littleEndian: input.unsafeLoadUnaligned(
                fromUncheckedByteOffset: start, as: UInt64.self))
        if length >= 8 { return word }
        return word & ((1 &<< UInt64(truncatingIfNeeded: length &* 8)) &- 1)
    }

    /// The last eight bytes of a name that has more than eight, otherwise zero.
    @inline(__always)
    static func last(_ input: RawSpan, _ start: Int, _ length: Int) -> UInt64 {
        guard length > 8 else { return 0 }
        return first(input, start &+ length &- 8, 8)
    }

    /// Near the end of a text.
    static func shortWord(_ input: RawSpan, _ start: Int, _ length: Int) -> UInt64 {
        var word: UInt64 = 0
        for index in 0..<max(0, min(8, length)) {
            let byte = input.unsafeLoad(fromByteOffset: start + index, as: UInt8.self)
            word |= UInt64(byte) << UInt64(index * 8)
        }
        return word
    }

    static func lowercased(_ word: UInt64) -> UInt64 {
        var result: UInt64 = 0
        for shift in stride(from: 0, to: 64, by: 8) {
            let byte = UInt8(truncatingIfNeeded: word >> UInt64(shift))
            result |= UInt64(asciiLowercased(byte)) << UInt64(shift)
        }
        return result
    }

    /// The same for both cases of a letter; what else it makes equal, a slot tells apart.
    static func hash(_ first: UInt64, _ length: Int) -> Int {
        let folded = (first | 0x2020_2020_2020_2020) &+ UInt64(truncatingIfNeeded: length)
        return Int(truncatingIfNeeded: (folded &* 0x9e37_79b9_7f4a_7c15) >> 40)
    }
}
