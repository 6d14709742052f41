/// Rumours that wait to be told. What was told least often goes first, then what is longest (short
/// ones fill the gaps), then the newest. News about a node replaces older news about it.
struct BroadcastQueue: Sendable {
    private struct Rank: Comparable {
        var told: Int
        var length: Int
        var number: UInt64

        static func < (a: Rank, b: Rank) -> Bool {
            (a.told, b.length, b.number) < (b.told, a.length, a.number)
        }
    }

    private struct Rumour {
        /// Whom it is about; nil: it stands for itself.
        var subject: NodeName?
        var message: [UInt8]
    }

    private var rumours = SortedMap<Rank, Rumour>()
    private var ranks = SortedMap<NodeName, Rank>()
    private var nextNumber: UInt64 = 0
    /// When full, what was told most often goes.
    let capacity: Int

    init(capacity: Int) { self.capacity = capacity }

    var isEmpty: Bool { rumours.isEmpty }
    var count: Int { rumours.count }

    /// Whether there still is news about the node.
    func contains(_ subject: NodeName) -> Bool { ranks.contains(subject) }

    mutating func insert(_ message: [UInt8], about subject: NodeName? = nil) {
        if let subject, let old = ranks.remove(subject) { rumours.remove(old) }
        if rumours.count >= capacity, let last = rumours.last { remove(last.key, last.value) }
        nextNumber += 1
        let rank = Rank(told: 0, length: message.count, number: nextNumber)
        put(rank, Rumour(subject: subject, message: message))
    }

    /// Takes rumours for one packet and counts them as told.
    ///
    /// - Parameters:
    ///   - room: bytes that the rumours may take with `overhead` for each; what is taken comes off.
    ///   - limit: what was told so often is dropped.
    mutating func take(
        room: inout Int, overhead: Int, parts: inout Int, limit: Int, into messages: inout [[UInt8]]
    ) {
        var taken: [(Rank, Rumour)] = []
        var looks = 0
        for (rank, rumour) in rumours {
            guard parts > 0, room > overhead + Self.least, looks < Self.mostLooks else { break }
            looks += 1
            let size = rumour.message.count + overhead
            guard size <= room else { continue }
            room -= size
            parts -= 1
            taken.append((rank, rumour))
            messages.append(rumour.message)
        }
        for (rank, rumour) in taken {
            remove(rank, rumour)
            guard rank.told + 1 < limit else { continue }
            var again = rank
            again.told += 1
            put(again, rumour)
        }
    }

    mutating func removeAll() {
        rumours.removeAll()
        ranks.removeAll()
    }

    private mutating func put(_ rank: Rank, _ rumour: Rumour) {
        rumours[rank] = rumour
        if let subject = rumour.subject { ranks[subject] = rank }
    }

    private mutating func remove(_ rank: Rank, _ rumour: Rumour) {
        rumours.remove(rank)
        if let subject = rumour.subject { ranks.remove(subject) }
    }

    func checkInvariants() {
        invariant(rumours.count <= capacity, "a queue of rumours stays within its capacity")
        for (subject, rank) in ranks {
            invariant(rumours[rank]?.subject == subject, "each rumour is found by its subject")
        }
    }

    /// No rumour is shorter.
    private static let least = 8
    /// Of those that don't fit, so many are passed over.
    private static let mostLooks = 300
}
