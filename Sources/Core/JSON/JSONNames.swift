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
            let (first, last) = Self.ends(input, 0, bytes.count)
            var slot = Self.hash(first, bytes.count) & (size - 1)
            while slots[slot].length >= 0 { slot = (slot + 1) & (size - 1) }
            slots[slot] = Slot(first: first, last: last, length: bytes.count, index: index)
        }
        self.names = names
        self.slots = slots
    }

    /// The number of a member's name; nil if it is not in the set.
    ///
    /// Most names have at most 16 bytes, come in lower case and without escapes, and are found at
    /// the first place looked at: then the first and the last eight bytes tell them.
    @inline(__always)
    package func index(of name: JSONValue, in document: JSONDocument) -> Int? {
        let node = document.node(name)
        let input = document.bytes.span.bytes
        let start = Int(node.start) &+ 1
        let length = Int(node.length) &- 2
        guard node.kind == .string, !node.flag, length <= 16, start &+ 8 <= input.byteCount else {
            return search(for: name, in: document)
        }
        let first = Self.prefix(Self.word(input, start), min(length, 8))
        let last = length > 8 ? Self.word(input, start &+ length &- 8) : 0
        let slot = slots[Self.hash(first, length) & (slots.count &- 1)]
        if slot.first == first, slot.last == last, Int(slot.length) == length {
            return Int(slot.index)
        }
        return search(for: name, in: document)
    }

    /// Any case, any place, any length.
    @inline(never)
    private func search(for name: JSONValue, in document: JSONDocument) -> Int? {
        let node = document.node(name)
        guard node.kind == .string else { return nil }
        if node.flag {
            let text = document.unescaped(node)
            return search(text.span.bytes, at: 0, length: text.count)
        }
        return search(
            document.bytes.span.bytes, at: Int(node.start) + 1, length: Int(node.length) - 2)
    }

    private func search(_ input: RawSpan, at start: Int, length: Int) -> Int? {
        let (first, last) = Self.ends(input, start, length)
        var place = Self.hash(first, length) & (slots.count - 1)
        while slots[place].length >= 0 {
            let slot = slots[place]
            if Int(slot.length) == length, first == slot.first, last == slot.last,
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

    /// The first and the last eight bytes of a name in lower case, as a slot has them.
    private static func ends(_ input: RawSpan, _ start: Int, _ length: Int) -> (UInt64, UInt64) {
        var first: UInt64 = 0
        var last: UInt64 = 0
        for offset in 0..<min(length, 8) {
            first |= byte(input, start + offset) << UInt64(offset * 8)
        }
        guard length > 8 else { return (first, 0) }
        for offset in 0..<8 {
            last |= byte(input, start + length - 8 + offset) << UInt64(offset * 8)
        }
        return (first, last)
    }

    private static func byte(_ input: RawSpan, _ offset: Int) -> UInt64 {
        UInt64(asciiLowercased(input.unsafeLoad(fromByteOffset: offset, as: UInt8.self)))
    }

    /// Eight bytes as a number, the first lowest. All of them lie inside the text.
    @inline(__always)
    private static func word(_ input: RawSpan, _ start: Int) -> UInt64 {
        UInt64(
            littleEndian: input.unsafeLoadUnaligned(
                fromUncheckedByteOffset: start, as: UInt64.self))
    }

    /// The first bytes of a word, at most eight, the others zero.
    @inline(__always)
    private static func prefix(_ word: UInt64, _ length: Int) -> UInt64 {
        length == 8 ? word : word & ((1 &<< UInt64(truncatingIfNeeded: length &* 8)) &- 1)
    }

    /// The same for both cases of a letter; what else it makes equal, a slot tells apart.
    static func hash(_ first: UInt64, _ length: Int) -> Int {
        let folded = (first | 0x2020_2020_2020_2020) &+ UInt64(truncatingIfNeeded: length)
        return Int(truncatingIfNeeded: (folded &* 0x9e37_79b9_7f4a_7c15) >> 40)
    }
}
