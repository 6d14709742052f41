// How long the next tick, the previous tick and the reading of a schedule take.

import Core
import Glibc

func cronBenchmarks() {
    // 1,024 instants over 2000 to 2099, in no order: no branch predictor learns them.
    var state: UInt64 = 1
    let instants = (0..<1_024).map { _ -> WallTime in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return WallTime(seconds: 946_684_800 + Int64(state >> 33) % 3_155_760_000)
    }
    var sum: Int64 = 0
    print("cron, nanoseconds a call at random instants of 2000 to 2099")
    func report(_ name: String, _ body: (WallTime) -> Void) -> Double {
        reportNanoseconds(name, instants, body)
    }
    let baseline = report("baseline: date from days and back") { instant in
        sum &+= Int64(CivilDate(days: Int(instant.nanoseconds &>> 46)).days)
    }
    var worst = 0.0
    for name in ["UTC", "Europe/Berlin", "America/Santiago"] {
        guard let zone = benchmarkZone(name) else {
            print("  zone \(name) is missing: install the package tzdata")
            continue
        }
        for text in ["*/5 * * * * *", "0 30 2 * * *", "0 0 12 * * 1-5", "@yearly", "0 0 0 29 2 *"] {
            guard let schedule = try? Schedule.parse(text, jobName: JobName("benchmark")) else {
                continue
            }
            for dst in DSTPolicy.allCases {
                let time = report("next \"\(text)\" \(name) \(dst.text)") { instant in
                    let tick = schedule.next(
                        after: instant, zone: zone, dst: dst, anchor: .distantPast)
                    sum &+= tick?.nanoseconds ?? 0
                }
                worst = max(worst, time)
            }
            _ = report("previous \"\(text)\" \(name) once") { instant in
                let tick = schedule.previous(
                    before: instant, zone: zone, dst: .once, anchor: .distantPast)
                sum &+= tick?.nanoseconds ?? 0
            }
        }
    }
    let job = JobName("backup-of-the-database")
    for text in [
        "*/5 * * * * *", "0 30 2 * * *", "@daily", "@every 1h30m", "0 ~ ~/6 * * *",
        "0,30 8-51/3,54 13-17/4 1-15 JAN-JUN Tue,mon", "TZ=Europe/Berlin 0 30 2 * * MON-FRI",
    ] {
        _ = report("parse \"\(text)\"") { _ in
            if let schedule = try? Schedule.parse(text, jobName: job), schedule.needsZone {
                sum &+= 1
            }
        }
    }
    print("  slowest next tick: \(Int(worst / baseline)) baselines  [\(sum & 7)]")
}

/// Prints and returns the nanoseconds of one call, the best of seven rounds over the instants.
private func reportNanoseconds(
    _ name: String, _ instants: [WallTime], _ body: (WallTime) -> Void
) -> Double {
    let clock = ContinuousClock()
    var best = Double.infinity
    let repeats = 40
    for _ in 0..<7 {
        let elapsed = clock.measure {
            for _ in 0..<repeats { for instant in instants { body(instant) } }
        }
        let (seconds, attoseconds) = elapsed.components
        let nanoseconds = Double(seconds) * 1e9 + Double(attoseconds) / 1e9
        best = min(best, nanoseconds / Double(repeats * instants.count))
    }
    print("  \(name): \(Double(Int(best * 10)) / 10) ns")
    return best
}

private func benchmarkZone(_ name: String) -> ZoneRules? {
    if name == ZoneName.utc { return .utc }
    guard let file = fopen("/usr/share/zoneinfo/\(name)", "r") else { return nil }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 65_536)
    let count = fread(&bytes, 1, bytes.count, file)
    return try? ZoneRules(name: name, bytes: Array(bytes.prefix(count)))
}
