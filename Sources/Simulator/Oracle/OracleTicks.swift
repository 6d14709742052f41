// Which instants a schedule is due at, by asking every minute of a stretch of time.

extension OracleSchedule {
    /// How a local time that does not exist, or exists twice, is treated.
    enum DST: String, Sendable { case once, literal }

    /// Ticks after `from` and up to `to`, in nanoseconds since 1970, oldest first; at most `limit`.
    func ticks(
        after from: Int64, through to: Int64, zone: OracleZone, dst: DST, everyAnchor: Int64,
        limit: Int = .max
    ) -> [Int64] {
        guard from < to else { return [] }
        let second: Int64 = 1_000_000_000
        switch form {
        case .never: return []
        case .at(let at): return at > from && at <= to ? [at] : []
        case .every(let period):
            let step = period * second
            var tick = everyAnchor + step
            if tick <= from { tick += ((from - tick) / step + 1) * step }
            var found: [Int64] = []
            while tick <= to, found.count < limit {
                found.append(tick)
                tick += step
            }
            return found
        case .fields(let fields):
            // Whole seconds only: the first after `from`, the last not after `to`.
            let first = OracleCivil.floorDivide(from, second) + 1
            let last = OracleCivil.floorDivide(to, second)
            return walk(fields, first, last, zone, dst, limit).map { $0 * second }
        }
    }

    private func walk(
        _ fields: Fields, _ first: Int64, _ last: Int64, _ zone: OracleZone, _ dst: DST,
        _ limit: Int
    ) -> [Int64] {
        guard first <= last else { return [] }
        let appliesOnce = dst == .once && !fields.hourIsOpen
        // A repeated hour may have begun up to a day before.
        let changes = zone.changes(after: first - 90_000, through: last)
        var moved: [Int64] = []
        if appliesOnce {
            for change in changes where change.after > change.before && change.at >= first {
                let gap = change.at + change.before..<change.at + change.after
                if gap.contains(where: { fields.matches(OracleCivil(seconds: $0)) }) {
                    moved.append(change.at)
                }
            }
        }
        func isRepeated(_ second: Int64) -> Bool {
            changes.contains {
                $0.after < $0.before && second >= $0.at
                    && second < $0.at + $0.before - $0.after
            }
        }
        var found: [Int64] = []
        var pending = moved[...]
        var second = first
        while second <= last, found.count < limit {
            let offset = zone.offset(at: second)
            let local = OracleCivil(seconds: second + offset)
            let next = changes.first { $0.at > second }?.at ?? .max
            if let due = pending.first, due == second {
                pending.removeFirst()
                found.append(second)
                second += 1
            } else if !fields.matchesDate(local) {
                // Nothing on this local day: on to the next, or to the next change of the offset.
                let midnight = (24 - local.hour) * 3_600 - local.minute * 60 - local.second
                second = min(second + Int64(midnight), next)
            } else if !fields.hour[local.hour] || !fields.minute[local.minute] {
                second = min(second + Int64(60 - local.second), next)
            } else {
                if fields.second[local.second], !(appliesOnce && isRepeated(second)) {
                    found.append(second)
                }
                second += 1
            }
        }
        return found
    }
}
