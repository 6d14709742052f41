package import Core

/// How many descriptors each kind of connection may take, so that files, the supervisor and what
/// else a node cannot do without find some left: a log that can't be written halts the node.
package struct DescriptorBudget {
    /// Connections that nodes open to this one. It opens as many to them.
    package let peers: Int
    /// Connections with nodes that have not shown yet who they are.
    package let strangers: Int
    /// Exchanges of gossip that others began.
    package let gossip: Int
    /// Connections of processors, of each of two kinds.
    package let processors: Int
    package let pluginCalls: Int
    package let requests: Int
    package let conversations: Int
    /// Clients of the API.
    package let clients: Int

    /// - Parameter limit: what the process may have open.
    package init(limit: Int) {
        let rest = max(0, limit - Self.reserve)
        func share(_ part: Int, least: Int, most: Int) -> Int { max(least, min(most, rest / part)) }
        let peerLimits = PeerLimits()
        peers = share(8, least: 16, most: peerLimits.accepted)
        strangers = share(16, least: 8, most: peerLimits.strangers)
        gossip = share(16, least: 8, most: GossipTransport.mostAsked)
        processors = share(32, least: 4, most: ProcessorHost.mostConnections)
        pluginCalls = share(16, least: 8, most: PluginHost.Limits().calls)
        requests = share(4, least: 16, most: HTTPCaller.Limits().connections)
        conversations = min(requests / 2, Conversations.Limits().connections)
        // Each call of a plugin takes a socket and a connection.
        let others =
            2 * peers + strangers + gossip + 2 * processors + 2 * pluginCalls + requests
            + conversations
        clients = max(16, min(1_024, rest - others))
    }

    package var requestLimits: HTTPCaller.Limits {
        var limits = HTTPCaller.Limits()
        limits.connections = requests
        return limits
    }

    package var conversationLimits: Conversations.Limits {
        var limits = Conversations.Limits()
        limits.connections = conversations
        return limits
    }

    package var pluginLimits: PluginHost.Limits {
        var limits = PluginHost.Limits()
        limits.calls = pluginCalls
        return limits
    }

    var peerLimits: PeerLimits {
        var limits = PeerLimits()
        limits.accepted = peers
        limits.strangers = strangers
        return limits
    }

    /// For files, the supervisor, listeners, pipes of plugins.
    private static let reserve = 128
}
