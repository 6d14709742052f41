// Every tick against the naive cron: each has exactly one row of the ledger, no row is for anything
// else, and each verdict is one that the policies allow.

import Core

struct ScheduleChecker {
    /// What decided a job's ticks since some instant.
    private struct Era {
        var revision: UInt64
        var schedule: OracleSchedule?
        var zone: OracleZone?
        var dst: OracleSchedule.DST
        var anchor: Int64
        var startsAt: Int64?
        var expiresAt: Int64?
        /// Neither disabled nor a child.
        var isInForce: Bool
        /// What all of this was made of, but for the anchor: most entries change neither.
        var documentBytes: [UInt8]
        var defaultZone: String
    }

    private struct Watch {
        var era: Era
        /// Ticks up to here are decided.
        var cursor: WallTime
        /// The last tick row seen, which may still grow.
        var lastRow: LedgerPlace?
        /// When the last tick was decided, or the last of its groups ended.
        var lastTurn = WallTime.distantPast
    }

    private var watches: [Generation: Watch] = [:]
    /// Since when the cluster's default zone is what it is.
    private var defaultZoneSince = WallTime.distantPast
    private(set) var ticksJudged = 0
    /// Late launches of one job in one decision, which may take several entries: there is a limit.
    private var gap = (generation: Generation(0), decidedAt: WallTime.distantPast, launches: 0)
    /// Of what the present entry wrote, retention has removed a part in the same entry.
    private var rowsAreCut = false
    /// The stamp of the entry before. One that is not later was held back by it, and how late its
    /// decisions were is not to be told from it.
    private var lastStamp = WallTime.distantPast
    /// How late a decision may be while nothing is wrong; nil while something may be.
    var calmBound: Duration?
    /// A node has been drained: decisions that were on their way may still heed it.
    private var wasDrained = false
    /// Whether a zone file was ever away.
    var zonesMayBeAbsent = false
    /// Ticks beyond this many in one stretch are taken on trust.
    private static let stretchLimit = 20_000

    /// - Parameter lastStamp: of the entry before.
    mutating func observe(
        _ changes: StoreChanges, _ view: StoreView, _ store: Store, after lastStamp: WallTime,
        into verdict: inout Verdict
    ) {
        self.lastStamp = lastStamp
        if !view.cluster.drained.isEmpty { wasDrained = true }
        for sight in changes.created { begin(sight, view, store, &verdict) }
        for (before, after) in changes.changed {
            verdict.require(
                after.state.cursor >= before.state.cursor, .S4,
                "the cursor of \(after.name) went back from "
                    + "\(oracleTimeText(before.state.cursor.nanoseconds)) to "
                    + oracleTimeText(after.state.cursor.nanoseconds))
            judgeAnchor(before, after, &verdict)
            if before.state.activeGroups > 0, after.state.activeGroups == 0 {
                let stamp = view.cluster.lastStamp
                watches[after.state.generation]?.lastTurn = stamp
            }
            judge(before, after, view, store, &verdict)
        }
        if view.cluster.defaultZoneSince != defaultZoneSince {
            defaultZoneSince = view.cluster.defaultZoneSince
            // Every job's ticks up to the change were decided in the same entry, in the old zone.
            for sight in view.jobs { judge(sight, sight, view, store, &verdict) }
        }
        for sight in changes.removed { watches[sight.state.generation] = nil }
    }

    // MARK: Jobs

    private mutating func begin(
        _ sight: JobSight, _ view: StoreView, _ store: Store, _ verdict: inout Verdict
    ) {
        let generation = sight.state.generation
        let rows = tickRows(of: generation, after: nil, store)
        watches[generation] = Watch(
            era: era(of: sight, view), cursor: view.cluster.cursor(of: sight.state),
            lastRow: rows.last?.place)
    }

