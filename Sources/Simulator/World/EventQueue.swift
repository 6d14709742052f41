// What happens next. The heap holds small keys only; what is to happen waits in a slot table, so
// that sifting moves 24 bytes and never an enum with arrays inside.

import Core

/// Virtual time since the run began.
typealias TrueTime = Duration

/// Outside the queue, which is generic.
private struct EventKey {
    var time: Int64
    /// A drawn tie-break above a sequence number. First come, first served would hide every
    /// other order of things that happen at one instant; within a lane (one link, one
    /// directory, one run) it is the contract and stays.
    var order: UInt64
    var slot: UInt32

    @inline(__always)
    static func < (a: EventKey, b: EventKey) -> Bool {
        a.time != b.time ? a.time < b.time : a.order < b.order
    }
}

/// A heap of its own, four children a node: the core's generic one is not specialised outside the
/// core's module, and that was a tenth of a run.
struct EventQueue<Event> {
    private var heap: [EventKey] = []
    private var slots: [Event?] = []
    private var free: [UInt32] = []
    private var sequence: UInt32 = 0
    private let tieKey: UInt64

    init(ties: DrawStream) {
        var ties = ties
        tieKey = ties.next()
    }

    var count: Int { heap.count }
    var nextTime: TrueTime? { heap.first.map { .nanoseconds($0.time) } }

    mutating func push(_ event: Event, at time: TrueTime, lane: UInt64) {
        sequence &+= 1
        let slot: UInt32
        if let reused = free.popLast() {
            slot = reused
            slots[Int(slot)] = event
        } else {
            slot = UInt32(slots.count)
            slots.append(event)
        }
        let tie = mixed(tieKey ^ mixed(lane) ^ UInt64(bitPattern: time.nanoseconds))
        let order = (tie >> 32) << 32 | UInt64(sequence)
        insert(EventKey(time: time.nanoseconds, order: order, slot: slot))
    }

    mutating func pop() -> (time: TrueTime, event: Event)? {
        guard let key = popKey() else { return nil }
        let index = Int(key.slot)
        guard let event = slots[index].take() else { preconditionFailure("an empty slot") }
        free.append(key.slot)
        return (.nanoseconds(key.time), event)
    }

    private mutating func insert(_ key: EventKey) {
        heap.append(key)
        heap.withUnsafeMutableBufferPointer { heap in
            var hole = heap.count - 1
            while hole > 0 {
                let parent = (hole - 1) / 4
                guard key < heap[parent] else { break }
                heap[hole] = heap[parent]
                hole = parent
            }
            heap[hole] = key
        }
    }

    private mutating func popKey() -> EventKey? {
        guard let key = heap.popLast() else { return nil }
        return heap.withUnsafeMutableBufferPointer { heap in
            guard let smallest = heap.first else { return key }
            var hole = 0
            while 4 * hole + 1 < heap.count {
                var least = 4 * hole + 1
                for child in least + 1..<min(least + 4, heap.count) where heap[child] < heap[least]
                {
                    least = child
                }
                guard heap[least] < key else { break }
                heap[hole] = heap[least]
                hole = least
            }
            heap[hole] = key
            return smallest
        }
    }
}
