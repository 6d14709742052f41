// Who was chosen to run a group, against the tags that nodes really carry.

import Core

struct TargetChecker {
    /// What a node says of itself that no reload changes.
    struct Node: Sendable {
        var name: String
        var tags: [Plan.Setting]
    }

    /// What the tags of one document ask for.
    private struct Wish: Hashable {
        var tags: [Plan.Setting] = []
        var limit: Int?

        init(_ document: JobDocument) {
            for tag in document.tags {
                let (value, count) = Self.split(tag.value)
                tags.append(Plan.Setting(name: tag.name, value: value))
                if let count { limit = min(limit ?? count, count) }
            }
        }

        var text: String {
            tags.map { "\($0.name)=\($0.value)" }.joined(separator: " ")
                + (limit.map { " at most \($0)" } ?? " all")
        }

        /// `web:2` is two nodes at most, `web:x` a plain value.
        private static func split(_ text: String) -> (String, Int?) {
            guard let colon = text.lastIndex(of: ":"),
                let count = Int(text[text.index(after: colon)...])
            else { return (text, nil) }
            return (String(text[..<colon]), count)
        }
    }

    private let nodes: [Node]
    /// Tags that all nodes have or have not, whatever is reloaded.
    private let fixed: Set<String>
    /// Every node knows all others from the start, for ever.
    private let isStatic: Bool
    /// What each job has asked for so far, and from which entry on.
    private var wishes: [Generation: [(wish: Wish, since: LogIndex)]] = [:]
    /// Nodes that have been drained at some time: whoever decides may heed or not yet heed it.
    private var drained: Set<String> = []
    /// Nodes that are drained now, and since which entry.
    private var drainedSince: [NodeName: LogIndex] = [:]

    init(nodes: [Node], isStatic: Bool) {
        self.nodes = nodes
        self.isStatic = isStatic
        fixed = Set(nodes.flatMap { $0.tags.map(\.name) })
    }

    mutating func noticed(
        _ document: JobDocument, of generation: Generation, at index: LogIndex
    ) {
        let wish = Wish(document)
        if wishes[generation]?.last?.wish != wish {
            wishes[generation, default: []].append((wish, index))
        }
    }

    mutating func noticed(drained names: [NodeName], at index: LogIndex) {
        drainedSince = drainedSince.filter { names.contains($0.key) }
        for name in names where drainedSince[name] == nil {
            drained.insert(name.text)
            drainedSince[name] = index
        }
    }

    mutating func forget(_ generation: Generation) { wishes[generation] = nil }

    /// - Parameter basis: what the leader had applied when it decided; nil if nobody knows. What it
    ///   had not applied it could not heed, and what a person or a parent started may have been
    ///   chosen long before.
    func judge(_ sight: GroupSight, decidedAfter basis: LogIndex?, into verdict: inout Verdict) {
        let names = sight.group.targets.map(\.node.text)
        verdict.require(
            Set(names).count == names.count, .X8,
            "group \(sight.group.id) of \(sight.job) has a node twice: \(names)")
        if let basis {
            let barred = sight.group.targets.map(\.node).first { drainedSince[$0] ?? .max <= basis }
            verdict.require(
                barred == nil, .X23,
                "group \(sight.group.id) of \(sight.job) runs on \(barred?.text ?? ""), drained "
                    + "since entry \(barred.flatMap { drainedSince[$0] } ?? 0)")
        }
        var wishes = wishes[sight.generation] ?? []
        if case .tick = sight.group.trigger, let basis,
            let last = wishes.lastIndex(where: { $0.since <= basis })
        {
            wishes.removeFirst(last)
        }
        guard !wishes.isEmpty else { return }
        verdict.require(
            wishes.contains { satisfies(names, $0.wish) }, .X8,
            "group \(sight.group.id) of \(sight.job) runs on \(names), which is not what it asks "
                + "for: \(wishes.map(\.wish.text).joined(separator: " or "))")
    }

    private func satisfies(_ names: [String], _ wish: Wish) -> Bool {
        if let limit = wish.limit, names.count > limit { return false }
        let certain = wish.tags.filter { fixed.contains($0.name) }
        let matching = nodes.filter { node in
            certain.allSatisfy { node.tags.contains($0) }
        }.map(\.name)
        guard names.allSatisfy(matching.contains) else { return false }
        guard isStatic, certain.count == wish.tags.count else { return true }
        let certainly = matching.count { !drained.contains($0) }
        let limit = wish.limit ?? .max
        return names.count >= min(limit, certainly) && names.count <= min(limit, matching.count)
    }
}
