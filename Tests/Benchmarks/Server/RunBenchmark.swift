// Commands from being due, or asked for, to their durable result, beside merely running them.

import Core
import Glibc

func runBenchmark() throws {
    let scratch = try Scratch("run")
    let server = try Server(scratch)
    try server.start()
    let client = try server.client(connections: 32)
    let status = try server.client()
    let runs = 1_000
    let rounds = 3
    var next = 0
    var succeeded = 0
    var ceilings: [Double] = []
    var due: [Double] = []
    var asked: [Double] = []
    var processor: [Double] = []
    for round in 1...rounds {
        progress("run: round \(round) of \(rounds)")
        ceilings.append(try spawnRate(seconds: 0.7))
        let instant = wall() / 1_000_000_000 + 3
        let schedule = "@at \(RFC3339.print(WallTime(seconds: instant)))"
        try load(next..<(next + runs), into: status, schedule)
        guard wall() < instant * 1_000_000_000 else { throw Failure("loading took too long") }
        sleep(seconds: Double(instant * 1_000_000_000 - wall()) / 1e9)
        succeeded += runs
        let dueAt = monotonic()
        let used = server.allProcessorSeconds
        try awaitSuccesses(succeeded, status, unwanted: 0)
        due.append(Double(runs) / seconds(since: dueAt))
        processor.append((server.allProcessorSeconds - used) * 1e6 / Double(runs))

        let first = next
        let began = monotonic()
        try client.drive({ number in
            number < runs
                ? httpRequest("POST", "/v1/jobs/\(jobName(first + number))/run?wait=0") : nil
        }) { _, answer in
            guard answer.status < 300 else { throw Failure("not run: \(answer.text)") }
        }
        succeeded += runs
        try awaitSuccesses(succeeded, status, unwanted: 0)
        asked.append(Double(runs) / seconds(since: began))
        next += runs
    }
    let ceiling = "posix_spawn and waitpid in one thread"
    reportRatio("`true`, \(runs) due at once", due, of: ceiling, ceilings, .atLeast(0.8))
    reportFigure("  processor time of agent and supervisor for each", median(processor), "µs")
    reportRatio(
        "`true`, \(runs) asked for by 32 connections", asked, of: ceiling, ceilings, .atLeast(0.8))
}

/// Waits until so many executions succeeded and none ended otherwise.
func awaitSuccesses(
    _ count: Int, _ client: LoadClient, unwanted: Int, limit: Double = 60,
    _ meanwhile: () -> Void = {}
) throws {
    var counts = try ServerCounts(client)
    let isDone = try eventually(limit) {
        usleep(20_000)
        meanwhile()
        counts = try ServerCounts(client)
        return counts.succeeded >= count || counts.unwanted > unwanted
    }
    guard isDone, counts.succeeded == count, counts.unwanted == unwanted else {
        throw Failure(
            "of \(count) executions \(counts.succeeded) succeeded, \(counts.unwanted) failed or"
                + " were never run")
    }
}
