// Jobs saved durably, beside what the disk takes at best.

import Core
import Glibc

/// One connection waits for a sync each time; many share one.
func writeBenchmark() throws {
    let scratch = try Scratch("write")
    let server = try Server(scratch)
    try server.start()
    var number = 0
    func post() -> [UInt8] {
        number += 1
        return httpRequest("POST", "/v1/jobs", jobText(jobName(number), "0 30 2 * * *"))
    }
    let single = try server.client()
    let before = server.journalBytes
    try single.drive { $0 < 200 ? post() : nil }
    let record = (server.journalBytes - before) / 200
    reportNote("a saved job takes \(record) bytes of the log")
    let bare = try BareLog(scratch.path("ceiling"))
    let rounds = 9
    let slice = 0.4
    for connections in [1, 32] {
        let client = connections == 1 ? single : try server.client(connections: connections)
        var rates: [Double] = []
        var ceilings: [Double] = []
        var processor: [Double] = []
        var waits: [Double] = []
        let known = bare.times.count
        for round in 1...rounds {
            progress("write: connections: \(connections), round \(round) of \(rounds)")
            ceilings.append(
                try bare.rate(bytes: record, perSync: connections, seconds: slice))
            let began = monotonic()
            let used = server.processorSeconds
            var saved = 0
            try client.drive({ _ in seconds(since: began) < slice ? post() : nil }) { _, answer in
                guard answer.status == 201 else { throw Failure("not saved: \(answer.text)") }
                waits.append(Double(answer.nanoseconds) / 1e6)
                saved += 1
            }
            rates.append(Double(saved) / seconds(since: began))
            processor.append((server.processorSeconds - used) * 1e6 / Double(saved))
        }
        let words = connections == 1 ? "1 record a sync" : "\(connections) records a sync"
        reportRatio(
            "POST /v1/jobs, \(connections) connection\(connections == 1 ? "" : "s")", rates,
            of: "append and fdatasync of \(words)", ceilings,
            .atLeast(connections == 1 ? 0.6 : 0.25))
        reportFigure("  processor time of the server for each", median(processor), "µs")
        let quick = quantile(waits.sorted(), 0.01)
        let bareQuick = quantile(bare.times[known...].sorted(), 0.01)
        reportNote(
            "  the quickest hundredth: \(short(quick)) ms from request to answer,"
                + " \(short(bareQuick)) ms for a bare write, ratio \(short(bareQuick / quick))")
    }
}
