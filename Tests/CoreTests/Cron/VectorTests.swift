// Every line of the tables: ticks computed by a slow evaluator that tries each instant.

import Testing

@testable import Core

private typealias Data = CalendarFixture

@Suite struct VectorTests {
    @Test(arguments: [
        ("cron-literal.tsv", DSTPolicy.literal, 2_500),
        ("cron-literal-peer-errs.tsv", .literal, 60),
        ("cron-once.tsv", .once, 1_000),
    ])
    func ticksForwardAndBackward(table: String, dst: DSTPolicy, count: Int) throws {
        let lines = try Data.tableLines(table)
        #expect(lines.count == count)
        var zones = Data.Zones()
        for line in lines {
            let cells = Data.columns(line)
            let schedule = try Schedule.parse(cells[0], jobName: Data.anyJob)
            let rules = try zones(schedule.zoneName(job: cells[1], clusterDefault: "UTC"))
            let from = Data.instant(cells[2])
            let expected = cells.dropFirst(3).map(Data.instant)
            var ticks: [WallTime] = []
            var time = from
            while ticks.count < expected.count,
                let tick = schedule.next(
                    after: time, zone: rules, dst: dst, anchor: .init(seconds: 0))
            {
                ticks.append(tick)
                time = tick
            }
            #expect(ticks == expected, "\(line)")
            for (earlier, later) in zip(ticks, ticks.dropFirst()) {
                let back = schedule.previous(
                    before: later, zone: rules, dst: dst, anchor: .init(seconds: 0))
                #expect(back == earlier, "before \(RFC3339.print(later)): \(line)")
            }
            if let first = ticks.first {
                let back = schedule.previous(
                    before: first, zone: rules, dst: dst, anchor: .init(seconds: 0))
                #expect(back.map { $0 <= from } ?? true, "\(line)")
            }
        }
    }

    /// What the slow evaluator takes for malformed is refused, with a place inside the text.
    @Test func invalidSchedules() throws {
        let lines = try Data.tableLines("cron-invalid.tsv")
        #expect(lines.count == 400)
        for line in lines {
            let error = #expect(throws: ScheduleError.self, "\(line)") {
                try Schedule.parse(line, jobName: Data.anyJob)
            }
            if let error {
                #expect((1...line.unicodeScalars.count + 1).contains(error.column), "\(line)")
            }
        }
    }

    @Test func spreadByName() throws {
        let lines = try Data.tableLines("hash.tsv")
        #expect(lines.count == 150)
        for line in lines {
            let cells = Data.columns(line)
            let index = try #require(UInt8(cells[1]))
            let value = try #require(Int(cells[3]))
            let hash = SipHash.hash24(key0: 0, key1: 0, Array(cells[0].utf8) + [0, index])
            let digits = String(hash, radix: 16)
            #expect(String(repeating: "0", count: 16 - digits.count) + digits == cells[2])
            var fields = Array(repeating: "*", count: 6)
            fields[Int(index)] = "~"
            let schedule = try Schedule.parse(
                fields.joined(separator: " "), jobName: JobName(cells[0]))
            guard case .cron(let expression, nil) = schedule else {
                Issue.record("\(line)")
                continue
            }
            let sets = [
                expression.seconds, expression.minutes, expression.hours, expression.days,
                expression.months, expression.weekdays,
            ]
            #expect(sets[Int(index)] == 1 << UInt64(value), "\(line)")
            #expect(expression.usesName)
        }
    }
}
