// Who votes, and on whose platters lies what is committed, while servers come, leave for good and
// are replaced.

import Core

struct VoterChecker {
    /// By what is committed.
    private(set) var committed: [ServerID]
    /// Of whoever led last: a configuration holds as soon as it is appended.
    private var led: [ServerID] = []
    /// What was on the platters of machines that are gone for good.
    private var buried: [ServerID: PlatterLog] = [:]

    init(founders: Int) {
        committed = (0..<founders).map { World.firstIdentity(of: $0) }
    }

    mutating func didReplace(_ id: ServerID, _ platter: PlatterLog) { buried[id] = platter }

    mutating func leads(_ voters: [ServerID]) {
        if led != voters { led = voters }
    }

    /// Whether a majority has an entry that was committed: of those who vote by what is committed,
    /// or of those who vote by what will be.
    mutating func isSafe(_ mark: EntryMark, _ payload: [UInt8], _ seats: ArraySlice<Seat>) -> Bool {
        let isChange = mark.kind == Raft.EntryKind.configuration.rawValue
        if isChange, let next = try? RaftConfiguration(decoding: payload) {
            committed = next.voters
        }
        return ([committed, led] + seats.compactMap(\.voters)).contains { voters in
            let holders = voters.count { id in
                let seat = seats[World.position(of: id)]
                let platter = seat.identity == id ? seat.platter : buried[id]
                return platter?.holds(mark) ?? false
            }
            return holders * 2 > voters.count
        }
    }

    /// Whoever led last may have begun a change, by which it would have to be elected.
    var isChanging: Bool { !led.isEmpty && led.sorted() != committed.sorted() }

    /// What is wrong with the seats where `servers` are all there are; nil if nothing is. Outcasts
    /// may have lost theirs, or not.
    func problem(with servers: [VirtualNode], without outcasts: [Int] = []) -> String? {
        for server in servers
        where !committed.contains(server.identity) && !outcasts.contains(server.index) {
            return "\(server.name) has no vote"
        }
        let strangers = committed.filter { id in !servers.contains { $0.identity == id } }
        return strangers.isEmpty ? nil : "\(strangers) vote, and are gone for good"
    }

    /// Whether a server may lose its disk for good: those that vote with it know of no change under
    /// way, and more than half of the votes are left, so nothing that was acknowledged is gone.
    /// They must be with and without those that are being taken in, who may get a vote just now.
    func mayLose(_ index: Int, of nodes: [VirtualNode]) -> Bool {
        var seats = committed
        for node in nodes {
            guard let learners = node.core?.node.raft.configuration.learners else { continue }
            seats += learners.filter { !seats.contains($0) }
        }
        guard seats.contains(nodes[index].identity) else { return true }
        let others = nodes.filter { $0.index != index && seats.contains($0.identity) }
        let voters = others.filter { committed.contains($0.identity) }
        let isKnown = voters.allSatisfy {
            $0.core?.node.raft.configuration.voters == committed
        }
        return isKnown && voters.count * 2 > committed.count && others.count * 2 > seats.count
    }
}
