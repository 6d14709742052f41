package import Core

/// Messages that wait for a connection: urgent ones, and the others in their order. An urgent one
/// waits for no more than a piece of another message.
struct PeerQueue {
    private var urgent = RingBuffer<[UInt8]>()
    private var others = RingBuffer<[UInt8]>()
    /// How much of the first of `others` has been taken.
    private var offset = 0
    private(set) var byteCount = 0

    var count: Int { urgent.count + others.count }
    var isEmpty: Bool { count == 0 }

    /// Returns whether there was room; of the message that goes beyond the bytes there is.
    mutating func append(_ message: [UInt8], _ limits: PeerLimits) -> Bool {
        guard byteCount < limits.queuedBytes, count < limits.queuedMessages else { return false }
        byteCount += message.count
        if PeerMessage.isUrgent(message) {
            urgent.append(message)
        } else {
            others.append(message)
        }
        return true
    }

    /// The next frame to send, with its payload.
    mutating func next() -> (frame: PeerFrame, payload: ArraySlice<UInt8>)? {
        if let message = urgent.popFirst() {
            byteCount -= message.count
            return (PeerFrame(.message, length: message.count), message[...])
        }
        guard let message = others.first else { return nil }
        let (frame, range) = PeerFrame.piece(of: message, from: offset)
        offset = range.upperBound
        if offset == message.count {
            _ = others.popFirst()
            byteCount -= message.count
            offset = 0
        }
        return (frame, message[range])
    }

    /// What was taken in part begins again: its connection is gone.
    mutating func restart() { offset = 0 }

    mutating func removeAll() { self = PeerQueue() }
}

/// Bounds of the connections between nodes.
package struct PeerLimits: Sendable {
    /// The longest message. A backup that is restored through a server that does not lead is one.
    package var messageBytes = 260 << 20
    /// What may wait for one node; further messages are lost.
    package var queuedBytes = 64 << 20
    package var queuedMessages = 16_384
    /// Bytes of unfinished messages, from all nodes together.
    package var heldBytes = 1 << 30
    /// Connections that have not shown yet who they are.
    package var strangers = 128
    /// Connections that others opened.
    package var accepted = 4_096
    /// From the first packet of a connection to its end of the handshake.
    package var handshake = Duration.seconds(5)
    /// Without the other side taking a byte that waits to be sent.
    package var stall = Duration.seconds(10)
    /// Without a message, after which whoever opened a connection ends it.
    package var idle = Duration.seconds(300)
    /// Between two attempts to connect: the first, doubling up to the second.
    package var firstRetry = Duration.milliseconds(100)
    package var longestRetry = Duration.seconds(5)

    package init() {}
}
