// Lists, and the pieces in which they leave.

extension API {
    mutating func listJobs(
        _ call: Call, _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        let filter = try JobFilter(call.query)
        let sort = try JobSort(call.query)
        let isDescending = try call.isDescending() ?? false
        try startStream(
            call, .jobs(filter, sort, isDescending: isDescending), context, &actions)
    }

    mutating func listExecutions(
        _ call: Call, _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        let (_, state) = try stored(call.job, context)
        let sort = try ExecutionSort(call.query)
        let isDescending = try call.isDescending() ?? true
        try startStream(
            call, .executions(call.job, state.generation, sort, isDescending: isDescending),
            context, &actions)
    }

    mutating func showExecution(
        _ call: Call, _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        let (_, key) = try execution(call, context)
        try startStream(call, .execution(call.job, key), context, &actions)
    }

    mutating func listTicks(
        _ call: Call, _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        let (document, state) = try stored(call.job, context)
        let from = try call.time("from") ?? .distantPast
        let to = try call.time("to") ?? .distantFuture
        guard from <= to else {
            throw .parameter("from", "The parameter from lies after the parameter to.")
        }
        try startStream(call, .ticks(document, state, from: from, to: to), context, &actions)
    }

    mutating func deleteExecutions(
        _ call: Call, _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        _ = try stored(call.job, context)
        try propose(
            .deleteExecutions(call.job), .deleteExecutions(call.job), call, &actions)
    }

    // MARK: Streams

    mutating func startStream(
        _ call: Call, _ source: ListStream.Source, _ context: APIContext,
        _ actions: inout [APIAction]
    ) throws(APIError) {
        guard streams.count < Limit.streams else { throw .busy }
        let stream = try ListStream(call, source, context)
        try wait(call.id, for: .stream)
        streams[call.id] = stream
        advanceStream(call.id, context, &actions)
    }

    mutating func advanceStream(
        _ id: RequestID, _ context: APIContext, _ actions: inout [APIAction]
    ) {
        // Taken out while it works, so that nothing it holds is copied.
        guard var stream = streams.remove(id) else { return }
        switch stream.advance(context) {
        case .again:
            stream.awaits = .slice
            enqueue(id)
        case .read(let file, let offset, let length):
            stream.awaits = .read
            let ticket = makeTicket(for: id)
            actions.append(.read(ticket, .read(file, offset: offset, length: length)))
        case .piece(let bytes, let last):
            stream.awaits = .drain
            if send(bytes, last: last, &stream, context, &actions) {
                pending.remove(id)
                return finish(stream)
            }
        }
        streams[id] = stream
    }

    /// Ends a list: what it holds is freed in slices.
    mutating func finish(_ stream: consuming ListStream) {
        if !stream.discard() { finished.append(stream) }
    }

    /// Sends a piece; true when it was the last. A list of one piece goes out whole.
    private func send(
        _ bytes: [UInt8], last: Bool, _ stream: inout ListStream, _ context: APIContext,
        _ actions: inout [APIAction]
    ) -> Bool {
        let call = stream.call
        if stream.hasBegun {
            actions.append(.respondChunk(call.id, bytes, last: last))
            return last
        }
        stream.hasBegun = true
        var answer = Answer(200)
        if last { answer.body = .bytes(bytes) }
        if stream.hasTotal { answer.headers.append("X-Total-Count", "\(stream.total)") }
        let response = answer.response(
            to: call.request, isKnown: true, context, index: stream.store.appliedIndex)
        actions.append(.respond(call.id, response))
        if last { return true }
        actions.append(.mark(.responseStreamed))
        // The answer to HEAD ends with its header.
        actions.append(.respondChunk(call.id, call.isHead ? [] : bytes, last: call.isHead))
        return call.isHead
    }
}
