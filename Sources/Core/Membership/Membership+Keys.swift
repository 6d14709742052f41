// Changing the keys of a running cluster, as Serf does it: an operator's query goes to every node,
// and each says what became of it. The keys themselves are the adapter's.

/// What an operator wants done to every node's key ring.
package struct GossipKeyRequest: Hashable, Sendable {
    package enum Operation: String, Sendable {
        /// Opens from now on.
        case install = "_serf_install-key"
        /// Seals from now on.
        case use = "_serf_use-key"
        case remove = "_serf_remove-key"
        case list = "_serf_list-keys"
    }

    package let operation: Operation
    /// Empty for `list`.
    package let key: [UInt8]
    /// Whose answer is wanted.
    let query: SerfQuery
}

extension Membership {
    /// Nil if the query is about something else, or can't be understood.
    static func keyRequest(_ query: SerfQuery) -> GossipKeyRequest? {
        guard let operation = GossipKeyRequest.Operation(rawValue: query.name) else { return nil }
        if operation == .list {
            return GossipKeyRequest(operation: .list, key: [], query: query)
        }
        guard case .keyRequest(let key)? = try? SerfMessage(query.payload[...]) else { return nil }
        return GossipKeyRequest(operation: operation, key: key, query: query)
    }

    /// Tells the operator what became of a request. Of a long list the end is left out.
    package mutating func keysAnswered(
        _ request: GossipKeyRequest, _ response: SerfKeyResponse, into actions: inout [Action]
    ) {
        guard !hasLeft else { return }
        var response = response
        let count = response.keys.count
        while !answer(
            request.query, isAck: false, payload: SerfMessage.keyResponse(response).encode(),
            into: &actions), !response.keys.isEmpty
        {
            response.keys.removeLast()
            response.message = "only \(response.keys.count) of \(count) keys are told"
        }
    }
}
