// Field lists: what opens streams, answers them, and ends them (RFC 9113 sections 4.3, 6.2 and 8).

extension HTTP2Connection {
    private typealias Flag = HTTP2FrameHeader.Flag

    mutating func takeHeaders(
        _ frame: HTTP2FrameHeader, _ payload: Range<Int>, at now: Instant
    ) throws(HTTP2Failure) {
        guard frame.stream > 0 else { throw Self.wrongStream(frame) }
        var fragment = try unpadded(frame, payload)
        if frame.has(Flag.priority) {
            guard fragment.count >= 5 else { throw Self.wrongSize(frame) }
            // What it says is ignored, even that a stream depends on itself.
            fragment = fragment.dropFirst(5)
        }
        try checkTarget(frame)
        let ends = frame.has(Flag.endStream)
        if frame.has(Flag.endHeaders) {
            try takeBlock(frame.stream, ends, fragment, at: now)
        } else {
            block = HTTP2Block(stream: frame.stream, ends: ends, bytes: Array(input[fragment]))
        }
    }

    mutating func takeContinuation(
        _ frame: HTTP2FrameHeader, _ payload: Range<Int>, at now: Instant
    ) throws(HTTP2Failure) {
        guard var open = block else {
            throw HTTP2Failure(.protocolError, "CONTINUATION came without a beginning")
        }
        block = nil
        open.frames += 1
        guard open.frames <= limits.fieldFrames,
            open.bytes.count + frame.length <= limits.fieldBytes
        else {
            throw HTTP2Failure(
                .enhanceYourCalm,
                "a field list exceeds \(limits.fieldBytes) bytes or \(limits.fieldFrames) frames")
        }
        open.bytes.append(contentsOf: input[payload])
        guard frame.has(Flag.endHeaders) else { return block = open }
        let list = try Self.decode(open.bytes.span, &decoder, limits.fieldBytes)
        try take(list, on: open.stream, open.ends, at: now)
    }

    /// Refuses fields for a stream that can't have any, before the block is read.
    private func checkTarget(_ frame: HTTP2FrameHeader) throws(HTTP2Failure) {
        if role == .client { return try checkNotIdle(frame) }
        guard frame.stream % 2 == 1 else {
            throw HTTP2Failure(
                .protocolError, "the client opens stream \(frame.stream), and its ids must be odd")
        }
        if frame.stream <= lastPeerStream, index(of: frame.stream) == nil,
            recent.ending(of: frame.stream) == nil
        {
            throw HTTP2Failure(
                .protocolError,
                "the client opens stream \(frame.stream) after stream \(lastPeerStream)")
        }
    }

    private mutating func takeBlock(
        _ stream: UInt32, _ ends: Bool, _ fragment: Range<Int>, at now: Instant
    ) throws(HTTP2Failure) {
        let bytes = input
        let list = try Self.decode(
            bytes.span.extracting(fragment), &decoder, limits.fieldBytes)
        try take(list, on: stream, ends, at: now)
    }

    /// Nil for a list beyond the limit.
    private static func decode(
        _ block: Span<UInt8>, _ decoder: inout HPACKDecoder, _ limit: Int
    ) throws(HTTP2Failure) -> HTTP2Fields? {
        do {
            let (fields, isWhole) = try decoder.decode(block, sizeLimit: limit)
            return isWhole ? HTTP2Fields(fields) : nil
        } catch { throw HTTP2Failure(.compressionError, error.description) }
    }

    private mutating func take(
        _ list: HTTP2Fields?, on stream: UInt32, _ ends: Bool, at now: Instant
    ) throws(HTTP2Failure) {
        let isNew = role == .server && stream > lastPeerStream
        if isNew {
            lastPeerStream = stream
            // The client learns from our GOAWAY that nothing was done for it.
            guard stream <= promised else { return recent.append(stream, .ourReset) }
        } else if index(of: stream) == nil {
            return try takeLate(
                HTTP2FrameHeader(
                    length: 0, kind: HTTP2FrameHeader.Kind.headers, flags: 0, stream: stream),
                at: now)
        }
        guard let list else {
            let failure = HTTP2Failure(
                .enhanceYourCalm, "the field list exceeds \(limits.fieldBytes) bytes")
            return try breakOff(stream, failure, at: now)
        }
        if isNew, streams.count >= limits.streams {
            let failure = HTTP2Failure(
                .refusedStream, "more than \(limits.streams) streams at a time")
            return try breakOff(stream, failure, at: now)
        }
        do {
            if isNew {
                try list.check(.request)
                var new = newStream(stream)
                new.expected = try list.contentLength()
                new.hasHead = true
                if ends { try new.checkLength(ends: true) }
                streams.append(new)
            } else if let index = index(of: stream) {
                try takeMore(list, index, ends, at: now)
            }
        } catch { return try breakOff(stream, error, at: now) }
        guard let index = index(of: stream) else { return }
        if isNew { events.append(.head(stream: stream, list, ends: ends)) }
        if ends {
            streams[index].isRemoteOpen = false
            removeIfEnded(index, at: now)
        }
    }

    /// An answer's fields, or those behind a body.
    private mutating func takeMore(
        _ list: HTTP2Fields, _ index: Int, _ ends: Bool, at now: Instant
    ) throws(HTTP2Failure) {
        let id = streams[index].id
        guard streams[index].isRemoteOpen else {
            throw HTTP2Failure(.streamClosed, "HEADERS came after the stream's end")
        }
        if streams[index].hasHead {
            guard ends else {
                throw HTTP2Failure(.protocolError, "fields behind the body must end the stream")
            }
            try list.check(.trailers)
            try streams[index].checkLength(ends: true)
            return events.append(.trailers(stream: id, list))
        }
        try list.check(.response)
        let status = list.status ?? 0
        if status < 200 {
            guard !ends, status != 101 else {
                throw HTTP2Failure(
                    .protocolError,
                    status == 101
                        ? "the status 101 does not exist in HTTP/2"
                        : "an answer ends with the status \(status), which is not final")
            }
            try spendIdle("an answer that is not final", at: now)
            return events.append(.interim(stream: id, list))
        }
        streams[index].hasHead = true
        streams[index].expected = try list.contentLength()
        if status == 204 || status == 304 { streams[index].isBodiless = true }
        if ends { try streams[index].checkLength(ends: true) }
        events.append(.head(stream: id, list, ends: ends))
    }

    func newStream(_ id: UInt32) -> HTTP2Stream {
        // Until our settings are acknowledged the other side may go by the initial window.
        let window =
            isAcknowledged ? limits.streamWindow : max(limits.streamWindow, Self.initialWindow)
        return HTTP2Stream(id: id, sendWindow: peerWindow, receiveWindow: window)
    }
}
