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
    let rounds = 5
    var next = 0
    var ceilings: [Double] = []
    var due: [Double] = []
    var asked: [Double] = []
    var processor: [Double] = []
    var commands: [Double] = []
    var bare: [Double] = []
    for round in 1...rounds {
        progress("run: round \(round) of \(rounds)")
        let instant = (wall() / 1_000_000_000 + 2) * 1_000_000_000
        let schedule = "@at \(RFC3339.print(WallTime(nanoseconds: instant)))"
        try load(next..<(next + runs), into: status, schedule)
        // Before, between and after: a second later the machine may be a slower one.
        let spawned = try spawning(seconds: 0.4)
        bare.append(spawned.processor * 1e6)
        var rates = [spawned.rate]
        guard wall() < instant else { throw Failure("loading took too long") }
        sleep(seconds: Double(instant - wall()) / 1e9)
        let dueAt = monotonic()
        let used = server.allProcessorSeconds
        let usedByCommands = server.commandProcessorSeconds
        try awaitSuccesses(2 * next + runs, status)
        due.append(Double(runs) / seconds(since: dueAt))
        processor.append((server.allProcessorSeconds - used) * 1e6 / Double(runs))
        commands.append((server.commandProcessorSeconds - usedByCommands) * 1e6 / Double(runs))
        rates.append(try spawnRate(seconds: 0.4))

        let first = next
        let began = monotonic()
        try client.drive({ number in
            number < runs
                ? httpRequest("POST", "/v1/jobs/\(jobName(first + number))/run?wait=0") : nil
        }) { _, answer in
            guard answer.status < 300 else { throw Failure("not run: \(answer.text)") }
        }
        next += runs
        try awaitSuccesses(2 * next, status)
        asked.append(Double(runs) / seconds(since: began))
        rates.append(try spawnRate(seconds: 0.4))
        ceilings.append(rates.reduce(0, +) / 3)
    }
    let ceiling = "posix_spawn and waitpid in one thread"
    reportRatio("`true`, \(runs) due at once", due, of: ceiling, ceilings, .atLeast(0.8))
    let parts = [median(processor), median(commands), median(bare)].map(short)
    reportNote(
        "  processor time for each: \(parts[0]) µs of agent and supervisor and \(parts[1]) µs of"
            + " `true` itself; in the one thread \(parts[2]) µs for both")
    reportRatio(
        "`true`, \(runs) asked for by 32 connections", asked, of: ceiling, ceilings, .atLeast(0.8))
}

/// Waits until so many executions succeeded and none ended otherwise.
func awaitSuccesses(
    _ count: Int, _ client: LoadClient, limit: Double = 60,
    _ meanwhile: () -> Void = {}
) throws {
    var counts = try ServerCounts(client)
    let isDone = try eventually(limit) {
        // Each question takes a little of what is being measured.
        usleep(40_000)
        meanwhile()
        counts = try ServerCounts(client)
        return counts.succeeded >= count || counts.unwanted > 0
    }
    guard isDone, counts.succeeded == count, counts.unwanted == 0 else {
        throw Failure(
            "of \(count) executions \(counts.succeeded) succeeded, \(counts.unwanted) failed or"
                + " were never run")
    }
}
