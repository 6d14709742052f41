// What frames do, all but those with fields (RFC 9113 sections 3.4 and 6).

extension HTTP2Connection {
    private typealias Kind = HTTP2FrameHeader.Kind
    private typealias Flag = HTTP2FrameHeader.Flag

    /// A server's check of the client's first bytes. Throws as soon as one differs.
    mutating func takePreface() throws(HTTP2Failure) {
        while prefaceLeft > 0, inputStart < input.count {
            let place = Self.preface.count - prefaceLeft
            guard input[inputStart] == Self.preface[place] else {
                throw HTTP2Failure(
                    .protocolError,
                    "the client does not begin in HTTP/2, but with the byte \(input[inputStart])"
                        + " at place \(place)")
            }
            inputStart += 1
            prefaceLeft -= 1
        }
    }

    /// Handles the next frame if all of it is there.
    mutating func takeFrame(at now: Instant) throws(HTTP2Failure) -> Bool {
        guard prefaceLeft == 0, input.count - inputStart >= HTTP2FrameHeader.size else {
            return false
        }
        let frame = HTTP2FrameHeader(input, at: inputStart)
        try checkOrder(frame)
        let start = inputStart + HTTP2FrameHeader.size
        guard input.count - start >= frame.length else { return false }
        inputStart = start + frame.length
        let payload = start..<inputStart
        switch frame.kind {
        case Kind.data: try takeData(frame, payload, at: now)
        case Kind.headers: try takeHeaders(frame, payload, at: now)
        case Kind.continuation: try takeContinuation(frame, payload, at: now)
        case Kind.priority: try takePriority(frame, payload, at: now)
        case Kind.reset: try takeReset(frame, payload, at: now)
        case Kind.settings: try takeSettings(frame, payload, at: now)
        case Kind.ping: try takePing(frame, payload, at: now)
        case Kind.goAway: try takeGoAway(frame, payload, at: now)
        case Kind.windowUpdate: try takeWindowUpdate(frame, payload, at: now)
        case Kind.pushPromise:
            throw HTTP2Failure(.protocolError, "PUSH_PROMISE came, and pushing is not enabled")
        default: try spendIdle(frame.name, at: now)
        }
        return true
    }

    /// What can be said of a frame before its payload is there.
    private func checkOrder(_ frame: HTTP2FrameHeader) throws(HTTP2Failure) {
        if !hasPeerSettings {
            guard frame.kind == Kind.settings, !frame.has(Flag.ack) else {
                let answersOld = input[inputStart...].starts(with: "HTTP/1.".utf8)
                throw HTTP2Failure(
                    .protocolError,
                    answersOld
                        ? "the server answers in HTTP/1.1, not in HTTP/2"
                        : "the first frame is not SETTINGS")
            }
        }
        guard frame.length <= Self.frameLimit else {
            throw HTTP2Failure(
                .frameSizeError,
                "a frame (\(frame.name)) of \(frame.length) bytes; \(Self.frameLimit) are allowed")
        }
        if let block {
            guard frame.kind == Kind.continuation, frame.stream == block.stream else {
                throw HTTP2Failure(
                    .protocolError, "\(frame.name) came where CONTINUATION must go on")
            }
        }
    }

    /// A frame that carries nothing on, of which only so many are taken.
    mutating func spendIdle(_ what: String, at now: Instant) throws(HTTP2Failure) {
        guard idleAllowance.spend(at: now) else {
            throw HTTP2Failure(
                .enhanceYourCalm, "too many frames that carry nothing on, the last was \(what)")
        }
    }

    /// A stream that was broken off, of which only so many are taken.
    mutating func spendReset(at now: Instant) throws(HTTP2Failure) {
        guard resetAllowance.spend(at: now) else {
            throw HTTP2Failure(.enhanceYourCalm, "too many streams are broken off")
        }
    }

