/// An IPv4 or IPv6 address. An IPv4 address that is written as an IPv6 one (`::ffff:10.0.0.1`, RFC
/// 4291, section 2.5.5.2) is the IPv4 address: the two reach the same host.
package struct IPAddress: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The bytes as one number, first byte highest.
    private let number: UInt128
    package let isIPv4: Bool

    /// Four or sixteen bytes in network order; nil for any other number of them.
    package init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        let number = bytes.reduce(UInt128(0)) { $0 << 8 | UInt128($1) }
        isIPv4 = bytes.count == 4 || number >> 32 == 0xffff
        self.number = isIPv4 ? number & 0xffff_ffff : number
    }

    /// Dotted IPv4, four numbers without leading zeros, or IPv6 as in RFC 4291, section 2.2; nil
    /// for anything else, names, ports and zones included.
    package init?(text: String) {
        let bytes = Array(text.utf8)
        let parsed = bytes.contains(UInt8(ascii: ":")) ? Self.sixteen(bytes) : Self.four(bytes[...])
        guard let parsed else { return nil }
        self.init(parsed)
    }

    private static func four(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bytes: [UInt8] = []
        for part in parts {
            guard (1...3).contains(part.count), part.allSatisfy({ $0 &- 0x30 < 10 }),
                part.count == 1 || part.first != UInt8(ascii: "0"),
                let byte = UInt8(String(decoding: part, as: UTF8.self))
            else { return nil }
            bytes.append(byte)
        }
        return bytes
    }

    private static func sixteen(_ text: [UInt8]) -> [UInt8]? {
        let colon = UInt8(ascii: ":")
        guard
            let gap = text.indices.dropLast().first(where: {
                text[$0] == colon && text[$0 + 1] == colon
            })
        else {
            let groups = groups(text[...])
            return groups?.count == 16 ? groups : nil
        }
        guard let head = groups(text[..<gap]), let tail = groups(text[(gap + 2)...]),
            head.count + tail.count <= 14
        else { return nil }
        return head + [UInt8](repeating: 0, count: 16 - head.count - tail.count) + tail
    }

    /// Groups between colons as bytes; the last may be an IPv4 address.
    private static func groups(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        guard !text.isEmpty else { return [] }
        let parts = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        var bytes: [UInt8] = []
        for (place, part) in parts.enumerated() {
            if place == parts.count - 1, part.contains(UInt8(ascii: ".")) {
                guard let address = four(part) else { return nil }
                bytes += address
                continue
            }
            guard (1...4).contains(part.count) else { return nil }
            var group: UInt16 = 0
            for byte in part {
                guard let digit = hexadecimalDigit(byte) else { return nil }
                group = group << 4 | UInt16(digit)
            }
            bytes += [UInt8(group >> 8), UInt8(truncatingIfNeeded: group)]
        }
        return bytes
    }

    /// Four or sixteen bytes in network order.
    package var bytes: [UInt8] {
        let size = isIPv4 ? 4 : 16
        return (1...size).map { UInt8(truncatingIfNeeded: number >> UInt128(8 * (size - $0))) }
    }

    /// `0.0.0.0` and `::` name no host.
    package var isUnspecified: Bool { number == 0 }

    package static func < (a: IPAddress, b: IPAddress) -> Bool {
        a.isIPv4 == b.isIPv4 ? a.number < b.number : a.isIPv4
    }

    /// Dotted, or as RFC 5952 writes IPv6.
    package var description: String {
        let bytes = bytes
        if isIPv4 { return bytes.map { "\($0)" }.joined(separator: ".") }
        let groups = (0..<8).map { UInt16(bytes[2 * $0]) << 8 | UInt16(bytes[2 * $0 + 1]) }
        guard let zeros = Self.longestZeros(groups) else { return Self.text(groups[...]) }
        return Self.text(groups[..<zeros.lowerBound]) + "::"
            + Self.text(groups[zeros.upperBound...])
    }

    private static func text(_ groups: ArraySlice<UInt16>) -> String {
        groups.map { String($0, radix: 16) }.joined(separator: ":")
    }

    /// The first of the longest runs of at least two zeros.
    private static func longestZeros(_ groups: [UInt16]) -> Range<Int>? {
        var best = 0..<1
        var start = 0
        for (index, group) in groups.enumerated() {
            if group != 0 { start = index + 1 }
            if index + 1 - start > best.count { best = start..<index + 1 }
        }
        return best.count > 1 ? best : nil
    }
}
