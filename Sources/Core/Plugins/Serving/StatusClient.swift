/// A plugin's connection for telling what a call prints meanwhile: gRPC with the host as the
/// server. One update is under way at a time; what is printed meanwhile goes with the next.
struct StatusClient: Sendable {
    private struct Piece: Sendable {
        var bytes: [UInt8]
        var isError: Bool
    }

    private var client: GRPCClient
    private var pipe = HTTP2Pipe()
    private var pending = RingBuffer<Piece>()
    private var pendingCount = 0
    private var sent: (call: UInt64, piece: Piece)?
    private var isOpen = false
    /// Nothing can be told any more.
    private(set) var isOver = false
    /// Which of `ExecutorService.update` the host knows, as far as that was found out.
    private(set) var service: Int

    /// Bytes of one update.
    private static let pieceLimit = 32 << 10
    /// Bytes that wait; older ones are dropped, for the answer to the call has them.
    private static let pendingLimit = 256 << 10

    /// - Parameter service: which of the names to try first.
    init(service: Int, at now: Instant) {
        client = GRPCClient(authority: "localhost", at: now)
        self.service = service
    }

    var deadline: Instant? { isOver ? nil : client.deadline }

    mutating func opened(at now: Instant) {
        isOpen = true
        pump(at: now)
    }

    mutating func tell(_ bytes: [UInt8], isError: Bool, at now: Instant) {
        guard !isOver, !bytes.isEmpty else { return }
        var rest = bytes.suffix(Self.pendingLimit)
        while !rest.isEmpty {
            let piece = rest.prefix(Self.pieceLimit)
            rest = rest.dropFirst(piece.count)
            add(Piece(bytes: Array(piece), isError: isError))
        }
        pump(at: now)
    }

    /// Small pieces of one kind travel together.
    private mutating func add(_ piece: Piece) {
        pendingCount += piece.bytes.count
        let last = pending.count - 1
        if last >= 0, pending[last].isError == piece.isError,
            pending[last].bytes.count + piece.bytes.count <= Self.pieceLimit
        {
            pending[last].bytes += piece.bytes
        } else {
            pending.append(piece)
        }
        while pendingCount > Self.pendingLimit, let oldest = pending.popFirst() {
            pendingCount -= oldest.bytes.count
        }
    }

    mutating func received(_ bytes: [UInt8], at now: Instant) {
        client.http.receive(bytes.span, at: now)
    }

    mutating func wrote(_ count: Int, at now: Instant) {
        pipe.wrote(count, &client.http, at: now)
    }

    mutating func fail(_ reason: String) { client.http.abort(reason) }

    mutating func expire(at now: Instant) { client.expire(at: now) }

    /// What came of everything before. Call it after each of the functions above.
    mutating func drain(at now: Instant) {
        while let event = client.nextEvent(at: now) {
            switch event {
            case .metadata, .message, .writable: break
            case .finished(let call, let status, _):
                guard let sent, sent.call == call else { continue }
                self.sent = nil
                guard status.code == .unsupported else { continue }
                guard service + 1 < ExecutorService.update.count else {
                    isOver = true
                    continue
                }
                service += 1
                send(sent.piece, at: now)
            case .closed: isOver = true
            }
        }
        if !client.isUsable { isOver = true }
        pump(at: now)
    }

    mutating func takeOutgoing() -> [UInt8]? {
        isOpen && !isOver ? pipe.next(of: client.http) : nil
    }

    private mutating func pump(at now: Instant) {
        guard isOpen, !isOver, sent == nil, let piece = pending.popFirst() else { return }
        pendingCount -= piece.bytes.count
        send(piece, at: now)
    }

    private mutating func send(_ piece: Piece, at now: Instant) {
        var update = StatusUpdateRequest()
        (update.output, update.isError) = (piece.bytes, piece.isError)
        guard let call = try? client.call(ExecutorService.update[service], at: now) else {
            isOver = true
            return
        }
        client.send(call, update.protobuf, last: true, at: now)
        sent = (call, piece)
    }
}