    /// The payload without its padding (section 6.1).
    func unpadded(
        _ frame: HTTP2FrameHeader, _ payload: Range<Int>
    ) throws(HTTP2Failure) -> Range<Int> {
        guard frame.has(Flag.padded) else { return payload }
        guard !payload.isEmpty else { throw Self.wrongSize(frame) }
        let padding = Int(input[payload.lowerBound])
        guard padding < payload.count else {
            throw HTTP2Failure(.protocolError, "the padding of \(frame.name) exceeds the frame")
        }
        return payload.lowerBound + 1..<payload.upperBound - padding
    }

    static func wrongSize(_ frame: HTTP2FrameHeader) -> HTTP2Failure {
        HTTP2Failure(
            .frameSizeError, "\(frame.name) has \(frame.length) bytes, which is not its size")
    }

    static func wrongStream(_ frame: HTTP2FrameHeader) -> HTTP2Failure {
        HTTP2Failure(
            .protocolError,
            frame.stream == 0
                ? "\(frame.name) belongs to a stream, and came without one"
                : "\(frame.name) belongs to the connection, and came on stream \(frame.stream)")
    }

    /// Whether nobody has opened a stream of this id yet.
    func isIdle(_ id: UInt32) -> Bool {
        let isClients = id % 2 == 1
        if role == .client { return isClients ? id >= nextStream : true }
        return isClients ? id > lastPeerStream : true
    }

    func checkNotIdle(_ frame: HTTP2FrameHeader) throws(HTTP2Failure) {
        guard frame.stream > 0 else { throw Self.wrongStream(frame) }
        guard !isIdle(frame.stream) else {
            throw HTTP2Failure(
                .protocolError,
                "\(frame.name) came on stream \(frame.stream), which nobody has opened")
        }
    }

    // MARK: DATA

    private mutating func takeData(
        _ frame: HTTP2FrameHeader, _ payload: Range<Int>, at now: Instant
    ) throws(HTTP2Failure) {
        try checkNotIdle(frame)
        let body = try unpadded(frame, payload)
        let ends = frame.has(Flag.endStream)
        giveBack(frame.length, at: now)
        if body.isEmpty, !ends { try spendIdle("empty DATA", at: now) }
        guard let index = index(of: frame.stream) else {
            return try takeLate(frame, at: now)
        }
        do {
            try count(frame, body.count, ends, index)
        } catch { return try breakOff(frame.stream, error, at: now) }
        streams[index].unreturned += frame.length - body.count
        if ends { streams[index].isRemoteOpen = false }
        if !body.isEmpty || ends {
            events.append(.data(stream: frame.stream, Array(input[body]), ends: ends))
        }
        returnWindow(index, at: now)
        if ends { removeIfEnded(index, at: now) }
    }

    /// Counts a piece of body against window and declared length.
    private mutating func count(
        _ frame: HTTP2FrameHeader, _ body: Int, _ ends: Bool, _ index: Int
    ) throws(HTTP2Failure) {
        guard streams[index].isRemoteOpen else {
            throw HTTP2Failure(.streamClosed, "DATA came after the stream's end")
        }
        guard streams[index].hasHead else {
            throw HTTP2Failure(.protocolError, "DATA came before the fields of the message")
        }
        guard frame.length <= streams[index].receiveWindow else {
            throw HTTP2Failure(.flowControlError, "DATA exceeds the stream's window")
        }
        streams[index].receiveWindow -= frame.length
        streams[index].received += body
        try streams[index].checkLength(ends: ends)
    }

    /// A frame for a stream that is over.
    mutating func takeLate(
        _ frame: HTTP2FrameHeader, at now: Instant
    ) throws(HTTP2Failure) {
        switch recent.ending(of: frame.stream) {
        case .ourReset: return
        case .finished:
            throw HTTP2Failure(
                .streamClosed, "\(frame.name) came on stream \(frame.stream), which has ended")
        // Without an entry it is too long ago to know how it ended.
        case .theirReset, nil:
            try spendReset(at: now)
            append(at: now) { Self.writeReset(frame.stream, .streamClosed, to: &$0) }
        }
    }

    // MARK: Streams

