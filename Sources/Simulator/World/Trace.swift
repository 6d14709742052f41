// The trace of a run: a rolling hash of everything that happened, and its text if asked for. Two
// runs of one plan in two processes must agree on the hash of every thousand events.

import Core

struct Trace {
    private(set) var hash: UInt64 = 0x243f_6a88_85a3_08d3
    private(set) var events: UInt64 = 0
    /// The hash after every thousandth event, where they are wanted.
    private(set) var checkpoints: [UInt64] = []
    let keepsCheckpoints: Bool
    /// The last lines, oldest first, where text is wanted.
    private(set) var lines: [String] = []
    let keepsText: Bool
    private let capacity: Int

    init(lines: Int = 0, checkpoints: Bool = false) {
        keepsText = lines > 0
        keepsCheckpoints = checkpoints
        // Half of them go at a time.
        capacity = 2 * lines
    }

    mutating func beginEvent(at time: TrueTime) {
        events += 1
        absorb(UInt64(bitPattern: time.nanoseconds))
        if keepsCheckpoints, events % 1_000 == 0 { checkpoints.append(hash) }
    }

    mutating func absorb(_ value: UInt64) {
        hash = mixed(hash ^ value) &+ 0x9e37_79b9_7f4a_7c15
    }

    mutating func absorb(_ bytes: [UInt8]) {
        absorb(bytes.withUnsafeBytes { Self.digest($0) })
    }

    mutating func absorb(_ text: String) {
        var copy = text
        absorb(copy.withUTF8 { Self.digest(UnsafeRawBufferPointer($0)) })
    }

    /// A line in columns: time, who, what. The text is built only where it is kept.
    mutating func note(
        _ time: TrueTime, _ who: @autoclosure () -> String, _ what: @autoclosure () -> String
    ) {
        guard keepsText else { return }
        if lines.count >= capacity { lines.removeFirst(capacity / 2) }
        lines.append("\(pad(timeText(time), 13))  \(pad(who(), 10))  \(what())")
    }

    /// A number for some bytes; equal bytes have equal ones.
    static func digest(of bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.withUnsafeBytes { digest($0) }
    }

    private static func digest(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var hash = UInt64(bytes.count) &* 0x9e37_79b9_7f4a_7c15
        var position = 0
        if bytes.count >= 64 {
            // Four lanes side by side: a single one waits for its own last product.
            var lanes = (hash, hash &+ 1, hash &+ 2, hash &+ 3)
            while position &+ 32 <= bytes.count {
                lanes.0 = step(lanes.0, bytes, position)
                lanes.1 = step(lanes.1, bytes, position &+ 8)
                lanes.2 = step(lanes.2, bytes, position &+ 16)
                lanes.3 = step(lanes.3, bytes, position &+ 24)
                position &+= 32
            }
            hash = mixed(mixed(mixed(lanes.0) ^ lanes.1) ^ lanes.2) ^ lanes.3
        }
        while position &+ 8 <= bytes.count {
            hash = step(hash, bytes, position)
            position &+= 8
        }
        while position < bytes.count {
            hash = (hash ^ UInt64(bytes[position])) &* 0x100_0000_01b3
            position += 1
        }
        return hash
    }

    @inline(__always)
    private static func step(
        _ hash: UInt64, _ bytes: UnsafeRawBufferPointer, _ position: Int
    ) -> UInt64 {
        let word = bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self)
        let product = (hash ^ UInt64(littleEndian: word)) &* 0xbf58_476d_1ce4_e5b9
        return product ^ product >> 29
    }
}

/// Seconds with six decimals.
func timeText(_ time: TrueTime) -> String {
    let micros = time.nanoseconds / 1_000
    let fraction = String(micros % 1_000_000)
    return
        "\(micros / 1_000_000).\(String(repeating: "0", count: 6 - fraction.utf8.count))\(fraction)"
}

func pad(_ text: String, _ width: Int) -> String {
    let missing = width - text.utf8.count
    return missing > 0 ? text + String(repeating: " ", count: missing) : text
}