    private func era(of sight: JobSight, _ view: StoreView) -> Era {
        let document = sight.document
        let schedule =
            document.schedule.isEmpty
            ? nil : OracleSchedule(document.schedule, jobName: document.name.text)
        var zoneName = schedule?.zoneName ?? document.timezone
        if zoneName.isEmpty { zoneName = view.cluster.settings.defaultTimezone }
        return Era(
            revision: sight.state.revision, schedule: schedule, zone: ZoneFiles.oracles[zoneName],
            dst: document.dst == .once ? .once : .literal,
            anchor: sight.state.everyAnchor.nanoseconds,
            startsAt: document.startsAt?.nanoseconds, expiresAt: document.expiresAt?.nanoseconds,
            isInForce: !document.isDisabled && document.parent == nil,
            documentBytes: sight.documentBytes,
            defaultZone: view.cluster.settings.defaultTimezone)
    }

    private mutating func judge(
        _ before: JobSight, _ after: JobSight, _ view: StoreView, _ store: Store,
        _ verdict: inout Verdict
    ) {
        let generation = after.state.generation
        // Taken out and put back: a copy of an era is not cheap.
        guard var watch = watches.removeValue(forKey: generation) else { return }
        defer { watches[generation] = watch }
        let sameRevision = watch.era.revision == after.state.revision
        var from = watch.cursor
        let cursor = view.cluster.cursor(of: after.state)
        watch.cursor = cursor
        if sameRevision, from == cursor {
            watch.era.anchor = after.state.everyAnchor.nanoseconds
            return
        }
        let rows = tickRows(of: generation, after: watch.lastRow, store)
        let old = rows.filter { $0.row.revision == watch.era.revision }
        // What the retention of rows removed in the entry that wrote it can't be judged.
        let isCut =
            after.state.ledgerRows >= view.cluster.settings.ledgerRetention
            && rows.first?.place != watch.lastRow
        rowsAreCut = isCut
        if isCut { from = max(from, (rows.first?.row.from ?? cursor) - .nanoseconds(1)) }
        if sameRevision {
            // An edit that leaves the schedule alone carries what was due under the old rules.
            let ruling = watch.era.documentBytes == after.documentBytes ? after : before
            judge(old, of: watch.era, ruling, from: from, to: cursor, view, &verdict)
        } else if after.state.revision == watch.era.revision + 1 {
            // The edit carried what was due; its stamp is where the new revision begins.
            let new = rows.filter { $0.row.revision == after.state.revision }
            let end = new.isEmpty ? cursor : old.last?.row.to ?? from
            judge(old, of: watch.era, before, from: from, to: end, view, &verdict)
        }
        watch.lastRow = rows.last?.place ?? watch.lastRow
        watch.lastTurn = max(watch.lastTurn, rows.last?.row.decidedAt ?? .distantPast)
        if watch.era.documentBytes == after.documentBytes,
            watch.era.defaultZone == view.cluster.settings.defaultTimezone
        {
            watch.era.revision = after.state.revision
            watch.era.anchor = after.state.everyAnchor.nanoseconds
        } else {
            watch.era = era(of: after, view)
        }
    }

    private func judgeAnchor(
        _ before: JobSight, _ after: JobSight, _ verdict: inout Verdict
    ) {
        guard before.state.everyAnchor != after.state.everyAnchor else { return }
        guard case .every(let old) = OracleSchedule(before.document.schedule)?.form,
            case .every(let new) = OracleSchedule(after.document.schedule)?.form
        else { return }
        verdict.require(
            old != new, .S10, "the phase of \(after.name) moved though its period stayed \(old) s")
    }

    private func tickRows(
        of generation: Generation, after place: LedgerPlace?, _ store: Store
    ) -> [(place: LedgerPlace, row: LedgerRow)] {
        StoreView.rows(of: generation, after: place, in: store).filter { $0.place.sequence == 0 }
    }

    // MARK: Ticks

