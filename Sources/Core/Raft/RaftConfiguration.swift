/// Who takes part in the consensus: a value that travels in the log and takes effect when it is
/// appended (Ongaro's thesis, section 4.1).
package struct RaftConfiguration: Hashable, Sendable {
    /// Servers that vote and count, in ascending order.
    package private(set) var voters: [ServerID]
    /// Servers that receive the log and do not count, in ascending order; none is a voter.
    package private(set) var learners: [ServerID]

    package init(voters: [ServerID], learners: [ServerID] = []) {
        self.voters = Self.distinct(voters)
        self.learners = Self.distinct(learners.filter { !voters.contains($0) })
    }

    /// Nobody: a server that waits to be taken in.
    package static let empty = RaftConfiguration(voters: [])

    package var isEmpty: Bool { voters.isEmpty && learners.isEmpty }
    package var members: [ServerID] { voters + learners }

    /// Whether nobody else votes.
    package func isOnly(_ id: ServerID) -> Bool { voters.count == 1 && voters[0] == id }
    package func isVoter(_ id: ServerID) -> Bool { voters.contains(id) }
    package func isLearner(_ id: ServerID) -> Bool { learners.contains(id) }
    package func contains(_ id: ServerID) -> Bool { isVoter(id) || isLearner(id) }

    /// What a change makes of it.
    /// - Returns: nil if there is nothing to change, or nobody would be left to vote.
    package func applying(_ change: RaftConfigurationChange) -> RaftConfiguration? {
        var next = self
        switch change {
        case .addLearner(let id):
            guard !contains(id) else { return nil }
            next = RaftConfiguration(voters: voters, learners: learners + [id])
        case .promote(let id):
            guard isLearner(id) else { return nil }
            next = RaftConfiguration(voters: voters + [id], learners: learners)
        case .remove(let id):
            guard contains(id) else { return nil }
            next = RaftConfiguration(
                voters: voters.filter { $0 != id }, learners: learners.filter { $0 != id })
        }
        return next.voters.isEmpty ? nil : next
    }

    private static func distinct(_ ids: [ServerID]) -> [ServerID] {
        var found: [ServerID] = []
        for id in ids.sorted() where found.last != id { found.append(id) }
        return found
    }
}

/// A change of one server. Majorities before and after any single one overlap, which is why never
/// more than one is under way.
package enum RaftConfigurationChange: Hashable, Sendable {
    /// A server begins to receive the log.
    case addLearner(ServerID)
    /// A learner that has caught up begins to vote.
    case promote(ServerID)
    /// A voter or learner goes.
    case remove(ServerID)
}

extension RaftConfiguration {
    /// The canonical bytes.
    package var encoded: [UInt8] {
        var writer = ByteWriter(capacity: 2 + 16 * (voters.count + learners.count))
        writer.array(voters) { $0.serverID($1) }
        writer.array(learners) { $0.serverID($1) }
        return writer.output
    }

    /// Reads what `encoded` wrote.
    /// - Throws: `ByteError` for anything else.
    package init(decoding bytes: [UInt8]) throws(ByteError) {
        var reader = ByteReader(bytes)
        let voters = try reader.array(elementSize: 16) { reader throws(ByteError) in
            try reader.serverID()
        }
        let learners = try reader.array(elementSize: 16) { reader throws(ByteError) in
            try reader.serverID()
        }
        try reader.expectEnd()
        self.init(voters: voters, learners: learners)
        guard self.voters == voters, self.learners == learners else {
            throw .malformed(offset: 0, what: "a configuration out of order")
        }
    }
}
