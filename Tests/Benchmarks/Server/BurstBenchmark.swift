// Ten thousand jobs due in the same second.

import Core
import Glibc

func burstBenchmark() throws {
    try burst(ofCalls: false)
    try burst(ofCalls: true)
}

private let burstSize = 10_000

private func burst(ofCalls: Bool) throws {
    let name = ofCalls ? "http" : "shell"
    progress("burst: \(burstSize) jobs of the executor \(name)")
    let scratch = try Scratch("burst")
    let server = try Server(scratch)
    try server.start()
    let client = try server.client()
    let target = ofCalls ? try FixedServer(bodyBytes: 2, keepsArrivals: true) : nil
    var possible = try spawnRate(seconds: 1)
    let due = wall() / 1_000_000_000 + 6
    try load(
        0..<burstSize, into: client, "@at \(RFC3339.print(WallTime(seconds: due)))",
        url: target.map { "http://127.0.0.1:\($0.port)/" })
    let dueNanoseconds = due * 1_000_000_000
    guard wall() < dueNanoseconds - 500_000_000 else {
        throw Failure("loading the jobs took until they were due")
    }
    sleep(seconds: Double(dueNanoseconds - wall()) / 1e9 - 0.2)
    let before = server.residentBytes
    var most = before
    sleep(seconds: Double(dueNanoseconds - wall()) / 1e9)
    progress("burst: due")
    do {
        try awaitSuccesses(burstSize, client) {
            most = max(most, server.residentBytes)
        }
    } catch {
        target?.end()
        throw error
    }
    let took = Double(wall() - dueNanoseconds) / 1e9
    target?.end()
    possible = (possible + (try spawnRate(seconds: 1))) / 2
    progress("burst: done, reading the ledger")
    let lateness = try latenesses(server)
    reportSpread(
        "executor \(name), decisions", lateness.decisions, ofCalls ? nil : .atMost(100))
    reportSpread("executor \(name), starts", lateness.starts, ofCalls ? .atMost(1_000) : nil)
    if let target {
        let arrivals = target.arrivals.map { Double($0 - dueNanoseconds) / 1e6 }
        guard arrivals.count == burstSize else {
            throw Failure("\(arrivals.count) requests came instead of \(burstSize)")
        }
        reportSpread(
            "executor \(name), requests at the other end, over \(target.connections) connections",
            arrivals)
        reportFigure("executor \(name), until all results were stored", took, "s")
    } else {
        let best = Double(burstSize) / possible
        reportNote("posix_spawn and waitpid in one thread would take \(short(best)) s for all")
        reportFigure(
            "executor \(name), until all results were stored", took / best, "times that",
            .atMost(1.25))
    }
    reportFigure(
        "executor \(name), resident memory grew by", mebibytes(most - before), "MiB",
        .atMost(100))
}

/// Milliseconds from being due to the decision and to the start, of each job; fails unless every
/// job ran exactly once.
private func latenesses(_ server: Server) throws -> (decisions: [Double], starts: [Double]) {
    let client = try server.client(connections: 16)
    var decisions: [Double] = []
    var starts: [Double] = []
    try client.drive({ number in
        guard number < 2 * burstSize else { return nil }
        let leaf = number % 2 == 0 ? "ticks" : "executions"
        return httpRequest("GET", "/v1/jobs/\(jobName(number / 2))/\(leaf)")
    }) { number, answer in
        let document = try JSONDocument(Array(answer.body))
        let rows = Array(document.elements(of: document.root))
        guard answer.status == 200, rows.count == 1 else {
            throw Failure("\(jobName(number / 2)) did not run exactly once: \(answer.text)")
        }
        func time(_ name: String) throws -> Int64 {
            guard let value = document.member(named: name, of: rows[0]),
                let text = document.string(value)
            else { throw Failure("no \(name) in \(answer.text)") }
            return try RFC3339.parse(text).nanoseconds
        }
        if number % 2 == 0 {
            decisions.append(Double(try time("decided_at") - time("from")) / 1e6)
        } else {
            starts.append(Double(try time("started_at") - time("scheduled_at")) / 1e6)
        }
    }
    return (decisions, starts)
}
