// The bytes of a message between servers: kind, term, and what the kind carries. Indices of entries
// are not sent, they follow from the place; so a gap cannot be said.

extension RaftMessage {
    private enum Kind: UInt8 {
        case preVote = 1
        case preVoteReply
        case vote
        case voteReply
        case append
        case appendReply
        case appendRefused
        case heartbeat
        case heartbeatReply
        case timeoutNow
    }

    package func encode(into writer: inout ByteWriter) {
        func begin(_ kind: Kind) {
            writer.u8(kind.rawValue)
            writer.varint(term)
        }
        switch body {
        case .preVote(let index, let term):
            begin(.preVote)
            writer.varint(index)
            writer.varint(term)
        case .preVoteReply(let isGranted):
            begin(.preVoteReply)
            writer.bool(isGranted)
        case .vote(let index, let term, let isTransfer):
            begin(.vote)
            writer.varint(index)
            writer.varint(term)
            writer.bool(isTransfer)
        case .voteReply(let isGranted):
            begin(.voteReply)
            writer.bool(isGranted)
        case .append(let previousIndex, let previousTerm, let entries, let commit):
            begin(.append)
            writer.varint(previousIndex)
            writer.varint(previousTerm)
            writer.varint(commit)
            writer.array(entries) { writer, entry in
                writer.varint(entry.term)
                writer.u8(entry.kind)
                writer.bytes(entry.payload)
            }
        case .appendReply(let matched):
            begin(.appendReply)
            writer.varint(matched)
        case .appendRefused(let previousIndex, let hintIndex, let hintTerm):
            begin(.appendRefused)
            writer.varint(previousIndex)
            writer.varint(hintIndex)
            writer.varint(hintTerm)
        case .heartbeat(let round, let commit):
            begin(.heartbeat)
            writer.varint(round)
            writer.varint(commit)
        case .heartbeatReply(let round, let matched, let received):
            begin(.heartbeatReply)
            writer.varint(round)
            writer.varint(matched)
            writer.varint(received)
        case .timeoutNow: begin(.timeoutNow)
        }
    }

    /// Reads what `encode` wrote.
    /// - Throws: `ByteError` for anything else.
    package init(from reader: inout ByteReader) throws(ByteError) {
        let start = reader.offset
        guard let kind = Kind(rawValue: try reader.u8()) else {
            throw .malformed(offset: start, what: "an unknown kind of message")
        }
        term = try reader.varint()
        switch kind {
        case .preVote:
            body = .preVote(lastIndex: try reader.varint(), lastTerm: try reader.varint())
        case .preVoteReply: body = .preVoteReply(isGranted: try reader.bool())
        case .vote:
            body = .vote(
                lastIndex: try reader.varint(), lastTerm: try reader.varint(),
                isTransfer: try reader.bool())
        case .voteReply: body = .voteReply(isGranted: try reader.bool())
        case .append: body = try Self.append(from: &reader)
        case .appendReply: body = .appendReply(matched: try reader.varint())
        case .appendRefused:
            body = .appendRefused(
                previousIndex: try reader.varint(), hintIndex: try reader.varint(),
                hintTerm: try reader.varint())
        case .heartbeat:
            body = .heartbeat(round: try reader.varint(), commit: try reader.varint())
        case .heartbeatReply:
            body = .heartbeatReply(
                round: try reader.varint(), matched: try reader.varint(),
                received: try reader.varint())
        case .timeoutNow: body = .timeoutNow
        }
    }

    private static func append(from reader: inout ByteReader) throws(ByteError) -> Body {
        let start = reader.offset
        let previousIndex = try reader.varint()
        let previousTerm = try reader.varint()
        let commit = try reader.varint()
        guard previousIndex < LogIndex(Int64.max) else {
            throw .malformed(offset: start, what: "an index beyond every log")
        }
        var index = previousIndex
        var term = previousTerm
        let entries = try reader.array(elementSize: 3) { reader throws(ByteError) in
            let place = reader.offset
            index += 1
            let entryTerm = try reader.varint()
            guard entryTerm >= term else {
                throw .malformed(offset: place, what: "entries whose terms decrease")
            }
            term = entryTerm
            return LogEntry(
                index: index, term: term, kind: try reader.u8(), payload: try reader.bytes())
        }
        return .append(
            previousIndex: previousIndex, previousTerm: previousTerm, entries: entries,
            commit: commit)
    }
}
