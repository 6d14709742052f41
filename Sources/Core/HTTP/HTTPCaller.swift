// The client's side of HTTP/1.1 as a state machine: it decides when a name is looked up, which
// connection is opened, used again or closed, what is sent, and what an answer means. Sockets are
// somebody else's matter, in production the adapter's and in a simulation the world's.
//
//   begin ─► waiting ─► resolving ─► connecting ─► sending ─► head ─► body ─► ended
//                │                    │      ▲        ▲          └► draining ─► the next URL
//                │            tunnelling, securing    │
//                └────── a kept connection ───────────┘
//
// A call holds at most one connection. Open connections, kept ones included, have a limit; calls
// beyond it wait in order and have not started. Every phase can time out, and so can the whole.

/// Names a call within one caller; never used twice.
package typealias HTTPCallNumber = UInt64

package struct HTTPCaller: Sendable {
    package enum Action: Hashable, Sendable {
        case socket(SocketAction)
        case news(HTTPCallNumber, News)
    }

    /// What happens to a call, in this order; `ended` comes last and once.
    package enum News: Hashable, Sendable {
        /// It waits no longer.
        case started
        /// A request goes out: the first, one more after a redirect, or again after a kept
        /// connection turned out to be closed.
        case sending(HTTPExchange)
        case redirected(HTTPResponseHead)
        case head(HTTPResponseHead)
        case body([UInt8])
        case ended(Ending)
    }

    package enum Ending: Hashable, Sendable {
        /// The answer is whole.
        case answered
        /// A sentence without its full stop that names host and port.
        case failed(String)
        /// As `failed`; the time-out of the whole was over.
        case timedOut(String)
        /// The fence was not renewed in time.
        case fenced
        case cancelled
    }

    package struct Limits: Hashable, Sendable {
        /// Connections open at the same time, kept ones included.
        package var connections = 512
        /// Connections kept for later, of all servers and of one. As many as may be open: calls of
        /// a burst end together, and those that wait take their connections a moment later.
        package var kept = 512
        package var keptPerServer = 512
        /// How long one is kept. Servers close theirs after five seconds and more.
        package var keptFor = Duration.seconds(4)
        package var redirects = 10
        package var resolving = Duration.seconds(10)
        /// For one address, the agreement about TLS included.
        package var connecting = Duration.seconds(10)
        /// While sending, for each stretch in which the server takes nothing.
        package var stalling = Duration.seconds(30)
        /// Bytes of a redirecting answer that are read to keep its connection.
        package var redirectBody = 64 << 10
        package var response = HTTPResponseLimits()

        package init() { response.body = 64 << 20 }
    }

    enum Phase {
        case waiting
        case resolving
        case connecting
        /// A proxy was asked for a tunnel.
        case tunnelling
        /// The proxy has made the tunnel, and TLS is agreed about with the server behind it.
        case securing
        case sending(left: Int)
        case head
        case body
        case draining(HTTPExchange, bytes: Int)
    }

    struct Call {
        var exchange: HTTPExchange
        let timeout: Duration?
        let fence: Duration?
        /// From when the fence counts at the earliest: it may end a call that still waits.
        let askedAt: Instant
        var phase = Phase.waiting
        var startedAt = Instant.distantFuture
        var phaseEndsAt = Instant.distantFuture
        /// The earliest look at it that is in the heap.
        var armedAt = Instant.distantFuture
        var connection: ConnectionNumber?
        var isConnectionReused = false
        /// The answer came before the whole request had left.
        var isConnectionSpoiled = false
        /// Addresses not tried yet, the next one last.
        var addresses: [String] = []
        var redirects = 0
        var parser = HTTPResponseParser()
    }

    struct Kept {
        var connection: ConnectionNumber
        var route: String
        var peer: TLSPeer?
        var until: Instant
    }

    struct Look: Comparable {
        var at: Instant
        var call: HTTPCallNumber

        static func < (a: Look, b: Look) -> Bool { (a.at, a.call) < (b.at, b.call) }
    }

    let limits: Limits
    var calls: [HTTPCallNumber: Call] = [:]
    /// Whose a connection is. Kept ones belong to nobody.
    var owners: [ConnectionNumber: HTTPCallNumber] = [:]
    /// Kept connections, the oldest first.
    var kept: [Kept] = []
    var waiting = RingBuffer<HTTPCallNumber>()
    /// Calls that wait for the addresses of a host.
    var resolving: [String: [HTTPCallNumber]] = [:]
    var looks = MinHeap<Look>()
    /// Calls that are under way.
    package internal(set) var activeCount = 0
    /// Connections opened so far.
    package internal(set) var openedCount: UInt64 = 0
    var nextConnection: ConnectionNumber = 1
    private var fencesFrom = Instant.zero

    package init(limits: Limits = Limits()) {
        invariant(limits.connections > 0, "a caller may open a connection")
        self.limits = limits
    }

    /// Calls that wait for others to end.
    package var waitingCount: Int { calls.count - activeCount }
    package var keptCount: Int { kept.count }

    package var nextDeadline: Instant? {
        let look = looks.first?.at ?? .distantFuture
        let soonest = min(look, kept.first?.until ?? .distantFuture)
        return soonest == .distantFuture ? nil : soonest
    }

    // MARK: Requests

    /// - Parameters:
    ///   - timeout: for the whole, counted from `started`.
    ///   - fence: ends the call, begun or not, so long after the later of now and the last renewal.
    package mutating func begin(
        _ number: HTTPCallNumber, _ exchange: HTTPExchange, timeout: Duration?,
        fence: Duration? = nil, at now: Instant, into actions: inout [Action]
    ) {
        invariant(calls[number] == nil, "a call begins once")
        calls[number] = Call(exchange: exchange, timeout: timeout, fence: fence, askedAt: now)
        waiting.append(number)
        startWaiting(at: now, into: &actions)
        if case .waiting? = calls[number]?.phase { arm(number) }
    }

    package mutating func cancel(
        _ number: HTTPCallNumber, at now: Instant, into actions: inout [Action]
    ) {
        end(number, .cancelled, at: now, into: &actions)
    }

    package mutating func renewFences(ago: Duration, at now: Instant) {
        fencesFrom = max(fencesFrom, Instant(nanoseconds: now.nanoseconds - ago.nanoseconds))
    }

    // MARK: Time

    /// Does what is due. Early, late and repeated calls are harmless.
    package mutating func deadline(at now: Instant, into actions: inout [Action]) {
        while let oldest = kept.first, oldest.until <= now {
            kept.removeFirst()
            actions.append(.socket(.close(oldest.connection)))
        }
        while let look = looks.first, look.at <= now {
            _ = looks.popFirst()
            guard let call = calls[look.call], call.armedAt == look.at else { continue }
            calls[look.call]?.armedAt = .distantFuture
            if now >= deadline(of: call) {
                expire(look.call, call, at: now, into: &actions)
            } else {
                arm(look.call)
            }
        }
    }

    /// Sees to it that the call is looked at when something of it may be over.
    mutating func arm(_ number: HTTPCallNumber) {
        guard let call = calls[number] else { return }
        let at = deadline(of: call)
        guard at < call.armedAt else { return }
        calls[number]?.armedAt = at
        looks.insert(Look(at: at, call: number))
    }

    private func deadline(of call: Call) -> Instant {
        min(call.phaseEndsAt, end(of: call), fenceEnd(of: call))
    }

    private func end(of call: Call) -> Instant {
        call.timeout.map { call.startedAt + $0 } ?? .distantFuture
    }

    private func fenceEnd(of call: Call) -> Instant {
        guard let fence = call.fence else { return .distantFuture }
        return max(call.askedAt, fencesFrom) + fence
    }

    private mutating func expire(
        _ number: HTTPCallNumber, _ call: Call, at now: Instant, into actions: inout [Action]
    ) {
        let server = call.exchange.url.authority
        let next = call.exchange.nextName
        if now >= fenceEnd(of: call) { return end(number, .fenced, at: now, into: &actions) }
        if now >= end(of: call), let timeout = call.timeout {
            let time = DurationText.print(timeout)
            let what =
                switch call.phase {
                case .waiting, .resolving: "the address of \(next) was not found"
                case .connecting: "\(next) did not accept the connection"
                case .tunnelling: "\(next) made no tunnel to \(server)"
                case .securing: "\(server) did not accept the connection"
                case .sending: "\(server) did not take the whole request"
                case .head: "\(server) did not answer"
                case .body, .draining: "the answer of \(server) was not complete"
                }
            let sentence = "\(what) within the time-out of \(time)"
            return end(number, .timedOut(sentence), at: now, into: &actions)
        }
        switch call.phase {
        case .connecting, .tunnelling, .securing:
            let time = DurationText.print(limits.connecting)
            connectionFailed(
                number, "no answer to the attempt to connect within \(time)", at: now,
                into: &actions)
        case .resolving:
            let time = DurationText.print(limits.resolving)
            fail(
                number,
                "the name servers did not answer within \(time) for the address of \(next)",
                at: now, into: &actions)
        case .sending:
            let time = DurationText.print(limits.stalling)
            fail(
                number, "\(server) took no byte of the request for \(time)", at: now,
                into: &actions)
        case .waiting, .head, .body, .draining:
            invariant(false, "these phases have no end of their own")
        }
    }
}
