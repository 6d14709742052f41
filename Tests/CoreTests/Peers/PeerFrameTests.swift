import Core
import Testing

@Suite("Frames between nodes")
struct PeerFrameTests {
    private func frames(of message: [UInt8]) -> [(PeerFrame, ArraySlice<UInt8>)] {
        var frames: [(PeerFrame, ArraySlice<UInt8>)] = []
        var offset = 0
        repeat {
            let (frame, range) = PeerFrame.piece(of: message, from: offset)
            frames.append((frame, message[range]))
            offset = range.upperBound
        } while offset < message.count
        return frames
    }

    @Test(arguments: [0, 1, 16_383, 16_384, 16_385, 32_768, 40_000])
    func `a message of any length comes back`(length: Int) throws {
        let message = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let frames = frames(of: message)
        #expect(frames.count == max(1, (length + 16_383) / 16_384))
        let stream = frames.flatMap { $0.checked($1) }
        for cut in [1, 7, 5_000, stream.count] {
            var reader = PeerFrameReader(trailerBytes: PeerFrame.checksumBytes)
            var assembler = PeerAssembler(limit: length)
            var found: [[UInt8]] = []
            for start in stride(from: 0, to: stream.count, by: cut) {
                reader.receive(stream[start..<min(stream.count, start + cut)])
                while let (frame, head, sealed) = try reader.next() {
                    let payload = try #require(PeerFrame.payload(head: head, sealed))
                    #expect(payload.count == frame.length)
                    if let whole = try assembler.receive(frame.kind, payload) {
                        found.append(whole)
                    }
                }
            }
            #expect(found == [message])
            #expect(reader.count == 0)
            #expect(assembler.heldBytes == 0)
        }
    }

    @Test func `short messages come between the parts of a long one`() throws {
        let long = [UInt8](repeating: 3, count: 40_000)
        var assembler = PeerAssembler(limit: 1 << 20)
        var found: [Int] = []
        for (frame, payload) in frames(of: long) {
            if let whole = try assembler.receive(frame.kind, payload) { found.append(whole.count) }
            if let whole = try assembler.receive(.message, [1]) { found.append(whole.count) }
        }
        #expect(found == [1, 1, 40_000, 1])
    }

    @Test func `every changed byte is found`() throws {
        let stream = PeerFrame(.message, length: 3).checked([1, 2, 3])
        for place in stream.indices {
            var changed = stream
            changed[place] ^= 2
            var reader = PeerFrameReader(trailerBytes: PeerFrame.checksumBytes)
            reader.receive(changed)
            guard let (_, head, sealed) = try? reader.next() else { continue }
            #expect(PeerFrame.payload(head: head, sealed) == nil, "at \(place)")
        }
    }

    @Test func `what has no place is refused`() {
        var assembler = PeerAssembler(limit: 10)
        #expect(throws: ByteError.self) { try assembler.receive(.ready, []) }
        #expect(throws: ByteError.self) { try assembler.receive(.part, []) }
        #expect(throws: ByteError.self) { try assembler.receive(.lastPart, [1]) }
        #expect(throws: ByteError.self) {
            _ = try assembler.receive(.part, [1, 2, 3, 4, 5, 6])
            _ = try assembler.receive(.lastPart, [1, 2, 3, 4, 5])
        }
        var reader = PeerFrameReader(trailerBytes: 4)
        reader.receive([1, 64, 0, 0, 2])
        #expect(throws: ByteError.self) { try reader.next() }
        reader = PeerFrameReader(trailerBytes: 4)
        reader.receive([1, 0, 0, 0, 6])
        #expect(throws: ByteError.self) { try reader.next() }
    }

    @Test func `heartbeats and votes are urgent, entries and requests are not`() {
        func raft(_ body: RaftMessage.Body) -> [UInt8] {
            PeerMessage.raft(RaftMessage(term: 9, body: body)).encoded
        }
        let far = LogIndex(Int64.max - 1)
        for urgent in [
            raft(.heartbeat(round: UInt64.max, commit: far)),
            raft(.heartbeatReply(round: UInt64.max, matched: far, received: far)),
            raft(.vote(lastIndex: far, lastTerm: far, isTransfer: true)),
            raft(.preVoteReply(isGranted: true)), raft(.appendReply(matched: far)),
            raft(.timeoutNow),
        ] { #expect(PeerMessage.isUrgent(urgent)) }
        let append = RaftMessage.Body.append(
            previousIndex: 1, previousTerm: 1, entries: [], commit: 1)
        for other in [
            raft(append), [], [1, 2, 3],
            PeerMessage.requestAbandoned(ForwardID(incarnation: 1, request: RequestID(1))).encoded,
        ] { #expect(!PeerMessage.isUrgent(other)) }
    }
}
