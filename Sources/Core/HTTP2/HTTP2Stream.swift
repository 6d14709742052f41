// One exchange (RFC 9113 section 5).

/// A stream that is open or half closed; others are not kept.
struct HTTP2Stream: Sendable {
    /// How our side of a stream ends, once all of its body has left.
    enum End: Sendable {
        case body
        case trailers(HTTP2Fields)
    }

    let id: UInt32
    /// Bytes that we may send. Negative after the other side has made its windows smaller.
    var sendWindow: Int
    /// Bytes that the other side may send.
    var receiveWindow: Int
    /// Bytes consumed that the other side does not know of yet.
    var unreturned = 0
    /// We have not ended it.
    var isLocalOpen = true
    /// The other side has not ended it.
    var isRemoteOpen = true
    var hasSentHead = false
    /// The request or the final answer has come.
    var hasHead = false
    /// The answer has no body, whatever its content-length says.
    var isBodiless = false
    var expected: Int?
    var received = 0
    /// Body that waits for windows or for room, from `outboxStart` on.
    var outbox: [UInt8] = []
    var outboxStart = 0
    var end: End?
    /// It stands in the queue of those with something to send.
    var isQueued = false
    /// `hasRoom` was false since `writable` was last told.
    var owesWritable = false

    init(id: UInt32, sendWindow: Int, receiveWindow: Int) {
        self.id = id
        self.sendWindow = sendWindow
        self.receiveWindow = receiveWindow
    }

    var unsent: Int { outbox.count - outboxStart }

    /// Takes what has left out of the outbox.
    mutating func dropSent(_ count: Int) {
        outboxStart += count
        if outboxStart == outbox.count {
            outbox = []
            outboxStart = 0
        } else if outboxStart > 64 << 10, outboxStart > outbox.count / 2 {
            outbox.removeFirst(outboxStart)
            outboxStart = 0
        }
    }
}

/// Streams that ended lately: what still comes for them was under way.
struct HTTP2RecentStreams: Sendable {
    enum Ending: Sendable {
        /// Both sides had ended it.
        case finished
        /// The other side has broken it off.
        case theirReset
        /// We have broken it off.
        case ourReset
    }

    static let capacity = 256
    private var entries: [(id: UInt32, ending: Ending)] = []
    private var next = 0

    mutating func append(_ id: UInt32, _ ending: Ending) {
        if entries.count < Self.capacity { return entries.append((id, ending)) }
        entries[next] = (id, ending)
        next = (next + 1) % Self.capacity
    }

    /// Complexity: O(capacity); asked only when a frame comes for a stream that is not open.
    func ending(of id: UInt32) -> Ending? { entries.last { $0.id == id }?.ending }
}

/// What a connection tells its user.
package enum HTTP2Event: Hashable, Sendable {
    /// A request on a new stream, or the final answer on one of ours. `ends`: nothing follows.
    case head(stream: UInt32, HTTP2Fields, ends: Bool)
    /// An answer before the final one: 100 to 199.
    case interim(stream: UInt32, HTTP2Fields)
    /// A piece of the body; `ends`: the last. It must be given back with `consume`.
    case data(stream: UInt32, [UInt8], ends: Bool)
    /// The fields behind the body, with which the stream ends.
    case trailers(stream: UInt32, HTTP2Fields)
    /// The stream has ended before its time; nothing can be sent on it.
    case reset(stream: UInt32, HTTP2Reset)
    /// `hasRoom` was false and is true now.
    case writable(stream: UInt32)
    /// The other side takes no further stream of ours.
    case goAway(HTTP2Failure)
    /// The connection is over, with all of its streams. Nil: nothing was under way, and both sides
    /// were content. It is the last event.
    case closed(HTTP2Failure?)
}