    private mutating func judge(
        _ rows: [(place: LedgerPlace, row: LedgerRow)], of era: Era, _ sight: JobSight,
        from: WallTime, to: WallTime, _ view: StoreView, _ verdict: inout Verdict
    ) {
        guard from < to else { return }
        let expected = ticks(of: era, from: from.nanoseconds, to: to.nanoseconds)
        guard let expected, expected.count < Self.stretchLimit else { return }
        ticksJudged += expected.count
        var next = 0
        var lateRun: Int64?
        for (_, row) in rows where row.to > from {
            if case .missed(.zone) = row.outcome {
                while next < expected.count, expected[next] <= row.to.nanoseconds { next += 1 }
                verdict.require(
                    zonesMayBeAbsent, .S3, "\(sight.name) missed ticks for a zone that is there")
                continue
            }
            if row.from > from {
                // A range may begin anywhere after the tick before it, a run stands on its tick.
                var begins = next < expected.count && expected[next] == row.from.nanoseconds
                if !begins, row.from < row.to, next < expected.count {
                    begins = expected[next] > row.from.nanoseconds
                }
                guard begins else { return report(row, expected, next, sight, &verdict) }
            }
            let first = next
            while next < expected.count, expected[next] <= row.to.nanoseconds { next += 1 }
            verdict.require(
                next > first && expected[next - 1] == row.to.nanoseconds, .S3,
                "a row of \(sight.name) ends at \(oracleTimeText(row.to.nanoseconds)), "
                    + "which is no tick of '\(sight.document.schedule)'")
            count(row, expected[first..<next], of: sight.state.generation, view)
            judgeOutcome(row, expected[first..<next], sight, view, &lateRun, &verdict)
            if verdict.violation != nil { return }
        }
        verdict.require(
            next == expected.count, .S2,
            "the cursor of \(sight.name) passed the tick "
                + "\(oracleTimeText(expected[min(next, expected.count - 1)])) undecided")
    }

    /// Launches to catch up, those included that found their job active or nowhere to go: what a
    /// gap holds beyond their limit is written off.
    private mutating func count(
        _ row: LedgerRow, _ ticks: ArraySlice<Int64>, of generation: Generation,
        _ view: StoreView
    ) {
        if gap.generation != generation || gap.decidedAt != row.decidedAt {
            gap = (generation, row.decidedAt, 0)
        }
        switch row.outcome {
        case .ran, .skipped(.overlap), .skipped(.noTarget): break
        case .skipped, .missed: return
        }
        let onTime = view.cluster.settings.onTime.nanoseconds
        gap.launches += ticks.count { row.decidedAt.nanoseconds - $0 > onTime }
    }

    private func report(
        _ row: LedgerRow, _ expected: [Int64], _ next: Int, _ sight: JobSight,
        _ verdict: inout Verdict
    ) {
        let found = oracleTimeText(row.from.nanoseconds)
        if next < expected.count, expected[next] < row.from.nanoseconds {
            verdict.fail(
                .S2,
                "the tick \(oracleTimeText(expected[next])) of \(sight.name) was left out; "
                    + "the next row is for \(found)")
        } else if next > 0, row.from.nanoseconds <= expected[next - 1] {
            verdict.fail(.S1, "the tick \(found) of \(sight.name) is decided twice")
        } else {
            verdict.fail(
                .S3,
                "\(found) is no tick of \(sight.name) ('\(sight.document.schedule)', zone "
                    + "'\(sight.document.timezone)')")
        }
    }

    private func ticks(of era: Era, from: Int64, to: Int64) -> [Int64]? {
        guard era.isInForce, let schedule = era.schedule else { return [] }
        guard let zone = era.zone ?? ZoneFiles.oracles["UTC"] else { return nil }
        let start = max(from, era.startsAt.map { $0 - 1 } ?? .min)
        let end = min(to, era.expiresAt ?? .max)
        return schedule.ticks(
            after: start, through: end, zone: zone, dst: era.dst, everyAnchor: era.anchor,
            limit: Self.stretchLimit)
    }

