// What the connection's user does: opening, answering, sending, consuming, breaking off.

extension HTTP2Connection {
    private typealias Kind = HTTP2FrameHeader.Kind
    private typealias Flag = HTTP2FrameHeader.Flag

    // MARK: For the user

    /// Opens a stream with a request. `canOpen` must be true. Throws when the fields are malformed,
    /// and opens nothing then.
    package mutating func open(
        _ request: HTTP2Fields, ends: Bool, at now: Instant
    ) throws(HTTP2Failure) -> UInt32 {
        invariant(canOpen, "a stream is opened only where there is room for it")
        try request.check(.request)
        let id = nextStream
        nextStream += 2
        var stream = newStream(id)
        stream.hasSentHead = true
        stream.isLocalOpen = !ends
        stream.isBodiless = request.method == "HEAD"
        streams.append(stream)
        writeFields(request, on: id, ends: ends, at: now)
        return id
    }

    /// Answers a request, with a status below 200 as often as wanted and then once. False if the
    /// stream is gone or has been answered. Throws when the fields are malformed, and sends
    /// nothing then.
    @discardableResult
    package mutating func respond(
        _ stream: UInt32, _ answer: HTTP2Fields, ends: Bool, at now: Instant
    ) throws(HTTP2Failure) -> Bool {
        try answer.check(.response)
        guard role == .server, let index = index(of: stream), !streams[index].hasSentHead else {
            return false
        }
        let isInterim = answer.status ?? 0 < 200
        streams[index].hasSentHead = !isInterim
        writeFields(answer, on: stream, ends: ends && !isInterim, at: now)
        if ends, !isInterim { endLocal(stream, at: now) }
        return true
    }

    /// Appends to the body of a stream. It takes everything; see `hasRoom`. False if the stream is
    /// gone or this side of it has ended.
    @discardableResult
    package mutating func send(
        _ stream: UInt32, _ bytes: [UInt8], ends: Bool, at now: Instant
    ) -> Bool {
        guard let index = sendable(stream) else { return false }
        if streams[index].outbox.isEmpty {
            streams[index].outbox = bytes
        } else {
            streams[index].outbox += bytes
        }
        if ends { streams[index].end = .body }
        if streams[index].unsent >= limits.unsentStream { streams[index].owesWritable = true }
        finishOrEnqueue(index, at: now)
        pump(at: now)
        return true
    }

    /// Ends this side of a stream with fields behind the body. False as `send`. Throws when the
    /// fields are malformed, and sends nothing then.
    @discardableResult
    package mutating func sendTrailers(
        _ stream: UInt32, _ fields: HTTP2Fields, at now: Instant
    ) throws(HTTP2Failure) -> Bool {
        try fields.check(.trailers)
        guard let index = sendable(stream) else { return false }
        streams[index].end = .trailers(fields)
        finishOrEnqueue(index, at: now)
        return true
    }

    /// Whether a stream's body should go on: little enough of it waits. When it says no, an event
    /// tells when there is room again.
    package func hasRoom(_ stream: UInt32) -> Bool {
        guard let index = index(of: stream) else { return false }
        return streams[index].unsent < limits.unsentStream
    }

    /// Gives back the room that `count` bytes of received body took. More than came is an error of
    /// the caller's and lets the other side send more than it should.
    package mutating func consume(_ stream: UInt32, _ count: Int, at now: Instant) {
        guard count > 0, let index = index(of: stream) else { return }
        streams[index].unreturned += count
        returnWindow(index, at: now)
    }

    /// Breaks a stream off. Nothing happens if it is gone.
    package mutating func reset(_ stream: UInt32, _ code: HTTP2Code, at now: Instant) {
        guard let index = index(of: stream) else { return }
        remove(index, .ourReset, at: now)
        append(at: now) { Self.writeReset(stream, code, to: &$0) }
        endIfDone(at: now)
    }

    // MARK: Streams

    /// The place of an open stream. Complexity: O(log streams).
    func index(of id: UInt32) -> Int? {
        var low = 0
        var high = streams.count
        while low < high {
            let middle = (low + high) / 2
            if streams[middle].id < id { low = middle + 1 } else { high = middle }
        }
        return low < streams.count && streams[low].id == id ? low : nil
    }

    private func sendable(_ id: UInt32) -> Int? {
        guard let index = index(of: id), streams[index].isLocalOpen, streams[index].hasSentHead,
            streams[index].end == nil
        else { return nil }
        return index
    }

    mutating func remove(_ index: Int, _ ending: HTTP2RecentStreams.Ending, at now: Instant) {
        recent.append(streams[index].id, ending)
        streams.remove(at: index)
        idleSince = now
    }

