/// Everything a node can want from the world, performed in the order in which it was emitted.
///
/// An effect that relies on something being durable is emitted only after the storage completion
/// for it came in as an input: the driver never has to hold anything back. What is large and rare
/// lies apart, so that the small and frequent are cheap to hand on.
package enum Effect: Sendable {
    /// The answer to a request. A response whose body is a stream is followed by `respondChunk`s.
    case respond(RequestID, HTTPResponse)
    /// The next piece of a streamed body. After a piece that is not the last, wait for `drained`.
    case respondChunk(RequestID, [UInt8], last: Bool)
    /// Close the client's connection in the middle of a streamed body: what it has is not all.
    case abort(RequestID)
    /// Bring a message to another node of the cluster, or lose it.
    case send(ServerID, [UInt8])
    /// Messages to this node go to this address from now on, and who did not reach it there tries
    /// again at once; nil: it is gone, forget it.
    case reach(ServerID, at: GossipAddress?)
    /// The cluster that this node belongs to: connections with nodes of others are refused. Told
    /// once, as soon as it is known.
    case belong(to: String)
    /// Send a packet of gossip, or lose it.
    case packet(to: GossipAddress, [UInt8])
    /// Connect, send the message, receive one; ends with one `Input.exchange`, unless it is closed
    /// before.
    case exchange(GossipExchange, to: GossipAddress, [UInt8])
    /// Nothing more is heard of an exchange of ours.
    case closeExchange(GossipExchange)
    /// The answer to an exchange that another node began, after which its connection ends; nil: it
    /// gets none.
    case answerExchange(GossipRequest, [UInt8]?)
    /// Change the keys that seal gossip; answered by `Input.keysChanged`.
    case changeKeys(GossipKeyRequest)
    /// Look up the addresses of a host; answered by `Input.resolved`.
    case resolve(String)
    case store(StorageTicket, StorageOperation)
    /// Start a run under the supervisor.
    indirect case start(RunSpec)
    /// Take up a run that an earlier life of this agent started (answered like `start`, from the
    /// beginning of the output that the supervisor still has).
    case adopt(ExecutionID, ProcessIdentity?)
    /// End the whole tree of a run: the polite signal, then after its grace the deadly one.
    case stop(ExecutionID)
    /// The result of an ended run is safe; the supervisor may forget it.
    case release(ExecutionID)
    /// Read these secrets, as they are on this machine now; answered by `Input.secrets`.
    case readSecrets(ExecutionID, [String])
    /// Send an HTTP request and judge its answer.
    indirect case call(HTTPCall)
    /// Speak with a server of another protocol; told as of calls.
    indirect case converse(ConversationCall)
    /// Have a plugin carry out an execution; told as of calls.
    indirect case execute(PluginCall)
    /// Run a processor; answered by one `Input.processed`, unless it is abandoned before.
    indirect case process(ProcessorRun)
    /// Nothing more is heard of a run of a processor. What it has done is done.
    case abandonProcessor(ProcessorRunID)
    /// End a call: its connection is closed. One that has ended already is none.
    case hangUp(ExecutionID)
    /// Fences of all fenced runs and calls count from `ago` before now.
    case renewFences(ago: Duration)
    case loadZone(String)
    /// Look how full the disk of the data directory is; answered by `Input.disk`.
    case measureDisk
    case log(LogRecord)
    /// The node has finished stopping; the process should end with status 0.
    case exit
    /// The node can't go on without risking what it promised. Nothing further may be performed.
    case halt(String)
}

/// One line for the person on call.
package struct LogRecord: Hashable, Sendable {
    package enum Level: UInt8, Comparable, Sendable, CaseIterable {
        case debug, info, warning, error

        package static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }
    }
    package struct Field: Hashable, Sendable {
        package var name: String
        package var value: String

        package init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }
    package var level: Level
    package var message: String
    package var fields: [Field]

    package init(_ level: Level, _ message: String, _ fields: [Field] = []) {
        self.level = level
        self.message = message
        self.fields = fields
    }
}
