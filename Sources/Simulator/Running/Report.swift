// Results as lines: for people, and between a sweep and its children.

import Core

extension RunResult {
    /// The one line of a failing run.
    var line: String {
        let hashText = String(hash, radix: 16)
        guard let violation else {
            let end = excuse.map { "not judged (\($0))" } ?? "ok"
            return "\(end): \(planName) at=\(timeText(virtualTime))s hash=\(hashText)"
        }
        return "FAIL \(violation.id.rawValue): \(planName) at=\(timeText(violation.time))s "
            + "hash=\(hashText): \(violation.message) [\(violation.id.sentence)]"
    }

    /// What a child tells the sweep about one seed.
    var record: String {
        let numbers: [UInt64] = [
            seed, hash, events, statistics.steps, UInt64(statistics.requests),
            UInt64(statistics.runs), UInt64(statistics.crashes),
            UInt64(statistics.acknowledged), UInt64(statistics.ticksJudged), statistics.marks,
            statistics.peerMarks, UInt64(virtualTime.wholeSeconds), violation == nil ? 0 : 1,
            excuse == nil ? 0 : 1,
        ]
        return "R " + numbers.map(String.init).joined(separator: " ") + " " + line
    }
}

/// The sum of a sweep.
struct Tally {
    var runs: UInt64 = 0
    var events: UInt64 = 0
    var excused: UInt64 = 0
    var virtualSeconds: UInt64 = 0
    var statistics = Statistics()
    var failures: [String] = []
    /// Whether one of these invariants was violated.
    func hasFailed(_ ids: [String]) -> Bool {
        failures.contains { line in ids.contains { line.hasPrefix("FAIL \($0):") } }
    }

    /// Hashes by seed, for comparing two runs.
    var hashes: [UInt64: UInt64] = [:]
    /// Seeds that were begun and not finished, by child.
    var begun: [Int: UInt64] = [:]

    /// Takes a line of a child. Returns the line to show, if it tells of a failure.
    mutating func take(_ line: String, from child: Int) -> String? {
        if line.hasPrefix("B ") {
            begun[child] = UInt64(line.dropFirst(2))
            return nil
        }
        guard line.hasPrefix("R ") else { return nil }
        let words = line.split(separator: " ", maxSplits: 15)
        let numbers = words[1..<min(15, words.count)].compactMap { UInt64($0) }
        guard numbers.count == 14 else { return nil }
        begun[child] = nil
        runs += 1
        events += numbers[2]
        hashes[numbers[0]] = numbers[1]
        statistics.add(
            Statistics(
                steps: numbers[3], requests: Int(numbers[4]), runs: Int(numbers[5]),
                crashes: Int(numbers[6]), syncs: 0, marks: numbers[9],
                peerMarks: numbers[10], acknowledged: Int(numbers[7]),
                ticksJudged: Int(numbers[8])))
        virtualSeconds += numbers[11]
        excused += numbers[13]
        guard numbers[12] == 1, words.count > 15 else { return nil }
        failures.append(String(words[15]))
        return String(words[15])
    }

    func summary(seconds: Int64) -> String {
        let rate = seconds > 0 ? statistics.steps / UInt64(seconds) : statistics.steps
        return "\(runs) runs, \(failures.count) failed, \(excused) not judged; "
            + "\(statistics.steps) node steps (\(rate) a second), \(events) events, "
            + "\(virtualSeconds / 3_600) virtual hours; \(statistics.acknowledged) of "
            + "\(statistics.requests) requests acknowledged, \(statistics.runs) commands run, "
            + "\(statistics.crashes) crashes, \(statistics.ticksJudged) ticks judged"
    }

    /// Marks of the core and of what surrounds it that no run reached. Only a bug makes two servers
    /// differ, so that one is not asked for.
    var missingMarks: [String] {
        Mark.allCases
            .filter { $0 != .stateDiverged && statistics.marks & (1 << UInt64($0.rawValue)) == 0 }
            .map { "\($0)" } + PeerMark.allCases.filter { !hasReached($0) }.map { "\($0)" }
    }

    /// What peers and plugins did in some run.
    var reachedPeerMarks: [String] { PeerMark.allCases.filter(hasReached).map { "\($0)" } }

    private func hasReached(_ mark: PeerMark) -> Bool {
        statistics.peerMarks & (1 << UInt64(mark.rawValue)) != 0
    }
}

enum Running {
    /// Runs one plan.
    static func run(_ plan: Plan, _ options: RunOptions, canary: Bool = false) -> RunResult {
        var world = World(plan: plan, options: options)
        if canary, plan.seed % 100 == 7 { world.fail(.canary, "as asked for") }
        return world.run()
    }
}