    private func judgeOutcome(
        _ row: LedgerRow, _ ticks: ArraySlice<Int64>, _ sight: JobSight, _ view: StoreView,
        _ lateRun: inout Int64?, _ verdict: inout Verdict
    ) {
        guard let first = ticks.first, let last = ticks.last else { return }
        let settings = view.cluster.settings
        let document = sight.document
        let window = document.catchUpWindow ?? settings.catchUpWindow
        let youngest = row.decidedAt.nanoseconds - last
        // Written only for a message.
        var when: String { oracleTimeText(first) }
        switch row.outcome {
        case .ran:
            verdict.require(
                youngest >= 0, .S5, "the tick \(when) of \(sight.name) was decided before it")
            verdict.require(
                row.from == row.to && ticks.count == 1, .S1,
                "one group of \(sight.name) stands for several ticks")
            verdict.require(
                !isPaused(first, view, strictly: true), .S3,
                "the tick \(when) of \(sight.name) ran in a pause")
            // One that waits its turn is as late as the run before it is long.
            if let calmBound, document.catchUp != .all || document.concurrency == .allow {
                verdict.require(
                    youngest <= calmBound.nanoseconds, .S6,
                    "the tick \(when) of \(sight.name) was decided "
                        + "\(durationText(.nanoseconds(youngest))) late in calm weather")
            }
            guard youngest > settings.onTime.nanoseconds, row.decidedAt > lastStamp else { return }
            let other = lateRun ?? first
            lateRun = other
            verdict.require(
                document.catchUp != .none, .S7, "\(sight.name) ran \(when) late in spite of 'none'")
            verdict.require(
                youngest <= window.nanoseconds, .S7,
                "\(sight.name) ran \(when), which is older than its window")
            verdict.require(
                document.catchUp == .all || other == first, .S7,
                "\(sight.name) ran \(oracleTimeText(other)) and \(when), both late")
        case .skipped(.paused):
            for tick in ticks {
                verdict.require(
                    isPaused(tick, view, strictly: false), .S3,
                    "\(oracleTimeText(tick)) of \(sight.name) was in no pause")
            }
        case .skipped(.overlap):
            verdict.require(
                document.concurrency == .forbid, .S3,
                "\(sight.name) skipped \(when) for an overlap that it allows")
        case .skipped(.noTarget):
            verdict.require(
                !document.tags.isEmpty || wasDrained, .S3,
                "\(sight.name) runs anywhere, and yet found no node for \(when)")
        case .skipped(.disabled):
            verdict.fail(.S3, "a disabled job has no ticks, yet \(when) was skipped for it")
        case .missed(.window):
            verdict.require(
                youngest >= window.nanoseconds || gap.launches >= 1_000 || rowsAreCut, .S7,
                "\(sight.name) missed \(when) inside its window")
        case .missed(.superseded):
            verdict.require(
                document.catchUp == .latest && youngest > settings.onTime.nanoseconds, .S7,
                "\(sight.name) let \(when) be superseded for no reason")
        case .missed(.zone): break
        case .missed(.policy):
            verdict.require(
                document.catchUp == .none && youngest > settings.onTime.nanoseconds, .S7,
                "\(sight.name) missed \(when) by a policy that it does not have")
        }
    }

    private func isPaused(_ tick: Int64, _ view: StoreView, strictly: Bool) -> Bool {
        view.cluster.pauses.contains {
            let from = $0.from.nanoseconds
            let to = $0.to?.nanoseconds ?? .max
            return strictly ? from < tick && tick < to : from <= tick && tick <= to
        }
    }

    // MARK: Totality

    /// In a healthy cluster nothing older than `bound` waits for its decision.
    func requireTotality(
        _ view: StoreView, now: WallTime, bound: Duration, into verdict: inout Verdict
    ) {
        for sight in view.jobs {
            guard let watch = watches[sight.state.generation] else { continue }
            let waits = sight.document.catchUp == .all && sight.document.concurrency != .allow
            // Between two turns nothing is active; a job that takes them falls behind and goes on.
            if waits, sight.state.activeGroups > 0 || now - watch.lastTurn < bound { continue }
            let expected = ticks(
                of: watch.era, from: watch.cursor.nanoseconds,
                to: (now - bound).nanoseconds)
            guard let expected else { continue }
            let open = expected.filter { !isPaused($0, view, strictly: false) }
            guard let tick = open.first else { continue }
            verdict.fail(
                .L4,
                "the tick \(oracleTimeText(tick)) of \(sight.name) is still undecided at "
                    + oracleTimeText(now.nanoseconds))
            return
        }
    }
}
