// Which outcome each due tick gets. Pure: what it decides depends on its arguments alone, and the
// same function serves the running scheduler and the decisions that an edit carries along.

/// Decides the ticks of one job from its cursor up to a stamp.
struct Decider {
    let document: JobDocument
    let state: JobState
    let cluster: ClusterState
    let plan: TickPlan
    /// Ticks up to here are decided.
    let stamp: WallTime
    /// An edit follows: nothing may be left waiting, and ticks of an open pause are written down.
    let isFinal: Bool

    /// The most launches for one job and gap.
    static let launchLimit = 1_000

    /// Decisions are missing although ticks are due: when to look again at the latest.
    private(set) var waitsUntil: WallTime?

    private var ticks: [JobDecision.Ticks] = []
    private var launches = 0

    init(
        document: JobDocument, state: JobState, cluster: ClusterState, plan: TickPlan,
        stamp: WallTime, isFinal: Bool
    ) {
        self.document = document
        self.state = state
        self.cluster = cluster
        self.plan = plan
        self.stamp = stamp
        self.isFinal = isFinal
    }

    /// The decision, or nil when no tick is due (or all that are wait).
    ///
    /// O(pauses + launches); never a walk over the ticks of a gap.
    mutating func decide(_ chooseTargets: () -> [NodeName]) -> JobDecision? {
        let spans = dueSpans()
        let youngestLate = youngestLateTick(in: spans)
        for span in spans {
            if span.isPaused {
                append(span.first, span.last, .skip(.paused))
            } else if waitsItsTurn {
                guard takeTurn(span, chooseTargets) else { break }
            } else {
                decide(span, youngestLate: youngestLate, chooseTargets)
            }
        }
        guard !ticks.isEmpty else { return nil }
        return JobDecision(
            job: document.name, generation: state.generation, revision: state.revision,
            ticks: ticks)
    }

    /// The decision before an edit of a job whose zone can't be read: one row for all that may have
    /// been due, so that nothing is passed over in silence. Nil when nothing can have been.
    static func unknowable(
        _ document: JobDocument, _ state: JobState, _ cluster: ClusterState, stamp: WallTime
    ) -> JobDecision? {
        let first = max(
            cluster.cursor(of: state) + .nanoseconds(1), document.startsAt ?? .distantPast)
        let last = min(stamp, document.expiresAt ?? .distantFuture)
        guard first <= last else { return nil }
        return JobDecision(
            job: document.name, generation: state.generation, revision: state.revision,
            ticks: [JobDecision.Ticks(from: first, to: last, verdict: .miss(.zone))])
    }

    // MARK: What is due

    private struct Span {
        var first: WallTime
        var last: WallTime
        var isPaused: Bool
    }

    /// The undecided ticks up to the stamp, cut at the borders of pauses.
    private func dueSpans() -> [Span] {
        var spans: [Span] = []
        var position = cluster.cursor(of: state)
        func add(through end: WallTime, isPaused: Bool) {
            defer { position = max(position, end) }
            guard position < end, let span = plan.span(after: position, through: end) else {
                return
            }
            spans.append(Span(first: span.first, last: span.last, isPaused: isPaused))
        }
        for pause in cluster.pauses where (pause.to ?? .distantFuture) > position {
            add(through: min(pause.from, stamp), isPaused: false)
            if pause.to == nil, !isFinal { return spans }
            add(through: min(pause.to ?? stamp, stamp), isPaused: true)
        }
        add(through: stamp, isPaused: false)
        return spans
    }

    private var onTimeBound: WallTime { stamp - cluster.settings.onTime }
    private var windowBound: WallTime {
        stamp - (document.catchUpWindow ?? cluster.settings.catchUpWindow)
    }

    private func youngestLateTick(in spans: [Span]) -> WallTime? {
        for span in spans.reversed() where !span.isPaused {
            if let tick = plan.previous(before: min(span.last + .nanoseconds(1), onTimeBound)),
                tick >= span.first
            {
                return tick >= windowBound ? tick : nil
            }
        }
        return nil
    }

