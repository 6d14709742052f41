// Requests on their way to a node and answers on their way back.

import Core

extension World {
    /// Queues a request; the client sends it when it is done with what it is at.
    @discardableResult
    mutating func submit(_ draft: Plan.Draft, client: Int, isProbe: Bool = false) -> Int {
        var operation = Operation(draft: draft, client: client, target: draft.target)
        operation.isProbe = isProbe
        operations.append(operation)
        clients[client].queue.append(operations.count - 1)
        if clients[client].current == nil {
            queue.push(.clientTurn(client), at: time, lane: Lane.client(client))
        }
        return operations.count - 1
    }

    mutating func beginNextOperation(_ client: Int) {
        guard clients[client].current == nil, !clients[client].queue.isEmpty else { return }
        let index = clients[client].queue.removeFirst()
        clients[client].current = index
        clients[client].retriesLeft =
            operations[index].isProbe ? 1_000 : parameters.clientRetries
        operations[index].sentAt = time
        operations[index].target = resolved(operations[index].draft.target, client)
        operations[index].outcome = .open
        send(client, index)
    }

    /// Puts what the client knows in the place of `{last:JOB}`.
    private func resolved(_ target: String, _ client: Int) -> String {
        guard let open = target.firstIndex(of: "{"), let close = target.firstIndex(of: "}") else {
            return target
        }
        let job = String(target[open..<close].dropFirst("{last:".count))
        let execution =
            clients[client].lastExecution[job]
            ?? runLog.runs.last {
                $0.job == job
            }?.execution
        return target[..<open] + (execution ?? "0-nobody") + target[target.index(after: close)...]
    }

    private mutating func send(_ client: Int, _ index: Int) {
        operations[index].attempts += 1
        statistics.requests += 1
        let attempt = operations[index].attempts
        let latency = clients[client].draws.exponential(parameters.clientLatency)
        queue.push(
            .arrival(client: client, operation: index, attempt: attempt), at: time + latency,
            lane: Lane.client(client))
        queue.push(
            .clientTimeout(client: client, operation: index, attempt: attempt),
            at: time + parameters.clientTimeout, lane: Lane.client(client))
    }

    mutating func arrive(_ client: Int, _ index: Int, _ attempt: Int) {
        guard operations[index].attempts == attempt, clients[client].current == index else {
            return
        }
        let node = server(for: client, attempt)
        guard nodes[node].isRunning else {
            // Connection refused: certainly not done.
            return turnedAway(client, index)
        }
        let id = RequestID(nodes[node].nextRequest)
        nodes[node].nextRequest += 1
        nodes[node].requests[id] = VirtualNode.OpenRequest(
            client: client, operation: index,
            floor: checkers.floor(of: operations[index], at: node))
        var headers = HTTPHeaders()
        headers.append("Host", "\(nodes[node].name):8080")
        for header in operations[index].draft.headers {
            headers.append(header.name, header.value)
        }
        let body = Array(operations[index].draft.body.utf8)
        if !body.isEmpty, !headers.contains("Content-Type") {
            headers.append("Content-Type", "application/json")
        }
        let request = HTTPRequest(
            method: HTTPMethod(operations[index].draft.method), target: operations[index].target,
            headers: headers, body: body, clientAddress: "10.0.0.\(client + 1)")
        checkers.didArrive(operations[index], index)
        offer(.request(id, request), to: node, life: nodes[node].incarnation)
    }

    /// Where a client turns: mostly to the server it turned to before, and after a failure to any.
    private mutating func server(for client: Int, _ attempt: Int) -> Int {
        guard servers.count > 1 else { return 0 }
        if attempt > 1 || clients[client].servers.chance(1, 4) {
            let candidates = servers.filter { !phases.outcasts.contains($0) }
            clients[client].server = clients[client].servers.element(candidates)
        }
        return clients[client].server % servers.count
    }

    // MARK: Answers

    mutating func respond(_ node: Int, _ id: RequestID, _ response: HTTPResponse) {
        guard let request = nodes[node].requests[id] else {
            return fail(.A6, "an answer to request \(id.number), which nobody waits for")
        }
        if request.isAbandoned { return }
        guard request.response == nil else {
            return fail(.A6, "a second answer to request \(id.number)")
        }
        switch response.body {
        case .stream:
            nodes[node].requests[id]!.response = response
            // Unless a piece follows in the same step, the head leaves by itself.
            loneHeads.append(id)
        case .bytes(let bytes):
            nodes[node].requests[id] = nil
            deliver(request, from: node, response, bytes)
        }
    }

    mutating func respond(_ node: Int, _ id: RequestID, _ bytes: [UInt8], last: Bool) {
        guard var request = nodes[node].requests[id], let response = request.response else {
            if nodes[node].requests[id]?.isAbandoned ?? false { return }
            return fail(.A6, "a piece of an answer to request \(id.number) that has no beginning")
        }
        if request.isAbandoned { return }
        loneHeads.removeAll { $0 == id }
        request.body += bytes
        if last {
            nodes[node].requests[id] = nil
            deliver(request, from: node, response, request.body)
        } else {
            nodes[node].requests[id] = request
            drain(node, id, request.client)
        }
    }

    /// A connection is closed in the middle of an answer.
    mutating func abort(_ node: Int, _ id: RequestID) {
        guard let request = nodes[node].requests.removeValue(forKey: id) else {
            return fail(.A6, "the end of request \(id.number), which nobody waits for")
        }
        loneHeads.removeAll { $0 == id }
        if request.isAbandoned { return }
        let attempt = operations[request.operation].attempts
        queue.push(
            .reply(
                client: request.client, operation: request.operation, attempt: attempt, nil),
            at: time + parameters.clientLatency, lane: Lane.client(request.client))
    }

