// When a job is due. A schedule is a value: what the text said, with nothing of the host's zone or
// clock in it.

package enum Schedule: Hashable, Sendable {
    /// Readings of the local clock of a zone: the one written before the fields, or the job's.
    case cron(CronExpression, zone: String?)
    /// Every so often after the job's anchor: whole seconds, at least one.
    case every(Duration)
    /// Once.
    case at(WallTime)
    /// Never by itself.
    case manually

    /// The zone written as `TZ=` or `CRON_TZ=` before the fields.
    package var zonePrefix: String? {
        if case .cron(_, let zone) = self { return zone }
        return nil
    }

    /// The name of the zone that decides: the prefix, else the job's `timezone`, else the
    /// cluster's default. `Local` and an empty `timezone` mean the default.
    package func zoneName(job: String, clusterDefault: String) -> String {
        let name = zonePrefix ?? job
        return ZoneName.meansDefault(name) ? clusterDefault : name
    }

    /// Whether ticks depend on a zone at all.
    package var needsZone: Bool {
        if case .cron = self { return true }
        return false
    }

    /// Whether the schedule depends on the job's name (`~`).
    package var usesName: Bool {
        if case .cron(let expression, _) = self { return expression.usesName }
        return false
    }

    /// Whether the text had the five fields of a classic crontab line.
    package var isCrontabForm: Bool {
        if case .cron(let expression, _) = self { return expression.form == .crontab }
        return false
    }
}