    private mutating func takePriority(
        _ frame: HTTP2FrameHeader, _ payload: Range<Int>, at now: Instant
    ) throws(HTTP2Failure) {
        guard frame.stream > 0 else { throw Self.wrongStream(frame) }
        guard frame.length == 5 else {
            let failure = Self.wrongSize(frame)
            return isIdle(frame.stream) ? () : try breakOff(frame.stream, failure, at: now)
        }
        if readUInt32(input, at: payload.lowerBound) & 0x7fff_ffff == frame.stream {
            let failure = HTTP2Failure(.protocolError, "a stream depends on itself")
            return isIdle(frame.stream) ? () : try breakOff(frame.stream, failure, at: now)
        }
        try spendIdle("PRIORITY", at: now)
    }

    private mutating func takeReset(
        _ frame: HTTP2FrameHeader, _ payload: Range<Int>, at now: Instant
    ) throws(HTTP2Failure) {
        guard frame.length == 4 else { throw Self.wrongSize(frame) }
        try checkNotIdle(frame)
        try spendReset(at: now)
        guard let index = index(of: frame.stream) else { return }
        let code = HTTP2Code(rawValue: readUInt32(input, at: payload.lowerBound))
        let failure = HTTP2Failure(code, "the other side broke the stream off")
        remove(index, .theirReset, at: now)
        events.append(
            .reset(
                stream: frame.stream,
                HTTP2Reset(failure, isOurs: false, isUnprocessed: code == .refusedStream)))
    }

    private mutating func takeWindowUpdate(
        _ frame: HTTP2FrameHeader, _ payload: Range<Int>, at now: Instant
    ) throws(HTTP2Failure) {
        guard frame.length == 4 else { throw Self.wrongSize(frame) }
        let increment = Int(readUInt32(input, at: payload.lowerBound) & 0x7fff_ffff)
        if frame.stream == 0 {
            guard increment > 0 else {
                throw HTTP2Failure(.protocolError, "WINDOW_UPDATE adds nothing")
            }
            sendWindow += increment
            guard sendWindow <= Self.largestWindow else {
                throw HTTP2Failure(.flowControlError, "the connection's window exceeds 2^31 - 1")
            }
            return
        }
        try checkNotIdle(frame)
        guard let index = index(of: frame.stream) else {
            return try spendIdle(frame.name, at: now)
        }
        guard increment > 0 else {
            let failure = HTTP2Failure(.protocolError, "WINDOW_UPDATE adds nothing")
            return try breakOff(frame.stream, failure, at: now)
        }
        streams[index].sendWindow += increment
        guard streams[index].sendWindow <= Self.largestWindow else {
            let failure = HTTP2Failure(.flowControlError, "the stream's window exceeds 2^31 - 1")
            return try breakOff(frame.stream, failure, at: now)
        }
        enqueue(index)
    }

    // MARK: The connection

    private mutating func takePing(
        _ frame: HTTP2FrameHeader, _ payload: Range<Int>, at now: Instant
    ) throws(HTTP2Failure) {
        guard frame.stream == 0 else { throw Self.wrongStream(frame) }
        guard frame.length == 8 else { throw Self.wrongSize(frame) }
        let start = payload.lowerBound
        let value =
            UInt64(readUInt32(input, at: start)) << 32 | UInt64(readUInt32(input, at: start + 4))
        try spendIdle(frame.name, at: now)
        if !frame.has(Flag.ack) {
            append(at: now) { Self.writePing(value, isAnswer: true, to: &$0) }
        } else if value == Self.goAwayPing, stage == .draining, promised == .max {
            let last = lastPeerStream
            promised = last
            if !streams.isEmpty {
                append(at: now) { Self.writeGoAway(last, .noError, "", to: &$0) }
            }
        }
    }

