// Several streams of bytes over one connection, as HashiCorp's yamux has them: frames of a header
// of 12 bytes and, for data, what follows it. Bytes in, events and bytes out, time as an argument.
//
// What comes is handed on at once, and the window given back; whoever takes the events bounds what
// is kept. Streams are opened by the client alone: plugins have nothing to ask.

enum YamuxEvent: Hashable, Sendable {
    /// The other side has begun a stream.
    case opened(UInt32)
    case received(UInt32, [UInt8])
    /// The other side says no more on this stream, or has broken it off.
    case ended(UInt32)
    /// The session is over: a sentence without the full stop. It is the last event.
    case failed(String)
}

struct YamuxSession: Sendable {
    enum Role: Sendable {
        /// Opens streams.
        case client
        /// Takes them.
        case server
    }

    private struct Stream: Sendable {
        /// Bytes that may still be sent.
        var window = UInt64(YamuxSession.window)
        /// Bytes that have come and are not given back.
        var unreturned = 0
        var queue: [UInt8] = []
        var isEnded = false
        /// Nothing follows what is queued.
        var isClosing = false
    }

    private enum Kind: UInt8 {
        case data
        case windowUpdate
        case ping
        case goAway
    }

    private enum Flag {
        static let begin: UInt16 = 1
        static let acknowledge: UInt16 = 2
        static let end: UInt16 = 4
        static let reset: UInt16 = 8
    }

    private static let window = 262_144
    private static let headerSize = 12
    /// Streams that the other side may have open at a time.
    private static let mostStreams = 256
    /// The largest piece that is sent at once.
    private static let pieceLimit = 32 << 10
    static let pingInterval = Duration.seconds(30)
    static let pingPatience = Duration.seconds(10)

    private let role: Role
    private var header: [UInt8] = []
    /// What is left of the data that a header has told.
    private var body: (stream: UInt32, left: Int, flags: UInt16)?
    private var streams = SortedMap<UInt32, Stream>()
    private var nextStream: UInt32 = 1
    /// The highest that the other side has opened.
    private var lastOpened: UInt32 = 0
    private var events: [YamuxEvent] = []
    private(set) var output: [UInt8] = []
    private var isOver = false
    /// The other side has closed the connection, or said that it is about to.
    private(set) var isEnded = false
    private var pingAt: Instant
    private var pingedAt: Instant?
    private var pings: UInt32 = 0

    init(_ role: Role = .client, at now: Instant) {
        self.role = role
        pingAt = now + Self.pingInterval
    }

    var deadline: Instant {
        if isOver { return .distantFuture }
        return pingedAt.map { $0 + Self.pingPatience } ?? pingAt
    }

    // MARK: To the other side

    mutating func open() -> UInt32 {
        let stream = nextStream
        nextStream += 2
        streams[stream] = Stream()
        write(.windowUpdate, Flag.begin, stream, 0)
        return stream
    }

    /// Sends bytes, as far as the other side has room for them; the rest later.
    mutating func send(_ stream: UInt32, _ bytes: [UInt8]) {
        streams.update(stream) { $0.queue += bytes }
        pump(stream)
    }

    /// Says no more on a stream.
    mutating func close(_ stream: UInt32) {
        streams.update(stream) { $0.isClosing = true }
        pump(stream)
    }

    /// Bytes of a stream for which the other side has no room.
    func waitingCount(_ stream: UInt32) -> Int { streams[stream]?.queue.count ?? 0 }

    var hasOutput: Bool { !output.isEmpty }

    /// What waits to be sent.
    mutating func takeOutput() -> [UInt8] {
        defer { output = [] }
        return output
    }

    mutating func takeEvents() -> [YamuxEvent] {
        defer { events = [] }
        return events
    }

    private mutating func pump(_ number: UInt32) {
        guard var stream = streams[number] else { return }
        while !stream.queue.isEmpty, stream.window > 0 {
            let count = min(stream.queue.count, Int(clamping: stream.window), Self.pieceLimit)
            write(.data, 0, number, UInt32(count))
            output += stream.queue[..<count]
            stream.queue.removeFirst(count)
            stream.window -= UInt64(count)
        }
        let isDone = stream.isClosing && stream.queue.isEmpty
        if isDone { write(.data, Flag.end, number, 0) }
        streams[number] = isDone && stream.isEnded ? nil : stream
        if isDone, !stream.isEnded { streams.update(number) { $0.isClosing = false } }
    }