    mutating func removeIfEnded(_ index: Int, at now: Instant) {
        if !streams[index].isLocalOpen, !streams[index].isRemoteOpen {
            remove(index, .finished, at: now)
        }
    }

    /// Our side of a stream has ended. A server that is done before the whole request is there
    /// wants no more of it (section 8.1).
    private mutating func endLocal(_ id: UInt32, at now: Instant) {
        guard let index = index(of: id) else { return }
        streams[index].isLocalOpen = false
        if role == .server, streams[index].isRemoteOpen {
            remove(index, .ourReset, at: now)
            append(at: now) { Self.writeReset(id, .noError, to: &$0) }
        } else {
            removeIfEnded(index, at: now)
        }
        endIfDone(at: now)
    }

    /// Breaks off a stream for a fault of the other side's.
    mutating func breakOff(
        _ id: UInt32, _ failure: HTTP2Failure, at now: Instant
    ) throws(HTTP2Failure) {
        try spendReset(at: now)
        if let index = index(of: id) {
            remove(index, .ourReset, at: now)
            events.append(.reset(stream: id, HTTP2Reset(failure, isOurs: true)))
        } else if recent.ending(of: id) == nil {
            recent.append(id, .ourReset)
        }
        append(at: now) { Self.writeReset(id, failure.code, to: &$0) }
    }

    // MARK: Windows

    /// Tells the other side of consumed bytes once they are half of the window, or all of it at
    /// once would be too little.
    mutating func returnWindow(_ index: Int, at now: Instant) {
        let stream = streams[index]
        guard stream.isRemoteOpen, stream.unreturned > 0,
            stream.unreturned * 2 >= limits.streamWindow || stream.receiveWindow <= 0
        else { return }
        streams[index].unreturned = 0
        streams[index].receiveWindow += stream.unreturned
        append(at: now) {
            Self.writeWindowUpdate(stream.id, UInt32(stream.unreturned), to: &$0)
        }
    }

    mutating func giveBack(_ count: Int, at now: Instant) {
        unreturned += count
        guard unreturned * 2 >= max(limits.connectionWindow, Self.initialWindow) else { return }
        let returned = unreturned
        unreturned = 0
        append(at: now) { Self.writeWindowUpdate(0, UInt32(returned), to: &$0) }
    }

    // MARK: Bodies

    /// Lets a stream take its turns if it has something that may leave.
    mutating func enqueue(_ index: Int) {
        guard !streams[index].isQueued, streams[index].unsent > 0, streams[index].sendWindow > 0
        else { return }
        streams[index].isQueued = true
        ready.append(streams[index].id)
    }

    private mutating func finishOrEnqueue(_ index: Int, at now: Instant) {
        if streams[index].unsent > 0 { return enqueue(index) }
        finish(index, at: now)
    }

    /// Ends this side of a stream whose body has left.
    private mutating func finish(_ index: Int, at now: Instant) {
        guard let end = streams[index].end else { return }
        let id = streams[index].id
        switch end {
        case .body:
            append(at: now) {
                HTTP2FrameHeader(length: 0, kind: Kind.data, flags: Flag.endStream, stream: id)
                    .write(to: &$0)
            }
        case .trailers(let fields): writeFields(fields, on: id, ends: true, at: now)
        }
        endLocal(id, at: now)
    }

    /// Moves body to the output, a frame of each stream in turn, as far as windows and room allow.
    mutating func pump(at now: Instant) {
        while isReading, output.count - sent < limits.unsent, sendWindow > 0,
            let id = ready.popFirst()
        {
            guard let index = index(of: id) else { continue }
            streams[index].isQueued = false
            let count = min(
                streams[index].unsent, streams[index].sendWindow, sendWindow,
                min(peerFrameLimit, Self.frameLimit))
            guard count > 0 else { continue }
            var ends = false
            if count == streams[index].unsent, case .body? = streams[index].end { ends = true }
            if !hasOutgoing { sentAt = now }
            HTTP2FrameHeader(
                length: count, kind: Kind.data, flags: ends ? Flag.endStream : 0, stream: id
            ).write(to: &output)
            let start = streams[index].outboxStart
            output.append(contentsOf: streams[index].outbox[start..<start + count])
            streams[index].dropSent(count)
            streams[index].sendWindow -= count
            sendWindow -= count
            if streams[index].owesWritable, streams[index].unsent * 2 < limits.unsentStream {
                streams[index].owesWritable = false
                events.append(.writable(stream: id))
            }
            if ends {
                endLocal(id, at: now)
            } else if streams[index].unsent == 0 {
                finish(index, at: now)
            } else {
                enqueue(index)
            }
        }
    }