    /// What was sent leaves for the client.
    private mutating func drain(_ node: Int, _ id: RequestID, _ client: Int) {
        let delay = clients[client].draws.exponential(parameters.clientLatency)
        queue.push(
            .input(node: node, life: nodes[node].incarnation, .drained(id)),
            at: time + delay, lane: Lane.client(client))
    }

    /// Heads that a step sent without a piece behind them.
    mutating func drainLoneHeads(_ node: Int) {
        for id in loneHeads {
            if let request = nodes[node].requests[id] { drain(node, id, request.client) }
        }
        loneHeads.removeAll(keepingCapacity: true)
    }

    private mutating func deliver(
        _ request: VirtualNode.OpenRequest, from node: Int, _ response: HTTPResponse,
        _ body: [UInt8]
    ) {
        let reply = Reply(
            status: response.status,
            index: response.headers["X-Dkron-Index"].flatMap { UInt64($0) },
            headers: response.headers, body: body)
        checkers.didAnswer(
            operations[request.operation], reply, by: node, arrivedAfter: request.floor, at: time)
        checkers.didAnswerReader(operations[request.operation], reply, runLog, at: time)
        if case .stream = response.body, operations[request.operation].isBackup {
            checkers.didTakeBackup(body, at: reply.index ?? 0)
        }
        let attempt = operations[request.operation].attempts
        let latency = clients[request.client].draws.exponential(parameters.clientLatency)
        queue.push(
            .reply(
                client: request.client, operation: request.operation, attempt: attempt, reply),
            at: time + latency, lane: Lane.client(request.client))
    }

    /// An answer, or nil for a connection that was reset.
    mutating func receive(_ client: Int, _ index: Int, _ attempt: Int, _ reply: Reply?) {
        guard operations[index].attempts == attempt, clients[client].current == index else {
            return
        }
        guard let reply else {
            operations[index].hadUnknownAttempt = true
            if operations[index].isRepeatable, retryLater(client, index) { return }
            return conclude(client, index, .unknown)
        }
        trace.note(
            time, "client \(client)",
            "← \(reply.status) for \(operations[index].draft.method) "
                + operations[index].target)
        if reply.isUnknown { operations[index].hadUnknownAttempt = true }
        if reply.status == 503, operations[index].isRepeatable || operations[index].isProbe,
            retryLater(client, index)
        {
            return
        }
        learn(client, reply)
        conclude(client, index, .answered(reply))
    }

    private mutating func turnedAway(_ client: Int, _ index: Int) {
        if retryLater(client, index) { return }
        conclude(client, index, operations[index].hadUnknownAttempt ? .unknown : .unreachable)
    }

    private mutating func retryLater(_ client: Int, _ index: Int) -> Bool {
        guard clients[client].retriesLeft > 0 else { return false }
        clients[client].retriesLeft -= 1
        let delay = clients[client].draws.duration(.milliseconds(200), .seconds(3))
        operations[index].attempts += 1
        let attempt = operations[index].attempts
        queue.push(
            .arrival(client: client, operation: index, attempt: attempt), at: time + delay,
            lane: Lane.client(client))
        queue.push(
            .clientTimeout(client: client, operation: index, attempt: attempt),
            at: time + delay + parameters.clientTimeout, lane: Lane.client(client))
        return true
    }

    mutating func loseClientPatience(_ client: Int, _ index: Int, _ attempt: Int) {
        guard operations[index].attempts == attempt, clients[client].current == index else {
            return
        }
        // A probe waits for as long as the phase that sent it allows.
        guard !operations[index].isProbe else { return }
        abandon(index)
        operations[index].hadUnknownAttempt = true
        conclude(client, index, .unknown)
    }

    /// Tells the node that nobody waits any more.
    private mutating func abandon(_ index: Int) {
        for node in nodes.indices {
            guard
                let id = nodes[node].requests.first(where: { $0.value.operation == index })?.key
            else { continue }
            nodes[node].requests[id]!.isAbandoned = true
            offer(.requestAbandoned(id), to: node, life: nodes[node].incarnation)
        }
    }

    private mutating func conclude(_ client: Int, _ index: Int, _ outcome: Operation.Outcome) {
        operations[index].outcome = outcome
        operations[index].doneAt = time
        clients[client].current = nil
        if operations[index].isAcknowledged { statistics.acknowledged += 1 }
        if trace.keepsText, operations[index].reply == nil {
            trace.note(
                time, "client \(client)",
                "✗ \(outcome) for \(operations[index].draft.method) "
                    + operations[index].target)
        }
        checkers.didConclude(operations[index], index, at: time)
        if !clients[client].queue.isEmpty {
            queue.push(
                .clientTurn(client), at: time + clients[client].draws.exponential(.milliseconds(5)),
                lane: Lane.client(client))
        }
    }

    /// Remembers executions that an answer named.
    private mutating func learn(_ client: Int, _ reply: Reply) {
        guard reply.status == 200, let json = NaiveJSON(reply.body), let items = json.items else {
            return
        }
        for item in items.prefix(8).reversed() {
            guard let job = item["job_name"]?.text, let id = item["id"]?.text else { continue }
            clients[client].lastExecution[job] = id
        }
    }
}