    private mutating func write(_ kind: Kind, _ flags: UInt16, _ stream: UInt32, _ length: UInt32) {
        output += [0, kind.rawValue, UInt8(flags >> 8), UInt8(flags & 255)]
        for value in [stream, length] {
            output += (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) }
        }
    }

    // MARK: From the other side

    mutating func receive(_ bytes: [UInt8], at now: Instant) {
        var rest = bytes[...]
        while !rest.isEmpty, !isOver {
            if let (stream, left, flags) = body {
                let piece = rest.prefix(left)
                rest = rest.dropFirst(piece.count)
                take(stream, Array(piece))
                body = left == piece.count ? nil : (stream, left - piece.count, flags)
                if body == nil { finish(stream, flags) }
            } else {
                let piece = rest.prefix(Self.headerSize - header.count)
                rest = rest.dropFirst(piece.count)
                header += piece
                guard header.count == Self.headerSize else { return }
                takeHeader(at: now)
                header = []
            }
        }
    }

    mutating func receiveEnd() {
        isEnded = true
        fail("it closed the connection")
    }

    mutating func fail(_ reason: String) {
        guard !isOver else { return }
        isOver = true
        events.append(.failed(reason))
    }

    mutating func expire(at now: Instant) {
        guard !isOver, deadline <= now else { return }
        guard pingedAt == nil else {
            return fail("it has fallen silent: it answers no ping")
        }
        pings &+= 1
        pingedAt = now
        write(.ping, Flag.begin, 0, pings)
    }

    private mutating func takeHeader(at now: Instant) {
        func number(_ offset: Int) -> UInt32 {
            header[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) }
        }
        let flags = UInt16(header[2]) << 8 | UInt16(header[3])
        let (stream, length) = (number(4), number(8))
        guard header[0] == 0, let kind = Kind(rawValue: header[1]) else {
            return fail("what it says is not of its protocol (yamux)")
        }
        switch kind {
        case .data:
            let unreturned = streams[stream]?.unreturned ?? 0
            guard Int(length) <= Self.window - unreturned else {
                return fail("it sends more than it was told to (yamux)")
            }
            beginIfNew(stream, flags)
            if length > 0 {
                body = (stream, Int(length), flags)
            } else {
                finish(stream, flags)
            }
        case .windowUpdate:
            beginIfNew(stream, flags)
            streams.update(stream) { $0.window = min($0.window + UInt64(length), 1 << 40) }
            finish(stream, flags)
            pump(stream)
        case .ping:
            if flags & Flag.begin != 0 {
                write(.ping, Flag.acknowledge, 0, length)
            } else if pingedAt != nil, length == pings {
                pingedAt = nil
                pingAt = now + Self.pingInterval
            }
        case .goAway:
            isEnded = true
            fail("it takes no more calls")
        }
    }

    private mutating func beginIfNew(_ stream: UInt32, _ flags: UInt16) {
        guard flags & Flag.begin != 0 else { return }
        guard role == .server, stream > lastOpened, !stream.isMultiple(of: 2),
            streams.count < Self.mostStreams
        else { return write(.windowUpdate, Flag.reset, stream, 0) }
        lastOpened = stream
        streams[stream] = Stream()
        write(.windowUpdate, Flag.acknowledge, stream, 0)
        events.append(.opened(stream))
    }

    private mutating func take(_ number: UInt32, _ bytes: [UInt8]) {
        guard !bytes.isEmpty, var stream = streams[number] else { return }
        stream.unreturned += bytes.count
        if stream.unreturned >= Self.window / 2 {
            write(.windowUpdate, 0, number, UInt32(stream.unreturned))
            stream.unreturned = 0
        }
        streams[number] = stream
        events.append(.received(number, bytes))
    }

    private mutating func finish(_ number: UInt32, _ flags: UInt16) {
        guard flags & (Flag.end | Flag.reset) != 0, let stream = streams[number] else { return }
        if flags & Flag.reset != 0 {
            streams[number] = nil
        } else {
            streams.update(number) { $0.isEnded = true }
        }
        if !stream.isEnded { events.append(.ended(number)) }
    }
}
