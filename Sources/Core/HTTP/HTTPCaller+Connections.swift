// Connections and what comes over them.

extension HTTPCaller {
    /// Takes news of the network. News of what is no longer wanted is passed over.
    package mutating func take(
        _ event: SocketEvent, at now: Instant, into actions: inout [Action]
    ) {
        switch event {
        case .resolved(let host, let addresses, let problem):
            for number in resolving.removeValue(forKey: host) ?? [] {
                guard let call = calls[number], case .resolving = call.phase,
                    call.exchange.nextHost == host
                else { continue }
                calls[number]?.addresses = addresses.reversed()
                let reason = problem.isEmpty ? "it has no address" : problem
                connect(number, otherwise: reason, at: now, into: &actions)
            }
        case .opened(let connection):
            guard let number = owners[connection], let call = calls[number] else { return }
            if case .connecting = call.phase, call.exchange.needsTunnel {
                requestTunnel(number, call.exchange, on: connection, into: &actions)
            } else {
                send(number, on: connection, at: now, into: &actions)
            }
        case .wrote(let connection, let count):
            guard let number = owners[connection] else { return }
            wrote(number, count, at: now)
        case .received(let connection, let bytes):
            guard let number = owners[connection] else {
                return dropKept(connection, into: &actions)
            }
            calls[number]?.parser.receive(bytes.span)
            read(number, at: now, into: &actions)
        case .receivedEnd(let connection):
            guard let number = owners[connection] else {
                return dropKept(connection, into: &actions)
            }
            calls[number]?.parser.receiveEnd()
            read(number, at: now, into: &actions)
        case .failed(let connection, let reason):
            guard let number = owners[connection] else {
                return dropKept(connection, into: &actions)
            }
            connectionFailed(number, reason, at: now, into: &actions)
        }
    }

    // MARK: Getting a connection

    /// Starts what waits while there is room.
    mutating func startWaiting(at now: Instant, into actions: inout [Action]) {
        while activeCount < limits.connections, let number = waiting.popFirst() {
            guard calls[number] != nil else { continue }
            activeCount += 1
            calls[number]?.startedAt = now
            actions.append(.news(number, .started))
            approach(number, at: now, into: &actions)
        }
    }

    /// Takes a kept connection, or begins to open one.
    private mutating func approach(
        _ number: HTTPCallNumber, mayReuse: Bool = true, at now: Instant,
        into actions: inout [Action]
    ) {
        guard let call = calls[number] else { return }
        let host = call.exchange.nextHost
        calls[number]?.isConnectionReused = false
        calls[number]?.isConnectionSpoiled = false
        // A kept connection may have been closed by its server already, which shows only after the
        // request has gone: fine for what can be sent again.
        if mayReuse, call.exchange.method.isIdempotent,
            let index = kept.lastIndex(where: {
                $0.route == call.exchange.route && $0.peer == call.exchange.peer
            })
        {
            let connection = kept.remove(at: index).connection
            owners[connection] = number
            calls[number]?.connection = connection
            calls[number]?.isConnectionReused = true
            return send(number, on: connection, at: now, into: &actions)
        }
        if activeCount + kept.count > limits.connections, !kept.isEmpty {
            actions.append(.socket(.close(kept.removeFirst().connection)))
        }
        if IPAddress(text: host) != nil {
            calls[number]?.addresses = [host]
            return connect(number, otherwise: "", at: now, into: &actions)
        }
        enter(.resolving, number, until: now + limits.resolving)
        if resolving[host] == nil { actions.append(.socket(.resolve(host: host))) }
        resolving[host, default: []].append(number)
    }

    /// Tries the next address; without one the call ends, for the reason given.
    private mutating func connect(
        _ number: HTTPCallNumber, otherwise reason: String, at now: Instant,
        into actions: inout [Action]
    ) {
        guard let call = calls[number] else { return }
        guard let address = call.addresses.last else {
            let sentence = "can't connect to \(call.destination): \(reason)"
            return fail(number, sentence, at: now, into: &actions)
        }
        calls[number]?.addresses.removeLast()
        let connection = nextConnection
        nextConnection += 1
        openedCount += 1
        owners[connection] = number
        calls[number]?.connection = connection
        enter(.connecting, number, until: now + limits.connecting)
        actions.append(
            .socket(
                .open(
                    connection, address: address, port: call.exchange.nextPort,
                    tls: call.exchange.needsTunnel ? nil : call.exchange.peer)))
    }

