// Any text as a schedule, a duration and a time. What is accepted must search consistently: the
// tick found after an instant is the one found when looking back, in zones of every kind.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzCron(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    let text = String(decoding: bytes, as: UTF8.self)
    roundTrip(text)
    let seed = SipHash.hash24(key0: 0, key1: 0, bytes)
    let schedule: Schedule
    do {
        schedule = try Schedule.parse(text, jobName: JobName("fuzz"))
    } catch {
        invariant(error.column >= 1, "columns count from 1")
        invariant(error.column <= text.unicodeScalars.count + 1, "columns lie in the text")
        return 0
    }
    let zone = zones[Int(seed % UInt64(zones.count))]
    // 1900 to 2200, on and between whole seconds.
    let second = Int64(seed >> 20) % 9_467_000_000 - 2_208_988_800
    let from = WallTime(nanoseconds: second * 1_000_000_000 + Int64(seed & 1))
    let anchor = WallTime(seconds: Int64(seed >> 40) * 100)
    for dst in DSTPolicy.allCases {
        checkSearch(schedule, zone, dst, anchor: anchor, from: from)
    }
    return 0
}

private func checkSearch(
    _ schedule: Schedule, _ zone: ZoneRules, _ dst: DSTPolicy, anchor: WallTime, from: WallTime
) {
    let instant = Duration.nanoseconds(1)
    if let next = schedule.next(after: from, zone: zone, dst: dst, anchor: anchor) {
        invariant(next > from, "the next tick is later")
        let same = schedule.previous(
            before: next + instant, zone: zone, dst: dst, anchor: anchor)
        invariant(same == next, "looking back finds the tick")
        let earlier = schedule.previous(before: next, zone: zone, dst: dst, anchor: anchor)
        invariant(earlier.map { $0 <= from } ?? true, "no tick lies between")
    }
    if let previous = schedule.previous(before: from, zone: zone, dst: dst, anchor: anchor) {
        invariant(previous < from, "the previous tick is earlier")
        let same = schedule.next(
            after: previous - instant, zone: zone, dst: dst, anchor: anchor)
        invariant(same == previous, "looking ahead finds the tick")
        let later = schedule.next(after: previous, zone: zone, dst: dst, anchor: anchor)
        invariant(later.map { $0 >= from } ?? true, "no tick lies between")
    }
}

private func roundTrip(_ text: String) {
    if let duration = try? DurationText.parse(text) {
        let printed = DurationText.print(duration)
        invariant((try? DurationText.parse(printed)) == duration, "durations read back")
    }
    if let time = try? RFC3339.parse(text) {
        invariant((try? RFC3339.parse(RFC3339.print(time))) == time, "times read back")
        let local = RFC3339.print(time, offset: -12_645)
        invariant((try? RFC3339.parse(local)) == time, "local times read back")
    }
}

/// No saving, whole hours north and south, half an hour, changes at midnight, negative saving.
private let zones: [ZoneRules] = [
    "UTC0", "CET-1CEST,M3.5.0,M10.5.0/3", "<-04>4<-03>,M9.1.6/24,M4.1.6/24",
    "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "CST5CDT,M3.2.0/0,M11.1.0/1",
    "IST-1GMT0,M10.5.0,M3.5.0/1", "<-02>2<-01>,M3.5.0/-1,M10.5.0/0",
].map { text in
    guard let rule = try? PosixZone(Array(text.utf8)) else { fatalError("rule \(text)") }
    return ZoneRules(
        name: text, digest: 0, initial: rule.standard,
        transitions: rule.transitions(after: -ZoneRules.reach))
}
