// Executors that speak with one server at a time: what they are asked to do, and their protocols as
// values that know nothing of sockets, names or clocks.

/// A server that a conversation may be held with.
package struct ConversationServer: Hashable, Sendable {
    /// A name or IP text; or the path of a socket in the file system, which begins with a slash.
    package var host: String
    package var port: UInt16
    /// TLS from the first byte on; nil: plain bytes, at least to begin with.
    package var tls: TLSPeer?

    package init(host: String, port: UInt16, tls: TLSPeer? = nil) {
        self.host = host
        self.port = port
        self.tls = tls
    }

    /// For messages.
    package var name: String {
        if isLocal { return host }
        return host.utf8.contains(0x3a) ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
    /// It is a socket in the file system.
    var isLocal: Bool { host.utf8.first == UInt8(ascii: "/") }
}

/// What a conversation wants, in order.
package enum ConversationStep: Hashable, Sendable {
    case send([UInt8])
    /// From here on the connection speaks TLS; `opened` follows once more.
    case secure(TLSPeer)
    case output([UInt8])
    /// Another server has to be asked; the connection is closed, and `opened` follows. If it can't
    /// be reached the conversation goes on with those of `servers` that were not tried yet.
    case move(to: ConversationServer)
    /// Nothing is expected of the server for so long; `resumed` follows. The connection, if there
    /// is one, stays open until the server ends it.
    case wait(Duration)
    /// This server won't do, for this reason, and nothing was asked of it: the next one is tried.
    case leave(reason: String)
    /// The outcome stands: a sentence without the full stop, or nothing for a success. What
    /// follows is cleaning up, until `end`.
    case conclude(error: String, exitCode: Int32?)
    /// It is over: a sentence without the full stop, or nothing for a success. Where the outcome
    /// stood before, what became of the cleaning up, if that is worth a word.
    case end(error: String)
}

/// One attempt to get something done by a server: a protocol's client as a state machine.
package protocol Conversation: Sendable {
    /// In the order in which they are tried; if there is none, `exhausted` comes first.
    var servers: [ConversationServer] { get }
    /// Whether a server may already do what it was asked for, so that it must not be asked again.
    var isCommitted: Bool { get }
    /// It may be asked again all the same: it would know that as the same request.
    var mayRepeat: Bool { get }
    /// How long cleaning up may take once the outcome stands. Zero: there is nothing to clean up,
    /// and an end from outside is the end.
    var farewell: Duration { get }
    /// What has not happened if a time-out comes now; nil: the server's answer.
    var pending: String? { get }
    /// What may be left behind if the farewell's time is over now: a sentence.
    var remains: String { get }

    /// A connection with one of the servers is there, or has got TLS.
    mutating func opened(
        _ server: ConversationServer, at now: Now, into steps: inout [ConversationStep])
    mutating func received(
        _ bytes: [UInt8], at now: Now, into steps: inout [ConversationStep])
    /// The server has closed the connection. Without a step that is an error.
    mutating func closed(at now: Now, into steps: inout [ConversationStep])
    /// The connection has taken so many of the bytes that were to be sent.
    mutating func wrote(_ count: Int, at now: Now, into steps: inout [ConversationStep])
    /// A `wait` is over.
    mutating func resumed(at now: Now, into steps: inout [ConversationStep])
    /// Every server was tried in vain, the last one for this reason. No connection is there: the
    /// step is `move`, `wait` or `end`.
    mutating func exhausted(
        reason: String, at now: Now, into steps: inout [ConversationStep])
    /// It was ended from outside, and its farewell begins. Without a step it goes on as it was.
    mutating func interrupted(
        _ cause: CallEnd.Cause, at now: Now, into steps: inout [ConversationStep])
}

extension Conversation {
    package var mayRepeat: Bool { false }
    package var farewell: Duration { .zero }
    package var pending: String? { nil }
    package var remains: String { "" }

    package mutating func closed(at now: Now, into steps: inout [ConversationStep]) {}
    package mutating func wrote(
        _ count: Int, at now: Now, into steps: inout [ConversationStep]
    ) {}

    package mutating func resumed(at now: Now, into steps: inout [ConversationStep]) {}

    package mutating func exhausted(
        reason: String, at now: Now, into steps: inout [ConversationStep]
    ) {
        steps.append(.end(error: reason))
    }

    package mutating func interrupted(
        _ cause: CallEnd.Cause, at now: Now, into steps: inout [ConversationStep]
    ) {}
}

/// What an executor or a processor that converses wants done.
package protocol ConversationJob: Hashable, Sendable {
    /// Of the whole attempt; greater than zero, nil is none.
    var timeout: Duration? { get }

    /// - Parameter host: the machine that the attempt is made on.
    func begin(_ attempt: ConversationCall, on host: any ExecutorHost) -> any Conversation
}

/// What a conversation is to be about.
package enum ConversationTask: Hashable, Sendable {
    case docker(DockerJob)
    case ecs(ECSJob)
    case gcppubsub(PubSubJob)
    case kafka(KafkaJob)
    case nats(NATSJob)
    case rabbitmq(AMQPJob)
    case grpc(GRPCJob)
    case syslog(SyslogDelivery)
    case mail(MailDelivery)

    var job: any ConversationJob {
        switch self {
        case .docker(let job): job
        case .ecs(let job): job
        case .gcppubsub(let job): job
        case .kafka(let job): job
        case .nats(let job): job
        case .rabbitmq(let job): job
        case .grpc(let job): job
        case .syslog(let delivery): delivery
        case .mail(let delivery): delivery
        }
    }
}

/// One execution's attempt.
package struct ConversationCall: Hashable, Sendable {
    package var execution: ExecutionID
    package var task: ConversationTask
    /// What the peer may be told of the attempt: its id, group, number, instant and job.
    package var identity: [EnvironmentEntry]
    /// Ends the call (fencing) this long after the last `renewFences`; nil for those not fenced.
    package var fence: Duration?
    /// An earlier life of the agent began it. What it started then goes on or has ended, and is to
    /// be found, not started again.
    package var isResumed: Bool

    package init(
        execution: ExecutionID, task: ConversationTask, identity: [EnvironmentEntry] = [],
        fence: Duration?, isResumed: Bool = false
    ) {
        self.isResumed = isResumed
        self.execution = execution
        self.task = task
        self.identity = identity
        self.fence = fence
    }

    /// For the whole, from `started` on.
    package var timeout: Duration? { task.job.timeout }

    func begin(on host: any ExecutorHost) -> any Conversation {
        task.job.begin(self, on: host)
    }
}
