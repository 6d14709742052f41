// Who would have to be there for a leader, and who is.

/// The servers that vote, as gossip shows them.
struct Electorate {
    let voters: [ServerID]
    /// Gossip says that they live.
    let present: [ServerID]
    let missing: [ServerID]
    private let members: [Member]

    init(_ configuration: RaftConfiguration, _ members: [Member]) {
        self.members = members
        voters = configuration.voters
        func lives(_ id: ServerID) -> Bool {
            members.contains { $0.id == id && ($0.status == .alive || $0.status == .leaving) }
        }
        present = voters.filter(lives)
        missing = voters.filter { !lives($0) }
    }

    var needed: Int { Quorum.size(of: voters.count) }

    func names(of servers: [ServerID]) -> String {
        servers.map { id in
            members.first { $0.id == id }?.name.text ?? Hexadecimal.text(ofIdentity: id)
        }.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }.joined(separator: " ")
    }

    /// What would help, as the rest of a sentence.
    func advice(for own: ServerID) -> String {
        guard voters.contains(own) else {
            return "this server has no vote, and hears none of those that have; see that they run "
                + "and can be reached"
        }
        guard present.count < needed else {
            return "gossip shows enough servers, but no election succeeds: see that their RPC "
                + "ports can be reached (warnings that begin with peers:)"
        }
        return "bring missing servers back, with their data directories or from a backup"
    }

    /// How many there are and who is missing, as the rest of a sentence without its full stop.
    var sentence: String {
        let counts = "its \(voters.count) servers \(needed) are needed"
        guard !missing.isEmpty else { return "\(counts), and gossip shows all of them" }
        return "\(counts), and gossip misses \(names(of: missing))"
    }
}
