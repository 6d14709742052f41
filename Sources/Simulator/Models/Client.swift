// Clients: people and programs that talk HTTP, lose patience, try again, and remember exactly what
// they were told. To them unknown never means no.

import Core

/// What a client got for a request.
struct Reply: Sendable {
    var status: Int
    /// The index in `X-Dkron-Index`, where there is one.
    var index: UInt64?
    var headers: HTTPHeaders
    var body: [UInt8]

    /// The request was refused for certain: it does not take effect any more.
    var isRefusal: Bool { status >= 400 && !isUnknown }

    /// Nobody can tell whether the request takes effect.
    var isUnknown: Bool {
        status == 503 && NaiveJSON(body)?["code"]?.text == "outcome_unknown"
    }
}

/// One thing that a client wants, with all its attempts.
struct Operation: Sendable {
    enum Outcome: Sendable {
        case waiting
        case open
        case answered(Reply)
        /// Every attempt was turned away before it reached a server.
        case unreachable
        /// Nobody said whether it took effect.
        case unknown
    }

    let draft: Plan.Draft
    let client: Int
    var target: String
    var outcome = Outcome.waiting
    /// When the first attempt was sent and when the client knew, or gave up.
    var sentAt = TrueTime.zero
    var doneAt = TrueTime.max
    var attempts = 0
    /// An attempt before the last may have taken effect.
    var hadUnknownAttempt = false
    /// Sent by the harness itself to find out, not by the plan.
    var isProbe = false

    var isWrite: Bool {
        draft.method != "GET" && draft.method != "HEAD" && draft.method != "OPTIONS"
    }
    /// Any server answers it from what it knows itself.
    var isLocal: Bool {
        let path = target.prefix { $0 != "?" }
        if isWrite { return false }
        guard path.hasPrefix("/v1/") else { return true }
        return target.holds("stale")
            || ["/v1/members", "/v1/leader", "/v1/isleader"].contains { path == $0 }
    }
    var isBackup: Bool { target == "/v1/backup" && draft.method == "GET" }
    var isRepeatable: Bool {
        !isWrite || draft.method == "PUT"
            || draft.headers.contains { $0.name == "Idempotency-Key" }
    }
    var isDone: Bool {
        switch outcome {
        case .waiting, .open: false
        case .answered, .unreachable, .unknown: true
        }
    }
    var reply: Reply? {
        if case .answered(let reply) = outcome { return reply }
        return nil
    }
    /// Acknowledged with success.
    var isAcknowledged: Bool { reply.map { (200..<300).contains($0.status) } ?? false }
}

struct Client: Sendable {
    let index: Int
    /// Operations not begun, oldest first.
    var queue: [Int] = []
    var current: Int?
    var retriesLeft = 0
    var draws: DrawStream
    /// Which server it turns to next.
    var servers: DrawStream
    var server: Int
    /// The newest execution of each job that this client has heard of.
    var lastExecution: [String: String] = [:]

    init(index: Int, draws: Draws) {
        self.index = index
        self.draws = draws.stream("client/\(index)")
        servers = draws.stream("client/\(index)/server")
        server = index
    }
}

extension String {
    /// Byte by byte: the library's own search minds what Unicode calls equal, and takes long.
    func holds(_ word: String) -> Bool {
        let (text, wanted) = (Array(utf8), Array(word.utf8))
        guard text.count >= wanted.count else { return false }
        return (0...text.count - wanted.count).contains {
            text[$0..<$0 + wanted.count].elementsEqual(wanted)
        }
    }
}
