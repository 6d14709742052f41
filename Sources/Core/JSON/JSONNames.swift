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
    /// What follows the first eight bytes of long names, in lower case, filled up with zeros.
    let rests: [UInt64]

    struct Slot: Sendable {
        /// The first eight bytes in lower case, the first lowest, missing ones zero.
        var first: UInt64
        /// Bytes of the name; -1 if the slot is empty.
        var length: Int32
        /// Which name it is.
        var index: Int16
        /// Where its rest starts.
        var rest: Int16

        init(first: UInt64, length: Int, index: Int, rest: Int) {
            self.first = first
            self.length = Int32(length)
            self.index = Int16(index)
            self.rest = Int16(rest)
        }
    }

    package init(_ names: [String]) {
        invariant(names.count < 1024, "a set of member names holds at most 1,023")
        var size = 16
        while size < names.count * 8 { size *= 2 }
        var slots = [Slot](
            repeating: Slot(first: 0, length: -1, index: 0, rest: 0), count: size)
        var rests: [UInt64] = []
        for (index, name) in names.enumerated() {
            let bytes = name.utf8.map(asciiLowercased)
            let input = bytes.span.bytes
            let first = Self.word(input, 0, bytes.count)
            var slot = Self.hash(first, bytes.count) & (size - 1)
            while slots[slot].length >= 0 { slot = (slot + 1) & (size - 1) }
            slots[slot] = Slot(first: first, length: bytes.count, index: index, rest: rests.count)
            for start in stride(from: 8, to: bytes.count, by: 8) {
                rests.append(Self.word(input, start, bytes.count - start))
            }
        }
        self.names = names
        self.slots = slots
        self.rests = rests
    }

    /// The number of a member's name; nil if it is not in the set.
    package func index(of name: JSONValue, in document: JSONDocument) -> Int? {
        let node = document.node(name)
        guard node.kind == .string else { return nil }
        if node.flag {
            let text = document.unescaped(node)
            return index(in: text.span.bytes, at: 0, length: text.count)
        }
        return index(
            in: document.bytes.span.bytes, at: Int(node.start) &+ 1, length: Int(node.length) &- 2)
    }

    /// Most names are found in lower case at the first place looked at.
    @inline(__always)
    func index(in input: RawSpan, at start: Int, length: Int) -> Int? {
        let first = Self.word(input, start, length)
        let slot = slots[Self.hash(first, length) & (slots.count &- 1)]
        if slot.first == first, Int(slot.length) == length, length <= 8 {
            return Int(slot.index)
        }
        return search(input, at: start, length: length, first: first)
    }

    @inline(never)
    func search(_ input: RawSpan, at start: Int, length: Int, first: UInt64) -> Int? {
        var place = Self.hash(first, length) & (slots.count - 1)
        while slots[place].length >= 0 {
            let slot = slots[place]
            if Int(slot.length) == length, Self.equal(first, slot.first),
                length <= 8 || restEquals(input, start, length, slot)
            {
                return Int(slot.index)
            }
            place = (place + 1) & (slots.count - 1)
        }
        return nil
    }

    func restEquals(_ input: RawSpan, _ start: Int, _ length: Int, _ slot: Slot) -> Bool {
        var offset = 8
        var rest = Int(slot.rest)
        while offset < length {
            let word = Self.word(input, start &+ offset, length &- offset)
            guard Self.equal(word, rests[rest]) else { return false }
            offset &+= 8
            rest &+= 1
        }
        return true
    }

    /// Names usually come in lower case.
    @inline(__always)
    static func equal(_ word: UInt64, _ lowercase: UInt64) -> Bool {
        word == lowercase || lowercased(word) == lowercase
    }

    /// Up to eight bytes as a number, the first byte lowest, missing ones zero.
    @inline(__always)
    static func word(_ input: RawSpan, _ start: Int, _ length: Int) -> UInt64 {
        guard start >= 0, start &+ 8 <= input.byteCount else {
            return shortWord(input, start, length)
        }
        let word = UInt64(
            littleEndian: input.unsafeLoadUnaligned(
                fromUncheckedByteOffset: start, as: UInt64.self))
        if length >= 8 { return word }
        return word & ((1 &<< UInt64(truncatingIfNeeded: length &* 8)) &- 1)
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

    /// The same for both cases of a letter; what else it makes equal, `matches` tells apart.
    static func hash(_ first: UInt64, _ length: Int) -> Int {
        let folded = (first | 0x2020_2020_2020_2020) &+ UInt64(truncatingIfNeeded: length)
        return Int(truncatingIfNeeded: (folded &* 0x9e37_79b9_7f4a_7c15) >> 40)
    }
}