    // MARK: Tunnels

    /// The time for connecting goes on.
    private mutating func requestTunnel(
        _ number: HTTPCallNumber, _ exchange: HTTPExchange, on connection: ConnectionNumber,
        into actions: inout [Action]
    ) {
        // A tunnel's beginning has no body, whatever its head says: as of HEAD.
        calls[number]?.parser = HTTPResponseParser(limits: limits.response, isHead: true)
        calls[number]?.phase = .tunnelling
        actions.append(.socket(.send(connection, exchange.tunnelRequest)))
    }

    private mutating func readTunnel(
        _ number: HTTPCallNumber, at now: Instant, into actions: inout [Action]
    ) {
        guard let call = calls[number], let connection = call.connection,
            let event = calls[number]?.parser.next()
        else { return }
        let (proxy, server) = (call.exchange.nextName, call.exchange.url.authority)
        switch event {
        case .head(let head) where head.status / 100 == 2:
            guard let peer = call.exchange.peer else { return }
            calls[number]?.phase = .securing
            actions.append(.socket(.secure(connection, peer)))
        case .head(let head):
            let reason = "\(head.status) \(head.reason.prefix(100))"
            let sentence = "\(proxy) makes no tunnel to \(server): it answered \(reason)"
            fail(number, sentence, at: now, into: &actions)
        case .failure(let failure):
            fail(number, "\(proxy): \(failure)", at: now, into: &actions)
        case .body, .end: invariant(false, "a head comes first")
        }
    }

    mutating func connectionFailed(
        _ number: HTTPCallNumber, _ reason: String, at now: Instant,
        into actions: inout [Action]
    ) {
        guard let call = calls[number] else { return }
        disconnect(number, into: &actions)
        let server = call.exchange.url.authority
        switch call.phase {
        case .connecting, .tunnelling, .securing:
            connect(number, otherwise: reason, at: now, into: &actions)
        case _ where call.isConnectionReused && !call.parser.hasBegun:
            approach(number, mayReuse: false, at: now, into: &actions)
        default:
            let sentence = "the connection to \(server) failed: \(reason)"
            fail(number, sentence, at: now, into: &actions)
        }
    }

    // MARK: Request and answer

    private mutating func send(
        _ number: HTTPCallNumber, on connection: ConnectionNumber, at now: Instant,
        into actions: inout [Action]
    ) {
        guard let exchange = calls[number]?.exchange else { return }
        let bytes = exchange.bytes
        calls[number]?.parser = HTTPResponseParser(
            limits: limits.response, isHead: exchange.method == .head)
        enter(.sending(left: bytes.count), number, until: now + limits.stalling)
        actions.append(.news(number, .sending(exchange)))
        actions.append(.socket(.send(connection, bytes)))
    }

    private mutating func wrote(_ number: HTTPCallNumber, _ count: Int, at now: Instant) {
        // An answer may come before the whole request has left; then nothing counts it any more.
        guard case .sending(let left) = calls[number]?.phase else { return }
        if count >= left {
            enter(.head, number, until: .distantFuture)
        } else {
            enter(.sending(left: left - count), number, until: now + limits.stalling)
        }
    }

    private mutating func read(
        _ number: HTTPCallNumber, at now: Instant, into actions: inout [Action]
    ) {
        if case .tunnelling = calls[number]?.phase {
            return readTunnel(number, at: now, into: &actions)
        }
        while let event = calls[number]?.parser.next() {
            switch event {
            case .head(let head): take(head, of: number, at: now, into: &actions)
            case .body(let piece):
                if case .draining(let next, let count) = calls[number]?.phase {
                    let sum = count + piece.count
                    calls[number]?.phase = .draining(next, bytes: sum)
                    if sum > limits.redirectBody {
                        disconnect(number, into: &actions)
                        return follow(number, next, at: now, into: &actions)
                    }
                } else {
                    actions.append(.news(number, .body(piece)))
                }
            case .end: return complete(number, at: now, into: &actions)
            case .failure(let failure):
                return answerFailed(number, failure, at: now, into: &actions)
            }
        }
    }