    private mutating func takeGoAway(
        _ frame: HTTP2FrameHeader, _ payload: Range<Int>, at now: Instant
    ) throws(HTTP2Failure) {
        guard frame.stream == 0 else { throw Self.wrongStream(frame) }
        guard frame.length >= 8 else { throw Self.wrongSize(frame) }
        try spendIdle(frame.name, at: now)
        let last = readUInt32(input, at: payload.lowerBound) & 0x7fff_ffff
        let code = HTTP2Code(rawValue: readUInt32(input, at: payload.lowerBound + 4))
        if let before = peerGoAway, last > before.last {
            throw HTTP2Failure(.protocolError, "a second GOAWAY takes more streams than the first")
        }
        let words = String(decoding: input[payload.dropFirst(8)].prefix(200), as: UTF8.self)
        let failure = HTTP2Failure(
            code, "the other side ends the connection" + (words.isEmpty ? "" : ": " + words))
        if peerGoAway == nil { events.append(.goAway(failure)) }
        peerGoAway = (last, failure)
        guard role == .client else { return }
        stage = .draining
        while let stream = streams.last, stream.id > last {
            remove(streams.count - 1, .theirReset, at: now)
            events.append(
                .reset(
                    stream: stream.id, HTTP2Reset(failure, isOurs: false, isUnprocessed: true)))
        }
    }

    private mutating func takeSettings(
        _ frame: HTTP2FrameHeader, _ payload: Range<Int>, at now: Instant
    ) throws(HTTP2Failure) {
        guard frame.stream == 0 else { throw Self.wrongStream(frame) }
        if frame.has(Flag.ack) {
            guard frame.length == 0 else { throw Self.wrongSize(frame) }
            try spendIdle("an acknowledgement of SETTINGS", at: now)
            return acknowledged()
        }
        guard frame.length % 6 == 0 else { throw Self.wrongSize(frame) }
        if hasPeerSettings { try spendIdle(frame.name, at: now) }
        hasPeerSettings = true
        for start in stride(from: payload.lowerBound, to: payload.upperBound, by: 6) {
            let name = UInt16(input[start]) << 8 | UInt16(input[start + 1])
            try apply(name, Int(readUInt32(input, at: start + 2)))
        }
        append(at: now) {
            HTTP2FrameHeader(length: 0, kind: Kind.settings, flags: Flag.ack, stream: 0)
                .write(to: &$0)
        }
    }

    private mutating func apply(_ name: UInt16, _ value: Int) throws(HTTP2Failure) {
        switch name {
        case HTTP2Setting.headerTableSize: encoder.setTableLimit(value)
        case HTTP2Setting.enablePush:
            guard value == 0 || value == 1 && role == .server else {
                throw HTTP2Failure(.protocolError, "SETTINGS_ENABLE_PUSH may not be \(value)")
            }
        case HTTP2Setting.maxConcurrentStreams: peerStreams = value
        case HTTP2Setting.initialWindowSize:
            guard value <= Self.largestWindow else {
                throw HTTP2Failure(
                    .flowControlError, "SETTINGS_INITIAL_WINDOW_SIZE exceeds 2^31 - 1")
            }
            let change = value - peerWindow
            peerWindow = value
            for index in streams.indices {
                streams[index].sendWindow += change
                guard streams[index].sendWindow <= Self.largestWindow else {
                    throw HTTP2Failure(
                        .flowControlError,
                        "SETTINGS_INITIAL_WINDOW_SIZE takes a stream's window above 2^31 - 1")
                }
                enqueue(index)
            }
        case HTTP2Setting.maxFrameSize:
            guard 16_384...16_777_215 ~= value else {
                throw HTTP2Failure(
                    .protocolError,
                    "SETTINGS_MAX_FRAME_SIZE is \(value); 16384 to 16777215 are allowed")
            }
            peerFrameLimit = value
        default: break
        }
    }

    /// What we asked for holds from now on.
    private mutating func acknowledged() {
        guard !isAcknowledged else { return }
        isAcknowledged = true
        decoder.setTableLimit(limits.fieldTable)
        let surplus = max(Self.initialWindow - limits.streamWindow, 0)
        for index in streams.indices { streams[index].receiveWindow -= surplus }
    }
}

extension HTTP2Stream {
    /// Throws when the body is not as long as its content-length says (RFC 9113 section 8.1.1).
    func checkLength(ends: Bool) throws(HTTP2Failure) {
        let most = isBodiless ? 0 : expected ?? .max
        guard received <= most, !ends || isBodiless || expected == nil || received == expected
        else {
            throw HTTP2Failure(
                .protocolError,
                isBodiless
                    ? "the answer has a body where none can be"
                    : "the body has \(received) bytes, and content-length says \(most)")
        }
    }
}
