// The product itself: the release binary with a fresh data directory, on the loopback.

import Core
import Glibc

final class Server {
    let dataDirectory: String
    let port: UInt16
    private let scratch: Scratch
    private var program: Program?

    /// Makes nothing yet; `start` does.
    init(_ scratch: Scratch) throws {
        self.scratch = scratch
        dataDirectory = scratch.path("data")
        port = try freePort()
    }

    /// `DKRON_BINARY`, or what was built beside this program.
    static let binary =
        getenv("DKRON_BINARY").map { String(cString: $0) } ?? programFolder + "/dkron"

    /// Starts it; the seconds until it was ready.
    @discardableResult
    func start(within limit: Double = 60) throws -> Double {
        let began = monotonic()
        let started = try Program(
            [
                Self.binary, "agent", "--server", "--node-name", "benchmark",
                "--http-addr", "127.0.0.1:\(port)", "--bind-addr", "127.0.0.1:\(freePort())",
                "--rpc-port", "\(freePort())", "--data-dir", dataDirectory,
                "--metrics-max-jobs", "0",
            ], log: scratch.path("log"))
        program = started
        let isReady = eventually(limit) {
            guard started.isRunning else { return true }
            guard let client = try? client() else { return false }
            return (try? client.ask(httpRequest("GET", "/ready"), expecting: [200])) != nil
        }
        guard isReady, started.isRunning else {
            throw Failure(
                "\(Self.binary) does not serve: \(readText(scratch.path("log")).suffix(800))")
        }
        return seconds(since: began)
    }

    /// Stops it the way a service manager does.
    func stop() {
        program?.end()
        program = nil
    }

    deinit { stop() }

    func client(connections: Int = 1) throws -> LoadClient {
        try LoadClient(port: port, connections: connections)
    }

    var residentBytes: Int { program?.residentBytes ?? 0 }
    var peakResidentBytes: Int { program?.peakResidentBytes ?? 0 }
    var processorSeconds: Double { program?.processorSeconds ?? 0 }
    /// With the supervisor's.
    var allProcessorSeconds: Double { program?.processorSecondsWithChildren ?? 0 }
    /// Of the commands that have ended.
    var commandProcessorSeconds: Double { program?.processorSecondsOfGrandchildren ?? 0 }

    /// Bytes of the log's files.
    var journalBytes: Int { bytes(in: "journal") }

    /// Bytes of the files in a folder of the data directory.
    func bytes(in kind: String) -> Int {
        let folder = dataDirectory + "/" + kind
        return names(in: folder).reduce(0) { total, name in
            var status = stat()
            return stat("\(folder)/\(name)", &status) == 0 ? total + Int(status.st_size) : total
        }
    }

    /// Whether a snapshot is being written, and the name of the last one.
    var snapshots: (underWay: Bool, last: String?) {
        let names = names(in: dataDirectory + "/snapshots")
        return (
            names.contains { $0.hasSuffix(".tmp") }, names.filter { $0.hasSuffix(".snap") }.max()
        )
    }
}

/// Figures of `/metrics` that tell when work is done.
struct ServerCounts {
    var succeeded = 0
    /// Executions that ended in another way, and ticks that were not run.
    var unwanted = 0
    var started = 0

    init(_ client: LoadClient) throws {
        for line in try client.ask(httpRequest("GET", "/metrics")).split(separator: "\n")
        where line.hasPrefix("dkron_executions_total{") || line.hasPrefix("dkron_ledger_")
            || line.hasPrefix("dkron_start_lateness_seconds_count")
        {
            let value = Int(line.split(separator: " ").last ?? "") ?? 0
            if line.hasPrefix("dkron_start_lateness") {
                started = value
            } else if line.contains("\"success\"") {
                succeeded = value
            } else if !line.contains("outcome=\"ran\"") {
                unwanted += value
            }
        }
    }
}

/// A job's document.
func jobText(_ name: String, _ schedule: String, url: String? = nil) -> String {
    let executor =
        url.map { "\"http\",\"executor_config\":{\"method\":\"GET\",\"url\":\"\($0)\"}" }
        ?? "\"shell\",\"executor_config\":{\"command\":\"true\"}"
    return #"{"name":"\#(name)","schedule":"\#(schedule)","executor":\#(executor)}"#
}

/// Names that sort as their numbers do.
func jobName(_ number: Int) -> String {
    let digits = "\(number)"
    return "job-" + String(repeating: "0", count: max(0, 7 - digits.utf8.count)) + digits
}

/// Imports jobs, at most 100,000 with one request.
func load(
    _ numbers: Range<Int>, into client: LoadClient, _ schedule: String, url: String? = nil
) throws {
    var start = numbers.lowerBound
    while start < numbers.upperBound {
        let end = min(start + 100_000, numbers.upperBound)
        let jobs = (start..<end).map { jobText(jobName($0), schedule, url: url) }
        let body = "[" + jobs.joined(separator: ",") + "]"
        let answer = try client.ask(
            httpRequest("POST", "/v1/restore", body, "Accept: application/json\r\n"))
        guard answer.contains("\"created\":\(end - start),") else {
            throw Failure("the import went wrong: \(answer.prefix(500))")
        }
        start = end
    }
}