    private mutating func take(
        _ head: HTTPResponseHead, of number: HTTPCallNumber, at now: Instant,
        into actions: inout [Action]
    ) {
        guard let call = calls[number] else { return }
        // What is answered before it was sent to its end leaves the connection in no good state.
        if case .sending = call.phase { calls[number]?.isConnectionSpoiled = true }
        let server = call.exchange.url.authority
        do throws(TextError) {
            guard let next = try call.exchange.redirected(by: head) else {
                enter(.body, number, until: .distantFuture)
                return actions.append(.news(number, .head(head)))
            }
            actions.append(.news(number, .redirected(head)))
            guard call.redirects < limits.redirects else {
                let sentence = "\(server) redirects once more after \(limits.redirects) redirects"
                return fail(number, sentence, at: now, into: &actions)
            }
            enter(.draining(next, bytes: 0), number, until: .distantFuture)
        } catch {
            let sentence = "\(server) redirects to where a request can't go: \(error.message)"
            fail(number, sentence, at: now, into: &actions)
        }
    }

    private mutating func complete(
        _ number: HTTPCallNumber, at now: Instant, into actions: inout [Action]
    ) {
        guard let call = calls[number] else { return }
        if call.parser.leavesConnectionUsable, call.exchange.method.isIdempotent,
            !call.isConnectionSpoiled
        {
            keep(number, call, at: now, into: &actions)
        } else {
            disconnect(number, into: &actions)
        }
        if case .draining(let next, _) = call.phase {
            follow(number, next, at: now, into: &actions)
        } else {
            end(number, .answered, at: now, into: &actions)
        }
    }

    private mutating func follow(
        _ number: HTTPCallNumber, _ next: HTTPExchange, at now: Instant,
        into actions: inout [Action]
    ) {
        calls[number]?.exchange = next
        calls[number]?.redirects += 1
        approach(number, at: now, into: &actions)
    }

    private mutating func answerFailed(
        _ number: HTTPCallNumber, _ failure: HTTPResponseFailure, at now: Instant,
        into actions: inout [Action]
    ) {
        guard let call = calls[number] else { return }
        if failure == .noAnswer, call.isConnectionReused {
            return connectionFailed(number, failure.description, at: now, into: &actions)
        }
        let sentence = "\(call.exchange.url.authority): \(failure)"
        fail(number, sentence, at: now, into: &actions)
    }

    // MARK: Ends

    private mutating func enter(
        _ phase: Phase, _ number: HTTPCallNumber, until end: Instant
    ) {
        calls[number]?.phase = phase
        calls[number]?.phaseEndsAt = end
        arm(number)
    }

    private mutating func keep(
        _ number: HTTPCallNumber, _ call: Call, at now: Instant, into actions: inout [Action]
    ) {
        guard let connection = call.connection else { return }
        owners[connection] = nil
        calls[number]?.connection = nil
        let route = call.exchange.route
        guard kept.count(where: { $0.route == route }) < limits.keptPerServer,
            activeCount + kept.count <= limits.connections
        else { return actions.append(.socket(.close(connection))) }
        if kept.count >= limits.kept {
            actions.append(.socket(.close(kept.removeFirst().connection)))
        }
        kept.append(
            Kept(
                connection: connection, route: route, peer: call.exchange.peer,
                until: now + limits.keptFor))
    }

    private mutating func dropKept(
        _ connection: ConnectionNumber, into actions: inout [Action]
    ) {
        guard let index = kept.firstIndex(where: { $0.connection == connection }) else { return }
        kept.remove(at: index)
        actions.append(.socket(.close(connection)))
    }

    private mutating func disconnect(
        _ number: HTTPCallNumber, into actions: inout [Action]
    ) {
        guard let connection = calls[number]?.connection else { return }
        calls[number]?.connection = nil
        owners[connection] = nil
        actions.append(.socket(.close(connection)))
    }

    mutating func fail(
        _ number: HTTPCallNumber, _ sentence: String, at now: Instant,
        into actions: inout [Action]
    ) {
        end(number, .failed(sentence), at: now, into: &actions)
    }

    mutating func end(
        _ number: HTTPCallNumber, _ ending: Ending, at now: Instant,
        into actions: inout [Action]
    ) {
        guard let call = calls[number] else { return }
        disconnect(number, into: &actions)
        calls[number] = nil
        actions.append(.news(number, .ended(ending)))
        if case .waiting = call.phase { return }
        activeCount -= 1
        startWaiting(at: now, into: &actions)
    }
}

extension HTTPCaller.Call {
    /// Whom a connection is tried with, for messages.
    fileprivate var destination: String {
        guard case .securing = phase else { return exchange.nextName }
        return "\(exchange.url.authority) through \(exchange.nextName)"
    }
}
