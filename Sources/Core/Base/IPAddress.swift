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
