/// Orders what happens in a cluster without a common clock (Lamport, 1978).
struct LamportClock: Sendable {
    private(set) var time: LamportTime = 1

    /// Somebody else's time was seen: everything from here on is later.
    mutating func witness(_ seen: LamportTime) {
        if seen >= time, seen < .max { time = seen + 1 }
    }

    mutating func increment() { witness(time) }

    /// Later times are refused: they would leave no room for what comes after them.
    static let latest = LamportTime(Int64.max)
}

/// Which events or queries were passed on, so that each goes round once.
struct PassedOn: Sendable {
    private(set) var clock = LamportClock()
    /// By their times, the hashes of the messages.
    private var seen = SortedMap<LamportTime, [RecordHash]>()

    /// Takes note of a message; false if it was seen before or is too old to tell.
    mutating func isNew(_ message: [UInt8], time: LamportTime) -> Bool {
        guard time <= LamportClock.latest else { return false }
        clock.witness(time)
        guard time + Self.window >= clock.time else { return false }
        let hash = RecordHash(of: message)
        let known = seen[time] ?? []
        guard !known.contains(hash), known.count < Self.mostPerTime else { return false }
        seen[time] = known + [hash]
        while let oldest = seen.first, oldest.key + Self.window < clock.time {
            seen.remove(oldest.key)
        }
        return true
    }

    mutating func witness(_ time: LamportTime) { clock.witness(time) }

    var count: Int { seen.count }

    private static let window: LamportTime = 512
    private static let mostPerTime = 32
}
