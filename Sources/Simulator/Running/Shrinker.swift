// Makes a failing plan small. Draws are addressed, so an item that goes leaves the rest alone; a
// candidate counts only if the same invariant fails.

import Core

struct Shrinker {
    /// Runs a plan and returns the id of what it violated, and when.
    let run: (Plan) -> (id: String, time: TrueTime)?
    /// Says whether there is time left.
    let mayGoOn: () -> Bool
    private let wanted: String
    private(set) var best: Plan
    private var failsAt: TrueTime
    private(set) var tried = 0

    /// Nil if the plan does not fail.
    init?(
        _ plan: Plan, run: @escaping (Plan) -> (id: String, time: TrueTime)?,
        mayGoOn: @escaping () -> Bool
    ) {
        guard let failure = run(plan) else { return nil }
        self.run = run
        self.mayGoOn = mayGoOn
        wanted = failure.id
        failsAt = failure.time
        best = plan
    }

    mutating func shrink() -> Plan {
        cutAfterFailure()
        var size = Int.max
        while size > best.items.count, mayGoOn() {
            size = best.items.count
            removeItems()
        }
        removeFamilies()
        removeServers()
        removeItems()
        simplify()
        removeItems()
        return best
    }

    private mutating func accept(_ candidate: Plan) -> Bool {
        guard candidate != best, mayGoOn() else { return false }
        tried += 1
        guard let failure = run(candidate), failure.id == wanted else { return false }
        best = candidate
        failsAt = failure.time
        return true
    }

    /// What comes after the failure can't have caused it.
    private mutating func cutAfterFailure() {
        var candidate = best
        candidate.items.removeAll {
            if case .at(let time) = $0.when { return time > failsAt }
            return false
        }
        if failsAt < candidate.horizon {
            candidate.horizon = .seconds(failsAt.wholeSeconds + 2)
        }
        _ = accept(candidate)
        candidate = best
        candidate.items.removeAll {
            if case .at(let time) = $0.when { return time > failsAt }
            return false
        }
        _ = accept(candidate)
    }

    /// Delta debugging: halves first, then quarters, down to single items.
    private mutating func removeItems() {
        var size = max(1, best.items.count / 2)
        while size >= 1 {
            var start = 0
            while start < best.items.count, mayGoOn() {
                var candidate = best
                candidate.items.removeSubrange(start..<min(start + size, best.items.count))
                if !accept(candidate) { start += size }
            }
            if size == 1 { break }
            size /= 2
        }
    }

    /// Whole kinds of items at once, and single parameters.
    private mutating func removeFamilies() {
        for kind in 0..<11 {
            var candidate = best
            candidate.items.removeAll { Self.kind(of: $0.action) == kind }
            _ = accept(candidate)
        }
        for setting in best.settings {
            var candidate = best
            candidate.settings.removeAll { $0 == setting }
            _ = accept(candidate)
        }
    }

    /// An odd number fewer: what names a server that there is not does nothing.
    private mutating func removeServers() {
        while best.agents > 0 {
            var candidate = best
            candidate.agents = best.agents > 3 ? best.agents / 2 : best.agents - 1
            if !accept(candidate) { break }
        }
        while best.servers > 1 {
            var candidate = best
            candidate.servers = best.servers.isMultiple(of: 2) ? best.servers - 1 : best.servers - 2
            if !accept(candidate) { return }
        }
    }

    private static func kind(of action: Plan.Action) -> Int {
        switch action {
        case .request: 0
        case .crash(_, .process, _, _): 1
        case .crash(_, .power, _, _): 2
        case .crash: 3
        case .stop, .detach, .leave: 4
        case .pause: 5
        case .disk: 6
        case .clock: 7
        case .reload, .zone: 8
        case .note: 9
        case .partition, .clog, .lossy: 10
        }
    }

    /// Rounder times, one client, fewer fields in the bodies.
    private mutating func simplify() {
        for index in best.items.indices where mayGoOn() {
            if case .at(let time) = best.items[index].when, time.nanoseconds % 1_000_000_000 != 0 {
                var candidate = best
                candidate.items[index].when = .at(.seconds(time.wholeSeconds))
                _ = accept(candidate)
            }
            guard case .request(let client, let draft) = best.items[index].action else { continue }
            if client != 0 {
                var candidate = best
                candidate.items[index].action = .request(client: 0, draft)
                _ = accept(candidate)
            }
            simplifyBody(at: index)
        }
        for (name, value) in [("disk.sync", "1ms"), ("client.latency", "1ms"), ("spawn", "1ms")] {
            var candidate = best
            candidate.set(name, value)
            _ = accept(candidate)
        }
    }

    private mutating func simplifyBody(at index: Int) {
        guard case .request(_, let draft) = best.items[index].action,
            let members = NaiveJSON(Array(draft.body.utf8))?.members
        else { return }
        for member in members where !["name", "schedule", "executor"].contains(member.name) {
            guard case .request(let client, var smaller) = best.items[index].action,
                var kept = NaiveJSON(Array(smaller.body.utf8))?.members
            else { return }
            kept.removeAll { $0.name == member.name }
            smaller.body = NaiveJSON.object(kept).json
            var candidate = best
            candidate.items[index].action = .request(client: client, smaller)
            _ = accept(candidate)
        }
    }
}
