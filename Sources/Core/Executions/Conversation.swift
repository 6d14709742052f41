// Executors that speak with one server at a time: what they are asked to do, and their protocols as
// values that know nothing of sockets, names or clocks.

/// A server that a conversation may be held with.
package struct ConversationServer: Hashable, Sendable {
    /// A name or IP text.
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
    package var name: String { host.utf8.contains(0x3a) ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// What a conversation wants, in order.
package enum ConversationStep: Hashable, Sendable {
    case send([UInt8])
    /// From here on the connection speaks TLS; `opened` follows once more.
    case secure(TLSPeer)
    case output([UInt8])
    /// This server won't do, for this reason, and nothing was asked of it: the next one is tried.
    case leave(reason: String)
    /// It is over: a sentence without the full stop, or nothing for a success.
    case end(error: String)
}

/// One attempt to get something done by a server: a protocol's client as a state machine.
package protocol Conversation: Sendable {
    /// In the order in which they are tried.
    var servers: [ConversationServer] { get }
    /// Whether the server may already do what it was asked for, so that it must not be asked again.
    var isCommitted: Bool { get }

    /// A connection with one of the servers is there, or has got TLS.
    mutating func opened(_ server: ConversationServer, into steps: inout [ConversationStep])
    mutating func received(_ bytes: [UInt8], into steps: inout [ConversationStep])
}

/// What a conversation is to be about.
package enum ConversationTask: Hashable, Sendable {
    case nats(NATSJob)

    func begin(_ execution: ExecutionID) -> any Conversation {
        switch self {
        case .nats(let job): NATSConversation(job, execution)
        }
    }
}

/// One execution's attempt.
package struct ConversationCall: Hashable, Sendable {
    package var execution: ExecutionID
    package var task: ConversationTask
    /// For the whole, from `started` on.
    package var timeout: Duration?
    /// Ends the call (fencing) this long after the last `renewFences`; nil for those not fenced.
    package var fence: Duration?

    package init(
        execution: ExecutionID, task: ConversationTask, timeout: Duration?, fence: Duration?
    ) {
        self.execution = execution
        self.task = task
        self.timeout = timeout
        self.fence = fence
    }
}
