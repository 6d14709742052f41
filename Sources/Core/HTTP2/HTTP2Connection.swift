// One HTTP/2 connection (RFC 9113) without its socket, of either role: bytes and messages in,
// events and bytes out.
//
// The driver owns the socket and does, whenever something happened: read while `wantsRead` and push
// with `receive` (at the end of the stream `receiveEnd`), take every `nextEvent`, send `outgoing`
// and tell `didSend`, shut its sending side once `wantsShutdown`, close the socket once `isClosed`,
// and arm a timer for `deadline` that calls `expire`.
//
// A connection begins with prior knowledge or after ALPN, alike (section 3). Nothing is pushed:
// PUSH_PROMISE is refused. Priorities are ignored; streams that have something to send take turns.
//
// What bounds the other side: `HTTP2Limits`. A body waits on its stream until its user has consumed
// it; the window of the connection is given back at once, so that a slow stream stops no other.

package struct HTTP2Connection: Sendable {
    package enum Role: Hashable, Sendable {
        /// Opens streams.
        case client
        /// Answers them.
        case server
    }

    enum Stage: Hashable, Sendable {
        case open
        /// No new streams; those under way go on.
        case draining
        /// The last GOAWAY waits to be sent; nothing more is read.
        case ending
        /// Everything is sent and our end is shut, as in `HTTPConnection`.
        case lingering(since: Instant)
        case closed
    }

    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    static let largestWindow = 1 << 31 - 1
    static let initialWindow = 65_535
    /// We ask for no larger frames than everybody takes.
    static let frameLimit = 16_384
    /// Marks the PING whose answer shows that the other side has seen our first GOAWAY.
    static let goAwayPing: UInt64 = 0x676f_6177_6179_0001
    static let keepAlivePing: UInt64 = 0x616c_6976_6500_0001

    package let role: Role
    let limits: HTTP2Limits
    let timeouts: HTTP2Timeouts
    var stage = Stage.open
    var events = RingBuffer<HTTP2Event>()

    // Reading.
    var input: [UInt8] = []
    var inputStart = 0
    var prefaceLeft: Int
    var decoder: HPACKDecoder
    /// A field block that CONTINUATION goes on with.
    var block: HTTP2Block?
    var resetAllowance: HTTP2Allowance
    var idleAllowance: HTTP2Allowance
    /// Bytes that have come on all streams and are not given back yet: less than half of the
    /// connection's window, which therefore nobody can exceed with frames of the largest size.
    var unreturned = 0

    // Streams: in the order of their ids, which is that of their opening.
    var streams: [HTTP2Stream] = []
    var recent = HTTP2RecentStreams()
    var nextStream: UInt32 = 1
    /// The highest stream of the other side.
    var lastPeerStream: UInt32 = 0

    // The other side's settings.
    var peerStreams = Int.max
    var peerWindow = Self.initialWindow
    var peerFrameLimit = Self.frameLimit

    // Writing.
    var encoder = HPACKEncoder()
    var output: [UInt8] = []
    var sent = 0
    var sendWindow = Self.initialWindow
    /// Streams with something to send, in turns.
    var ready = RingBuffer<UInt32>()

    // Time.
    let began: Instant
    var receivedAt: Instant
    var sentAt: Instant
    var idleSince: Instant
    var pingedAt: Instant?
    var hasPeerSettings = false
    var isAcknowledged = false
    /// The last stream that a GOAWAY of ours promised to answer.
    var promised = UInt32.max
    var peerGoAway: (last: UInt32, failure: HTTP2Failure)?
    var hasTold = false

    package init(
        role: Role, limits: HTTP2Limits = HTTP2Limits(),
        timeouts: HTTP2Timeouts = HTTP2Timeouts(), at now: Instant
    ) {
        self.role = role
        self.limits = limits
        self.timeouts = timeouts
        prefaceLeft = role == .server ? Self.preface.count : 0
        decoder = HPACKDecoder(tableLimit: 4_096)
        resetAllowance = HTTP2Allowance(limits.resets, at: now)
        idleAllowance = HTTP2Allowance(limits.idleFrames, at: now)
        (began, receivedAt, sentAt, idleSince) = (now, now, now, now)
        writePreface()
    }

    // MARK: From the other side

    /// Takes bytes that came. They are dropped once the connection is ending.
    package mutating func receive(_ bytes: Span<UInt8>, at now: Instant) {
        guard isReading, bytes.count > 0 else { return }
        receivedAt = now
        pingedAt = nil
        if inputStart > 0 {
            input.removeFirst(inputStart)
            inputStart = 0
        }
        bytes.withUnsafeBufferPointer { input.append(contentsOf: $0) }
        do throws(HTTP2Failure) {
            try takePreface()
            while try takeFrame(at: now) {
                endIfDone(at: now)
                guard output.count - sent <= limits.unsentTotal else {
                    throw HTTP2Failure(
                        .enhanceYourCalm,
                        "more than \(limits.unsentTotal) bytes of answers wait to be read")
                }
            }
        } catch { fail(error, at: now) }
        pump(at: now)
    }

    /// The other side has shut its end.
    package mutating func receiveEnd(at now: Instant) {
        switch stage {
        case .open, .draining:
            if streams.isEmpty, block == nil, inputStart == input.count || !hasPeerSettings {
                close(hasPeerSettings ? nil : early())
            } else {
                close(
                    HTTP2Failure(
                        .noError,
                        "the other side closed the connection with \(streams.count) streams open"))
            }
        case .ending, .lingering: close(nil)
        case .closed: break
        }
    }

    /// The next event. Call it until it gives nil, after everything else.
    package mutating func nextEvent() -> HTTP2Event? { events.popFirst() }

    // MARK: To the other side

    /// What waits to be sent. Drop this value before `didSend`, or its memory is copied.
    package var outgoing: ArraySlice<UInt8> { output[sent...] }

    package var hasOutgoing: Bool { sent < output.count }

    /// The socket took the first `count` bytes of `outgoing`.
    package mutating func didSend(_ count: Int, at now: Instant) {
        invariant(0 <= count && count <= output.count - sent, "no more is sent than was there")
        guard count > 0 else { return }
        sent += count
        sentAt = now
        if sent == output.count {
            output.removeAll(keepingCapacity: output.capacity <= 64 << 10)
            sent = 0
        } else if sent > 64 << 10, sent > output.count / 2 {
            output.removeFirst(sent)
            sent = 0
        }
        pump(at: now)
        endIfDone(at: now)
    }

    // MARK: Ends

    /// Takes no new streams, finishes those under way, and closes. A server first says so and
    /// waits until the client has heard it, so that no request is lost on its way (section 6.8).
    package mutating func beginShutdown(at now: Instant) {
        guard stage == .open else { return }
        stage = .draining
        if role == .server, hasPeerSettings {
            pingedAt = now
            append(at: now) {
                Self.writeGoAway(UInt32(Self.largestWindow), .noError, "shutting down", to: &$0)
                Self.writePing(Self.goAwayPing, isAnswer: false, to: &$0)
            }
        } else {
            promised = lastPeerStream
        }
        endIfDone(at: now)
    }

    /// The socket failed, or the driver gives up: nothing more is sent or taken.
    package mutating func abort(_ reason: String) {
        guard stage != .closed else { return }
        close(HTTP2Failure(.cancel, reason))
    }

    // MARK: Queries

    /// Whether the driver should read from the socket.
    package var wantsRead: Bool {
        switch stage {
        // Reading on is how the other side's end is seen.
        case .open, .draining, .lingering: true
        case .ending, .closed: false
        }
    }

    /// Whether the driver should shut the socket's sending side (once).
    package var wantsShutdown: Bool {
        if case .lingering = stage { true } else { false }
    }

    /// Whether the driver should close the socket and forget the connection.
    package var isClosed: Bool { stage == .closed }

    /// Whether `open` would succeed: the connection takes new streams and has room for one.
    package var canOpen: Bool {
        role == .client && stage == .open && streams.count < min(limits.streams, peerStreams)
            && nextStream < UInt32(Self.largestWindow)
    }

    /// Whether new streams may ever be opened.
    package var isUsable: Bool {
        stage == .open && nextStream < UInt32(Self.largestWindow)
    }

    /// The other side's SETTINGS have come: it does speak HTTP/2.
    package var isEstablished: Bool { hasPeerSettings }

    package var openStreams: Int { streams.count }

    /// When `expire` has something to do if nothing else happens.
    package var deadline: Instant? { nextTimeout?.at }

    /// Acts on time-outs that are due. Does nothing before `deadline`.
    package mutating func expire(at now: Instant) {
        guard let due = nextTimeout, due.at <= now else { return }
        switch due.kind {
        case .settings:
            fail(
                HTTP2Failure(
                    .settingsTimeout,
                    hasPeerSettings
                        ? "the other side did not acknowledge our SETTINGS in time"
                        : "the other side sent no SETTINGS in time"), at: now)
        case .write:
            close(HTTP2Failure(.cancel, "the other side takes nothing of what is sent to it"))
        case .linger: close(nil)
        case .idle: beginShutdown(at: now)
        case .ping:
            pingedAt = now
            append(at: now) { Self.writePing(Self.keepAlivePing, isAnswer: false, to: &$0) }
        case .pong:
            close(HTTP2Failure(.cancel, "the other side has fallen silent: it answers no PING"))
        }
    }

    // MARK: Private

    var isReading: Bool { stage == .open || stage == .draining }

    private enum TimeoutKind {
        case settings
        case write
        case linger
        case idle
        case ping
        case pong
    }

    private var nextTimeout: (at: Instant, kind: TimeoutKind)? {
        var due: (at: Instant, kind: TimeoutKind)?
        func add(_ at: Instant, _ kind: TimeoutKind) {
            if at < due?.at ?? .distantFuture { due = (at, kind) }
        }
        switch stage {
        case .closed: return nil
        case .lingering(let since): return (since + timeouts.linger, .linger)
        case .ending: break
        case .open, .draining:
            if !hasPeerSettings || !isAcknowledged { add(began + timeouts.settings, .settings) }
            if let pingedAt {
                add(pingedAt + timeouts.pong, .pong)
            } else if let ping = timeouts.ping {
                add(receivedAt + ping, .ping)
            }
            if let idle = timeouts.idle, streams.isEmpty, stage == .open {
                add(idleSince + idle, .idle)
            }
        }
        if hasOutgoing { add(sentAt + timeouts.write, .write) }
        return due
    }

    /// Appends to the output what `write` makes.
    mutating func append(at now: Instant, _ write: (inout [UInt8]) -> Void) {
        guard stage != .closed else { return }
        if !hasOutgoing { sentAt = now }
        write(&output)
    }

    /// Ends the connection for an error: says it with GOAWAY, and reads no further.
    mutating func fail(_ failure: HTTP2Failure, at now: Instant) {
        guard isReading else { return }
        stage = .ending
        if !hasOutgoing { sentAt = now }
        Self.writeGoAway(lastPeerStream, failure.code, failure.reason, to: &output)
        tell(failure)
        release()
        endIfDone(at: now)
    }

    /// Goes on to the next stage when nothing is left to do in this one.
    mutating func endIfDone(at now: Instant) {
        switch stage {
        case .draining where streams.isEmpty && (role == .client || promised < .max):
            stage = .ending
            let last = lastPeerStream
            append(at: now) { Self.writeGoAway(last, .noError, "", to: &$0) }
            tell(peerGoAway.flatMap { $0.failure.code == .noError ? nil : $0.failure })
            release()
            endIfDone(at: now)
        case .ending where !hasOutgoing: stage = .lingering(since: now)
        default: break
        }
    }

    private mutating func close(_ failure: HTTP2Failure?) {
        stage = .closed
        tell(failure)
        release()
        output = []
        sent = 0
    }

    private mutating func tell(_ failure: HTTP2Failure?) {
        guard !hasTold else { return }
        hasTold = true
        events.append(.closed(failure))
    }

    private mutating func release() {
        streams = []
        ready.removeAll()
        input = []
        inputStart = 0
        block = nil
    }

    private func early() -> HTTP2Failure {
        HTTP2Failure(
            .protocolError,
            "the other side closed the connection before it said anything in HTTP/2")
    }
}

/// A field block of which more is to come.
struct HTTP2Block: Sendable {
    let stream: UInt32
    let ends: Bool
    var bytes: [UInt8]
    var frames = 1
}