    // MARK: Writing

    /// A client's preface, the settings of both roles, and the connection's window.
    mutating func writePreface() {
        if role == .client { output += Self.preface }
        var settings: [(UInt16, Int)] = [
            (HTTP2Setting.maxConcurrentStreams, limits.streams),
            (HTTP2Setting.initialWindowSize, limits.streamWindow),
            (HTTP2Setting.maxHeaderListSize, limits.fieldBytes),
        ]
        // A client's streams are never the server's.
        if role == .client { settings[0] = (HTTP2Setting.enablePush, 0) }
        if limits.fieldTable != 4_096 {
            settings.append((HTTP2Setting.headerTableSize, limits.fieldTable))
        }
        HTTP2FrameHeader(length: settings.count * 6, kind: Kind.settings, flags: 0, stream: 0)
            .write(to: &output)
        for (name, value) in settings {
            output.append(UInt8(truncatingIfNeeded: name >> 8))
            output.append(UInt8(truncatingIfNeeded: name))
            appendUInt32(UInt32(truncatingIfNeeded: value), to: &output)
        }
        if limits.connectionWindow > Self.initialWindow {
            let more = UInt32(limits.connectionWindow - Self.initialWindow)
            Self.writeWindowUpdate(0, more, to: &output)
        }
    }

    /// A field list as HEADERS and, if it is long, CONTINUATION.
    private mutating func writeFields(
        _ fields: HTTP2Fields, on stream: UInt32, ends: Bool, at now: Instant
    ) {
        guard stage != .closed else { return }
        if !hasOutgoing { sentAt = now }
        let start = output.count
        let header = HTTP2FrameHeader.size
        output.append(contentsOf: repeatElement(0, count: header))
        encoder.encode(fields.list, to: &output)
        let length = output.count - start - header
        let limit = min(peerFrameLimit, Self.frameLimit)
        let flags = ends ? Flag.endStream : 0
        if length <= limit {
            return Self.patch(
                HTTP2FrameHeader(
                    length: length, kind: Kind.headers, flags: flags | Flag.endHeaders,
                    stream: stream), at: start, in: &output)
        }
        let block = output[(start + header)...]
        var place = block.startIndex
        var frames: [UInt8] = []
        while place < block.endIndex {
            let end = min(place + limit, block.endIndex)
            let isFirst = place == block.startIndex
            HTTP2FrameHeader(
                length: end - place, kind: isFirst ? Kind.headers : Kind.continuation,
                flags: (isFirst ? flags : 0) | (end == block.endIndex ? Flag.endHeaders : 0),
                stream: stream
            ).write(to: &frames)
            frames += block[place..<end]
            place = end
        }
        output.replaceSubrange(start..., with: frames)
    }

    private static func patch(
        _ header: HTTP2FrameHeader, at start: Int, in output: inout [UInt8]
    ) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(HTTP2FrameHeader.size)
        header.write(to: &bytes)
        for index in bytes.indices { output[start + index] = bytes[index] }
    }

    static func writeReset(_ stream: UInt32, _ code: HTTP2Code, to output: inout [UInt8]) {
        HTTP2FrameHeader(length: 4, kind: Kind.reset, flags: 0, stream: stream).write(to: &output)
        appendUInt32(code.rawValue, to: &output)
    }

    static func writePing(_ value: UInt64, isAnswer: Bool, to output: inout [UInt8]) {
        HTTP2FrameHeader(
            length: 8, kind: Kind.ping, flags: isAnswer ? Flag.ack : 0, stream: 0
        ).write(to: &output)
        appendUInt32(UInt32(truncatingIfNeeded: value >> 32), to: &output)
        appendUInt32(UInt32(truncatingIfNeeded: value), to: &output)
    }

    static func writeWindowUpdate(
        _ stream: UInt32, _ increment: UInt32, to output: inout [UInt8]
    ) {
        HTTP2FrameHeader(length: 4, kind: Kind.windowUpdate, flags: 0, stream: stream)
            .write(to: &output)
        appendUInt32(increment, to: &output)
    }

    static func writeGoAway(
        _ last: UInt32, _ code: HTTP2Code, _ words: String, to output: inout [UInt8]
    ) {
        let words = Array(words.utf8.prefix(200))
        HTTP2FrameHeader(length: 8 + words.count, kind: Kind.goAway, flags: 0, stream: 0)
            .write(to: &output)
        appendUInt32(last, to: &output)
        appendUInt32(code.rawValue, to: &output)
        output += words
    }
}
