import Core

/// What a server finds again after a crash.
struct RaftDisk {
    enum Change {
        case entry(LogEntry)
        case state(HardState)
        case truncate(from: LogIndex)
    }

    /// The snapshot: the state through `base`, and the members then.
    var base: LogIndex = 0
    var baseTerm: Term = 0
    var configuration = RaftConfiguration.empty
    /// What the first start was told.
    var firstConfiguration = RaftConfiguration.empty
    var entries: [LogEntry] = []
    var state = HardState()
    /// A write under way: any prefix of it may survive.
    var writing: [Change] = []

    var lastIndex: LogIndex { base + LogIndex(entries.count) }

    mutating func sync() { crash(keeping: writing.count) }

    mutating func crash(keeping count: Int) {
        for change in writing.prefix(count) {
            switch change {
            case .entry(let entry): entries.append(entry)
            case .state(let new): state = new
            case .truncate(let first): entries.removeAll { $0.index >= first }
            }
        }
        writing = []
    }

    /// The snapshot holds everything through `last` from now on.
    mutating func compact(through last: LogEntry, _ configuration: RaftConfiguration) {
        entries.removeAll { $0.index <= last.index }
        base = last.index
        baseTerm = last.term
        self.configuration = configuration
    }

    /// A snapshot from elsewhere replaces everything.
    mutating func install(_ last: LogEntry, _ configuration: RaftConfiguration) {
        entries = []
        base = last.index
        baseTerm = last.term
        self.configuration = configuration
    }

    /// Whether the log through `index` is here and equals `canonical` where that reaches.
    func holds(through index: LogIndex) -> Bool { lastIndex >= index }
}
