// Which log entries are on the platter, read from its bytes by somebody else than their writer.

import Core

struct DurableLog {
    private(set) var lastIndex: LogIndex = 0
    /// Where the next record of each segment begins.
    private var positions: [String: Int] = [:]

    // The layout of segments and records is told in Core's SegmentFormat.
    private static let segmentHeader = 68
    private static let recordHeader = 29
    private static let lengthOffset = 8
    private static let typeOffset = 28
    private static let entryType: UInt8 = 2
    private static let truncateType: UInt8 = 3
    private static let restartType: UInt8 = 4

    /// Reads what was synced since the last call. O(new bytes).
    mutating func refresh(_ disk: Disk) {
        for (name, bytes) in disk.durableContents(.log) {
            var position = positions[name] ?? Self.segmentHeader
            while position + Self.recordHeader <= bytes.count {
                let length = Int(Self.number(bytes, position + Self.lengthOffset, 4))
                let end = position + Self.recordHeader + length
                guard end <= bytes.count else { break }
                take(bytes, position, length)
                position = end
            }
            positions[name] = position
        }
    }

    private mutating func take(_ bytes: [UInt8], _ position: Int, _ length: Int) {
        guard length >= 8 else { return }
        let index = Self.number(bytes, position + Self.recordHeader, 8)
        switch bytes[position + Self.typeOffset] {
        case Self.entryType: lastIndex = index
        case Self.truncateType: lastIndex = index - 1
        case Self.restartType: lastIndex = index
        default: break
        }
    }

    private static func number(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> UInt64 {
        var value: UInt64 = 0
        for byte in bytes[offset..<offset + count].reversed() { value = value << 8 | UInt64(byte) }
        return value
    }
}