    // MARK: Outcomes

    private mutating func decide(
        _ span: Span, youngestLate: WallTime?, _ chooseTargets: () -> [NodeName]
    ) {
        var position = span.first - .nanoseconds(1)
        if let late = plan.span(
            after: position, through: min(span.last, onTimeBound - .nanoseconds(1)))
        {
            decideLate(late, youngest: youngestLate, chooseTargets)
            position = late.last
        }
        // On time: each one, however many were launched to catch up.
        while let tick = plan.next(after: position), tick <= span.last {
            launch(tick, chooseTargets)
            position = tick
        }
    }

    /// Ticks that are not on time any more follow the job's policy.
    private mutating func decideLate(
        _ late: (first: WallTime, last: WallTime), youngest: WallTime?,
        _ chooseTargets: () -> [NodeName]
    ) {
        switch document.catchUp {
        case .none: append(late.first, late.last, .miss(.policy))
        case .latest:
            let inside = missOutsideWindow(late)
            guard let inside else { return }
            guard youngest == inside.last else {
                append(inside.first, inside.last, .miss(.superseded))
                return
            }
            if let last = plan.previous(before: inside.last), last >= inside.first {
                append(inside.first, last, .miss(.superseded))
            }
            launch(inside.last, chooseTargets)
        case .all:
            guard let inside = missOutsideWindow(late) else { return }
            catchUp(after: inside.first - .nanoseconds(1), through: inside.last, chooseTargets)
        }
    }

    /// Writes off what is older than the window (and not on time) and returns the rest.
    private mutating func missOutsideWindow(
        _ late: (first: WallTime, last: WallTime)
    ) -> (first: WallTime, last: WallTime)? {
        let bound = min(windowBound, onTimeBound) - .nanoseconds(1)
        guard
            let old = plan.span(after: late.first - .nanoseconds(1), through: min(late.last, bound))
        else { return late }
        append(old.first, old.last, .miss(.window))
        return plan.span(after: old.last, through: late.last)
    }

    /// Runs every tick in `(after, through]`; what is too much for one gap is written off.
    private mutating func catchUp(
        after: WallTime, through: WallTime, _ chooseTargets: () -> [NodeName]
    ) {
        var position = after
        while let tick = plan.next(after: position), tick <= through {
            guard launches < Self.launchLimit else {
                append(
                    tick, plan.previous(before: through + .nanoseconds(1)) ?? tick, .miss(.window))
                return
            }
            launch(tick, chooseTargets)
            position = tick
        }
    }

    private mutating func launch(_ tick: WallTime, _ chooseTargets: () -> [NodeName]) {
        launches += 1
        let targets = chooseTargets()
        append(tick, tick, targets.isEmpty ? .skip(.noTarget) : .run(targets: targets))
    }

    private mutating func append(
        _ from: WallTime, _ to: WallTime, _ verdict: JobDecision.Verdict
    ) {
        ticks.append(JobDecision.Ticks(from: from, to: to, verdict: verdict))
    }

    // MARK: Taking turns

    /// Under `catch_up: all` a tick of a job whose groups must not overlap waits for the one before
    /// it instead of being skipped.
    private var waitsItsTurn: Bool {
        document.catchUp == .all && document.concurrency != .allow && !isFinal
    }

    /// Decides the first tick if nothing is active. Returns false when later ticks must wait.
    private mutating func takeTurn(_ span: Span, _ chooseTargets: () -> [NodeName]) -> Bool {
        guard let inside = missOutsideWindow((span.first, span.last)) else { return true }
        if state.activeGroups > 0 || launches > 0 {
            let window = document.catchUpWindow ?? cluster.settings.catchUpWindow
            waitsUntil =
                inside.first + max(window, cluster.settings.onTime) + .nanoseconds(1)
            return false
        }
        launch(inside.first, chooseTargets)
        return plan.next(after: inside.first).map { $0 > span.last } ?? true
    }
}
