// The output of an execution by itself: whole, or followed while it is printed.

/// One request that follows one execution.
struct Follower: Hashable, Comparable {
    var key: ExecutionKey
    var request: RequestID

    static func < (a: Self, b: Self) -> Bool { (a.key, a.request) < (b.key, b.request) }
}

extension API {
    mutating func showOutput(
        _ call: Call, _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        let (execution, key) = try execution(call, context)
        let isEvents = call.request.headers.list("Accept", contains: "text/event-stream")
        let follows = try call.follows() ?? isEvents
        var resumesAt: UInt64?
        if isEvents, let last = call.request.headers["Last-Event-ID"], !last.isEmpty {
            if last == "end" {
                // The client has everything; this is how it is told to stop coming back.
                return respond(call, Answer(204, text: ""), context, &actions)
            }
            guard let offset = UInt64(last) else {
                throw .parameter(
                    "Last-Event-ID",
                    "The header Last-Event-ID is the id of an event of this stream, not"
                        + " \"\(last)\".")
            }
            resumesAt = offset
        }
        if call.isHead {
            let answer = Answer(200, streamOf: Self.contentType(isEvents && follows))
            respond(call, answer, context, &actions)
            return actions.append(.respondChunk(call.id, [], last: true))
        }
        guard outputs.count < Limit.outputs else { throw .busy }
        let stream = OutputStream(
            call, key, isEvents && follows ? .events : .text, follows: follows,
            resumesAt: resumesAt)
        try wait(call.id, for: .output)
        outputs[call.id] = stream
        if follows {
            followers[Follower(key: key, request: call.id)] = ()
            if nextBeat == nil { nextBeat = context.now.monotonic + Limit.beat }
        }
        advanceOutput(call.id, context, &actions)
        // The header leaves at once, however long the first byte takes.
        if follows, !execution.state.isEnded { beginOutput(call.id, context, &actions) }
    }

    private static func contentType(_ isEvents: Bool) -> String {
        isEvents ? "text/event-stream; charset=utf-8" : "text/plain; charset=utf-8"
    }

    // MARK: News

    /// Whether somebody follows the execution. O(log followers).
    func isFollowed(_ key: ExecutionKey) -> Bool {
        followers.first(atOrAfter: Follower(key: key, request: RequestID(0)))?.key.key == key
    }

    /// The execution has printed something, or has ended: whoever follows it is sent what is new,
    /// if what was sent before has left.
    mutating func outputChanged(
        _ key: ExecutionKey, _ context: APIContext, into actions: inout [APIAction]
    ) {
        lastEvent = context.now.monotonic
        var place = Follower(key: key, request: RequestID(0))
        while let entry = followers.first(atOrAfter: place), entry.key.key == key {
            place = Follower(key: key, request: RequestID(entry.key.request.number + 1))
            outputs.update(entry.key.request) { $0.look(context) }
            guard outputs[entry.key.request]?.awaits == .news else { continue }
            advanceOutput(entry.key.request, context, &actions)
        }
    }

    /// Shows those that wait for news that the server is still there.
    mutating func beat(_ context: APIContext, _ actions: inout [APIAction]) {
        guard let due = nextBeat, due <= context.now.monotonic else { return }
        nextBeat = followers.isEmpty ? nil : context.now.monotonic + Limit.beat
        for (follower, _) in followers {
            guard let stream = outputs[follower.request], stream.awaits == .news,
                stream.hasBegun, stream.format == .events
            else { continue }
            outputs.update(follower.request) { $0.awaits = .drain }
            actions.append(.respondChunk(follower.request, OutputStream.beat, last: false))
        }
    }

    // MARK: Sending

    mutating func advanceOutput(
        _ id: RequestID, _ context: APIContext, _ actions: inout [APIAction]
    ) {
        // Taken out while it works, so that nothing it holds is copied.
        guard var stream = outputs.remove(id) else { return }
        switch stream.advance(context) {
        case .wait: stream.awaits = .news
        case .ask:
            stream.awaits = .news
            followers[Follower(key: stream.key, request: id)] = ()
            actions.append(.mirror(stream.key))
        case .read(let file, let offset, let length):
            stream.awaits = .read
            let ticket = makeTicket(for: id)
            actions.append(.read(ticket, .read(file, offset: offset, length: length)))
        case .failed(let problem):
            forget(stream)
            let error =
                switch problem {
                case .unreadable:
                    APIError(
                        503, "output_unreadable",
                        "A part of the execution's stored output can't be read from the disk.")
                case .dropped:
                    APIError(
                        410, "output_dropped",
                        "The execution's output is not stored any more: the oldest go when all"
                            + " together pass --history-max-bytes.")
                }
            return respond(
                stream.call, Answer(error, layout: stream.call.layout), context, &actions)
        case .piece(let bytes, let last):
            stream.awaits = .drain
            if stream.hasBegun || !last { begin(&stream, context, &actions) }
            if stream.hasBegun {
                actions.append(.respondChunk(id, bytes, last: last))
            } else {
                var answer = head(of: stream)
                answer.body = .bytes(bytes)
                respond(stream.call, answer, context, &actions)
            }
            if last { return forget(stream) }
        }
        outputs[id] = stream
    }

    private mutating func beginOutput(
        _ id: RequestID, _ context: APIContext, _ actions: inout [APIAction]
    ) {
        guard var stream = outputs.remove(id) else { return }
        begin(&stream, context, &actions)
        outputs[id] = stream
    }

    private func begin(
        _ stream: inout OutputStream, _ context: APIContext, _ actions: inout [APIAction]
    ) {
        guard !stream.hasBegun else { return }
        stream.hasBegun = true
        actions.append(.mark(.responseStreamed))
        respond(stream.call, head(of: stream), context, &actions)
    }

    private func head(of stream: OutputStream) -> Answer {
        var answer = Answer(200, streamOf: Self.contentType(stream.format == .events))
        if stream.isCut { answer.headers.append("X-Dkron-Output-Truncated", "true") }
        if stream.follows {
            // Proxies must neither keep it nor gather it.
            answer.headers.append("Cache-Control", "no-cache")
            answer.headers.append("X-Accel-Buffering", "no")
        }
        return answer
    }

    /// Ends a stream, answered or abandoned.
    mutating func forget(_ stream: OutputStream) {
        pending.remove(stream.call.id)
        outputs.remove(stream.call.id)
        followers.remove(Follower(key: stream.key, request: stream.call.id))
        if followers.isEmpty { nextBeat = nil }
    }
}

extension Call {
    /// `?follow`, `?follow=true`, `?follow=false`; nil without it.
    fileprivate func follows() throws(APIError) -> Bool? {
        guard query.contains("follow") else { return nil }
        switch query["follow"] ?? "" {
        case "", "true", "1": return true
        case "false", "0": return false
        case let other:
            throw .parameter("follow", "The parameter follow is true or false, not \"\(other)\".")
        }
    }
}
