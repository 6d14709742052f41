/// Everything that can happen to a node. The driver and the simulator feed these one at a time.
package enum Input: Sendable {
    /// A deadline may have passed. Early, late and repeated calls are harmless.
    case deadline
    /// A whole HTTP request. Answered by exactly one `respond` unless `requestAbandoned` comes
    /// first.
    case request(RequestID, HTTPRequest)
    /// The client went away; nothing more may be sent under this id.
    case requestAbandoned(RequestID)
    /// The pieces sent so far under this id have left; the next `respondChunk` may follow.
    case drained(RequestID)
    /// The one answer to a storage operation.
    case storage(StorageTicket, StorageResult)
    /// News of a run from the supervisor.
    case run(ExecutionID, RunEvent)
    /// News of a call.
    case call(ExecutionID, CallEvent)
    /// The answer to `Effect.readSecrets`.
    case secrets(ExecutionID, SecretsAnswer)
    /// The answer to `Effect.process`.
    case processed(ProcessorRunID, ProcessorOutcome)
    /// The answer to `Effect.loadZone`: the bytes of the zone's file, or nil when there is none.
    case zone(String, [UInt8]?)
    /// The answer to `Effect.measureDisk`.
    case disk(DiskSpace)
    /// A message of another node of the cluster, which has proven to be that node. Messages may be
    /// lost, repeated, late and out of order.
    case peer(ServerID, [UInt8])
    /// A packet of gossip, opened; it may be lost, repeated, late and out of order.
    case packet(from: GossipAddress, [UInt8])
    /// The end of an exchange that `Effect.exchange` began.
    case exchange(GossipExchange, ExchangeEnd)
    /// The whole message of an exchange that another node began; answered by exactly one
    /// `Effect.answerExchange`.
    case exchangeRequest(GossipRequest, from: GossipAddress, [UInt8])
    /// The answer to `Effect.changeKeys`.
    case keysChanged(GossipKeyRequest, SerfKeyResponse)
    /// The answer to `Effect.resolve`: what was found, or a sentence that says why nothing was.
    case resolved(host: String, [IPAddress], problem: String)
    indirect case control(Control)
}

/// How an exchange of gossip ended.
package enum ExchangeEnd: Hashable, Sendable {
    case answered([UInt8])
    /// A sentence without its full stop.
    case failed(String)
}

/// Bytes of the file system below the data directory, and those of them that this process may
/// still use.
package struct DiskSpace: Hashable, Sendable {
    package var free: UInt64
    package var total: UInt64

    package init(free: UInt64, total: UInt64) {
        self.free = free
        self.total = total
    }
}

/// What the process that hosts the node is told from outside.
package enum Control: Sendable {
    /// Stop deciding, wait for local runs up to the shutdown time-out, end the rest, then `exit`.
    case stop
    /// A second request to stop: end at once.
    case stopNow
    /// Stop at once and leave running commands to the supervisor for the next start.
    case detach
    /// Give up this node's seat in the cluster, for good, and stop.
    case leave
    /// Re-read zone files, and take these for the node's own tags and for how people are told; nil
    /// leaves what is.
    case reload(tags: [TagEntry]?, notifications: NotificationSettings?)
}

/// Identifies an HTTP request while it is being answered; unique within one life of the node.
package struct RequestID: Hashable, Comparable, Sendable {
    package var number: UInt64

    package init(_ number: UInt64) { self.number = number }

    package static func < (a: RequestID, b: RequestID) -> Bool { a.number < b.number }
}
