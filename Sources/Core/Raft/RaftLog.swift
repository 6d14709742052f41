/// The end of the log in memory: what is not committed yet, and before it as much as followers that
/// lag a little may still ask for. What is older lies in the snapshot.
struct RaftLog {
    /// The entries after this index are here.
    private(set) var base: LogIndex = 0
    /// The term of the entry at `base`.
    private(set) var baseTerm: Term = 0
    /// Bytes of the payloads.
    private(set) var byteCount = 0
    private var entries = RingBuffer<LogEntry>()

    var lastIndex: LogIndex { base + LogIndex(entries.count) }
    var lastTerm: Term { entries.last?.term ?? baseTerm }

    /// The term of an entry; nil if it is older than what is here, or does not exist.
    func term(at index: LogIndex) -> Term? {
        if index == base { return baseTerm }
        return entry(at: index)?.term
    }

    func entry(at index: LogIndex) -> LogEntry? {
        guard index > base, index <= lastIndex else { return nil }
        return entries[Int(index - base) - 1]
    }

    /// The entries from `first` on, as many as fit into `limit` bytes of payload, and at least one
    /// if there is one.
    func entries(from first: LogIndex, limit: Int) -> [LogEntry] {
        var found: [LogEntry] = []
        var bytes = 0
        var index = first
        while let entry = entry(at: index) {
            bytes += entry.payload.count
            if !found.isEmpty, bytes > limit { break }
            found.append(entry)
            index += 1
        }
        return found
    }

    /// The last index up to `index` whose term is at most `term`: where two logs may agree again.
    /// O(entries in between), at most those in memory.
    func lastIndex(upTo index: LogIndex, termAtMost term: Term) -> LogIndex {
        var index = min(index, lastIndex)
        while index > base, let own = self.term(at: index), own > term { index -= 1 }
        return index
    }

    /// Whether a log that ends so is at least as new as this one (section 5.4.1).
    func isCovered(byIndex index: LogIndex, term: Term) -> Bool {
        (term, index) >= (lastTerm, lastIndex)
    }

    mutating func append(_ entry: LogEntry) {
        invariant(entry.index == lastIndex + 1, "entries are appended without a gap")
        invariant(entry.term >= lastTerm, "terms never decrease along the log")
        byteCount += entry.payload.count
        entries.append(entry)
    }

    mutating func truncate(from index: LogIndex) {
        invariant(index > base, "only entries in memory are taken back")
        while lastIndex >= index, let entry = entries.popLast() {
            byteCount -= entry.payload.count
        }
    }

    /// Forgets the entries through `index`.
    mutating func compact(through index: LogIndex) {
        while base < index, let entry = entries.popFirst() {
            byteCount -= entry.payload.count
            base = entry.index
            baseTerm = entry.term
        }
    }

    /// Begins anew behind a snapshot.
    mutating func restart(after index: LogIndex, term: Term) {
        self = RaftLog()
        base = index
        baseTerm = term
    }
}
