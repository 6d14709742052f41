/// When one job is due: its schedule with zone, policy, anchor and window of validity resolved.
package struct TickPlan: Sendable {
    private let schedule: Schedule
    private let rules: ZoneRules
    private let dst: DSTPolicy
    private let anchor: WallTime
    private let startsAt: WallTime?
    private let expiresAt: WallTime?

    /// Whether a job's ticks can be told now.
    package enum Resolution: Sendable {
        case ready(TickPlan)
        /// Never due by itself: disabled, a child, run by hand only, or not valid.
        case idle
        /// The zone has to be read first.
        case needsZone(String)
        /// The zone is not to be had on this host, why.
        case zoneMissing(String, String)
    }

    package static func resolve(
        _ document: JobDocument, _ state: JobState, _ cluster: ClusterState, _ zones: ZoneTable
    ) -> Resolution {
        guard !document.isDisabled else { return .idle }
        return resolveEnabled(document, state, cluster, zones)
    }

    private static func resolveEnabled(
        _ document: JobDocument, _ state: JobState, _ cluster: ClusterState, _ zones: ZoneTable
    ) -> Resolution {
        guard document.parent == nil,
            let schedule = try? Schedule.parse(document.schedule, jobName: document.name)
        else { return .idle }
        if case .manually = schedule { return .idle }
        var rules = ZoneRules.utc
        if schedule.needsZone {
            let name = schedule.zoneName(
                job: document.timezone, clusterDefault: cluster.settings.defaultTimezone)
            switch zones.lookup(name) {
            case .ready(let found): rules = found
            case .missing(let reason): return .zoneMissing(name, reason)
            case .unknown: return .needsZone(name)
            }
        }
        return .ready(
            TickPlan(
                schedule: schedule, rules: rules, dst: document.dst, anchor: state.everyAnchor,
                startsAt: document.startsAt, expiresAt: document.expiresAt))
    }

    /// The first tick after an instant (exclusive), inside the window of validity.
    package func next(after time: WallTime) -> WallTime? {
        var start = time
        if let startsAt { start = max(start, startsAt - .nanoseconds(1)) }
        guard let tick = schedule.next(after: start, zone: rules, dst: dst, anchor: anchor) else {
            return nil
        }
        if let expiresAt, tick > expiresAt { return nil }
        return tick
    }

    /// The last tick before an instant (exclusive), inside the window of validity.
    package func previous(before time: WallTime) -> WallTime? {
        var end = time
        if let expiresAt { end = min(end, expiresAt + .nanoseconds(1)) }
        guard let tick = schedule.previous(before: end, zone: rules, dst: dst, anchor: anchor)
        else { return nil }
        if let startsAt, tick < startsAt { return nil }
        return tick
    }

    /// The ticks in `(after, through]` as their first and last.
    func span(after: WallTime, through: WallTime) -> (first: WallTime, last: WallTime)? {
        guard let first = next(after: after), first <= through,
            let last = previous(before: through + .nanoseconds(1))
        else { return nil }
        return (first, last)
    }

    // MARK: For the interface

    /// The next tick of a job that was not decided and lies in no past pause, nor in what has
    /// passed of one at the stamp; nil when there is none or its zone is not known.
    package static func next(
        _ document: JobDocument, _ state: JobState, _ cluster: ClusterState, _ zones: ZoneTable,
        at stamp: WallTime
    ) -> WallTime? {
        guard case .ready(let plan) = resolve(document, state, cluster, zones) else { return nil }
        let decided = cluster.cursor(of: state)
        guard let pause = cluster.pauses.last else { return plan.next(after: decided) }
        return plan.next(after: max(decided, pause.to ?? stamp))
    }

    /// Ticks after the cursor that fell into pauses and are not decided yet: their outcome is
    /// certain, so a reader sees it before the next decision writes it down.
    package static func pausedRows(
        _ document: JobDocument, _ state: JobState, _ cluster: ClusterState, _ zones: ZoneTable,
        upTo: WallTime
    ) -> [LedgerRow] {
        guard case .ready(let plan) = resolve(document, state, cluster, zones) else { return [] }
        var rows: [LedgerRow] = []
        for pause in cluster.pauses {
            let end = min(pause.to ?? upTo, upTo)
            let start = max(pause.from, cluster.cursor(of: state))
            guard start < end, let span = plan.span(after: start, through: end) else { continue }
            rows.append(
                LedgerRow(
                    from: span.first, to: span.last, outcome: .skipped(.paused),
                    decidedAt: span.last, revision: state.revision))
        }
        return rows
    }
}
