// Any bytes as a zone file and as the rule in its footer. What is accepted must convert both ways
// and keep the search for ticks consistent, however wild its changes of offset are.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzZone(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    if let zone = try? ZoneRules(name: "Fuzz/Zone", bytes: bytes) { check(zone) }
    if let rule = try? PosixZone(bytes) {
        let transitions = rule.transitions(after: -ZoneRules.reach)
        for (a, b) in zip(transitions, transitions.dropFirst()) {
            invariant(a.at < b.at, "a rule's changes ascend")
        }
        check(
            ZoneRules(
                name: "Fuzz/Rule", digest: 0, initial: rule.standard, transitions: transitions))
    }
    return 0
}

private func check(_ zone: ZoneRules) {
    let segments = zone.segments
    // Around the first changes, the last ones and some between.
    let stride = max(1, segments.count / 8)
    for index in Swift.stride(from: 1, to: segments.count, by: stride) {
        for shift: Int64 in [-3_600, -1, 0, 1, 5_400] {
            let instant = segments[index].start + shift
            let local = instant + Int64(zone.offset(at: instant))
            switch zone.instants(ofLocal: local) {
            case .unique(let only): invariant(only == instant, "the reading leads back")
            case .repeated(let first, let last):
                invariant(first <= instant && instant <= last, "the reading leads back")
            case .skipped: invariant(false, "a reading that is shown is not skipped")
            }
            for schedule in schedules {
                for dst in DSTPolicy.allCases { check(schedule, zone, dst, from: instant) }
            }
        }
    }
}

private func check(_ schedule: Schedule, _ zone: ZoneRules, _ dst: DSTPolicy, from: Int64) {
    let origin = WallTime(seconds: 0)
    let time = WallTime(seconds: from)
    // Ends of representable time are clamped, which is not what is looked at here.
    guard time.seconds == from else { return }
    guard let next = schedule.next(after: time, zone: zone, dst: dst, anchor: origin) else {
        return
    }
    invariant(next > time, "the next tick is later")
    let same = schedule.previous(
        before: next + .nanoseconds(1), zone: zone, dst: dst, anchor: origin)
    invariant(same == next, "looking back finds the tick")
    let earlier = schedule.previous(before: next, zone: zone, dst: dst, anchor: origin)
    invariant(earlier.map { $0 <= time } ?? true, "no tick lies between")
}

private let schedules: [Schedule] = ["30 0 0 * * *", "0 */7 1-2 * * *", "0 0 12 31 12 ?"].map {
    guard let schedule = try? Schedule.parse($0, jobName: JobName("fuzz")) else {
        fatalError("schedule \($0)")
    }
    return schedule
}
