// One file of the simulated disk: what a reader sees now, and what the platter would give back
// after the power went.

import Core

/// What became of bytes that were written and not synced when the power went.
enum TearMode: String, CaseIterable, Sendable {
    /// Gone, as if never written.
    case lost
    /// All there.
    case kept
    /// There up to some byte.
    case prefix
    /// Any subset of the 512-byte sectors, zeros where they are missing.
    case subset
    /// The length grew, the content is zeros.
    case zeros
    /// The length grew, the content is whatever was there before.
    case garbage
}

struct SimulatedFile: Sendable {
    /// What reads return.
    private(set) var current: [UInt8] = []
    /// What a reader sees below this offset is on the platter for certain.
    private var agreeUpTo = 0
    /// What is on the platter behind that: of a file that was truncated and not synced since.
    private var cutOff: [UInt8] = []

    static let sectorSize = 512

    var isDirty: Bool { agreeUpTo < current.count || !cutOff.isEmpty }

    /// What is on the platter for certain. O(1), but for a file that was just truncated.
    var durable: ArraySlice<UInt8> {
        cutOff.isEmpty ? current[..<agreeUpTo] : (current[..<agreeUpTo] + cutOff)[...]
    }

    mutating func append(_ bytes: [UInt8]) { current.append(contentsOf: bytes) }

    mutating func truncate(to length: Int) {
        if length < agreeUpTo {
            cutOff.insert(contentsOf: current[length..<agreeUpTo], at: 0)
            agreeUpTo = length
        }
        current.removeSubrange(length...)
    }

    mutating func sync() {
        cutOff = []
        agreeUpTo = current.count
    }

    /// A sync failed: the kernel forgets the dirty pages and marks them clean, so that reads and a
    /// later sync say nothing about them any more.
    mutating func failSync() {
        current = Array(durable)
        sync()
    }

    /// The power goes: `current` becomes one of the contents that a real disk may show.
    mutating func crash(_ mode: TearMode, _ draws: inout DrawStream) {
        defer { sync() }
        guard isDirty else { return }
        let written = current
        switch mode {
        case .lost:
            current = Array(durable)
        case .kept:
            break
        case .prefix:
            let cut = draws.int(agreeUpTo...max(agreeUpTo, written.count))
            current = Array(written[..<cut])
        case .subset:
            tearSectors(written, &draws)
        case .zeros, .garbage:
            let length = draws.int(agreeUpTo...max(agreeUpTo, written.count))
            current = Array(written[..<min(agreeUpTo, length)])
            for _ in current.count..<max(current.count, length) {
                current.append(mode == .zeros ? 0 : UInt8(truncatingIfNeeded: draws.next()))
            }
        }
    }

    private mutating func tearSectors(_ written: [UInt8], _ draws: inout DrawStream) {
        let length = draws.int(agreeUpTo...max(agreeUpTo, written.count))
        var torn = Array(written[..<min(agreeUpTo, length)])
        let durable = durable
        while torn.count < length {
            let sectorEnd = (torn.count / Self.sectorSize + 1) * Self.sectorSize
            let end = min(sectorEnd, length)
            if draws.chance(1, 2) {
                torn.append(contentsOf: written[torn.count..<end])
            } else {
                for offset in torn.count..<end {
                    torn.append(offset < durable.count ? durable[offset] : 0)
                }
            }
        }
        current = torn
    }

    /// Flips a bit of what was synced and returns where. The last record is left alone: that it was
    /// synced is told by the one after it, and nothing tells that of the last, which says nothing.
    mutating func damage(_ draws: inout DrawStream) -> Int? {
        let count = agreeUpTo + cutOff.count
        guard count > 200 else { return nil }
        let offset = draws.int(0...count - 65)
        let bit = UInt8(1 << draws.below(8))
        if offset < agreeUpTo {
            current[offset] ^= bit
        } else {
            cutOff[offset - agreeUpTo] ^= bit
            if offset < current.count { current[offset] = cutOff[offset - agreeUpTo] }
        }
        return offset
    }
}
