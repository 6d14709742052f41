// What servers say to each other when one of them must be brought the live state and the outputs.
//
//     leader                                      follower
//        │  offer ──────────────────────────────────►│  again and again until it is answered
//        │◄────────── ready: I have outputs through … │
//        │  part 0: head, 1…: slices of the state ──►│  a few ahead of the answers
//        │◄──────────────────────── taken, up to … ──│
//        │  …: outputs, the last: end ──────────────►│  durable, then installed
//        │◄─────────────────────────────────── over ─│  Raft goes on behind the snapshot
//
// Parts are numbered, and what is not answered is sent again: any message may be lost, repeated,
// late or out of order. Either side ends a transfer by saying that it is over, and says so as well
// when it hears of one that it does not know.

/// A message about one transfer. A leader numbers its transfers, so term and number name one.
package struct TransferMessage: Hashable, Sendable {
    package enum Body: Hashable, Sendable {
        /// Leader: a snapshot is here for you.
        case offer
        /// Follower: send it. Outputs of entries through the index are here already.
        case ready(outputsThrough: LogIndex)
        /// Leader: the part with this number, from 0 on.
        case part(UInt64, TransferPart)
        /// Follower: so many parts have been taken.
        case taken(UInt64)
        /// Either: nothing is to be done, or no longer.
        case over
    }

    package var term: Term
    package var number: UInt64
    package var body: Body

    package init(term: Term, number: UInt64, body: Body) {
        self.term = term
        self.number = number
        self.body = body
    }
}

/// What a transfer consists of: a head, slices, outputs, an end.
package enum TransferPart: Hashable, Sendable {
    /// What a snapshot says about itself; `meta` is the configuration, encoded.
    case head(SnapshotHead)
    /// Records of the state, as in a snapshot's slice.
    case slice([UInt8])
    /// Chunk records as the history has them.
    case outputs([[UInt8]])
    /// That was all. The hash is that of the state.
    case end(RecordHash)

    /// Bytes of the contents.
    var byteCount: Int {
        switch self {
        case .head(let head): head.meta.count
        case .slice(let records): records.count
        case .outputs(let chunks): chunks.reduce(0) { $0 + $1.count }
        case .end: 0
        }
    }
}

/// Sizes and delays of transfers.
package struct TransferTunables: Hashable, Sendable {
    /// The most bytes of parts on their way without an answer, except that one always goes.
    package var windowBytes = 512 << 10
    /// And the most parts. A follower keeps as many that come too early.
    package var windowParts: UInt64 = 8
    /// Transfers of one leader at the same time.
    package var limit = 2
    /// Between two offers of a snapshot, and before the next one after a transfer has ended.
    package var offerInterval: Duration = .seconds(1)
    /// After so long without an answer parts are sent again, then after twice that, and so on.
    package var resendInterval: Duration = .milliseconds(500)
    package var longestResendInterval: Duration = .seconds(4)
    /// A side that hears nothing for so long gives the transfer up.
    package var patience: Duration = .seconds(20)
    /// Bytes of outputs that may wait for the follower's disk before it takes more parts.
    package var backlog = 4 << 20

    package init() {}
}

// MARK: Bytes

extension TransferMessage {
    private enum Kind: UInt8 {
        case offer
        case ready
        case head
        case slice
        case outputs
        case end
        case taken
        case over
    }

    package func encode(into writer: inout ByteWriter) {
        func begin(_ kind: Kind) {
            writer.u8(kind.rawValue)
            writer.varint(term)
            writer.varint(number)
        }
        switch body {
        case .offer: begin(.offer)
        case .ready(let index):
            begin(.ready)
            writer.varint(index)
        case .part(let place, .head(let head)):
            begin(.head)
            writer.varint(place)
            writer.varint(head.index)
            writer.varint(head.term)
            writer.bytes(head.meta)
        case .part(let place, .slice(let records)):
            begin(.slice)
            writer.varint(place)
            writer.bytes(records)
        case .part(let place, .outputs(let chunks)):
            begin(.outputs)
            writer.varint(place)
            writer.array(chunks) { $0.bytes($1) }
        case .part(let place, .end(let hash)):
            begin(.end)
            writer.varint(place)
            writer.u64(UInt64(truncatingIfNeeded: hash.value >> 64))
            writer.u64(UInt64(truncatingIfNeeded: hash.value))
        case .taken(let count):
            begin(.taken)
            writer.varint(count)
        case .over: begin(.over)
        }
    }

    /// Reads what `encode` wrote.
    /// - Throws: `ByteError` for anything else.
    package init(from reader: inout ByteReader) throws(ByteError) {
        let start = reader.offset
        guard let kind = Kind(rawValue: try reader.u8()) else {
            throw .malformed(offset: start, what: "an unknown kind of message about a transfer")
        }
        term = try reader.varint()
        number = try reader.varint()
        switch kind {
        case .offer: body = .offer
        case .ready: body = .ready(outputsThrough: try reader.varint())
        case .head:
            body = .part(
                try reader.varint(),
                .head(
                    SnapshotHead(
                        index: try reader.varint(), term: try reader.varint(),
                        meta: try reader.bytes())))
        case .slice: body = .part(try reader.varint(), .slice(try reader.bytes()))
        case .outputs:
            let place = try reader.varint()
            let chunks = try reader.array(elementSize: 1) { reader throws(ByteError) in
                try reader.bytes()
            }
            body = .part(place, .outputs(chunks))
        case .end:
            let place = try reader.varint()
            let high = try reader.u64()
            let low = try reader.u64()
            body = .part(place, .end(RecordHash(value: UInt128(high) << 64 | UInt128(low))))
        case .taken: body = .taken(try reader.varint())
        case .over: body = .over
        }
    }
}
