// One real server: the product's own binary with a data directory and ports of its own.

import Glibc
import Testing

/// Where the product lies: beside the bundle that holds these tests, unless `DKRON_BINARY` says.
let binary: String = {
    if let given = getenv("DKRON_BINARY") { return String(cString: given) }
    guard let bundle = realpath("/proc/self/exe", nil) else { return "dkron" }
    defer { free(bundle) }
    return String(cString: bundle).split(separator: "/").dropLast().map { "/" + $0 }.joined()
        + "/dkron"
}()

final class Server {
    let scratch: Scratch
    var dataDirectory: String
    /// Where it listens.
    var host = "127.0.0.1"
    /// From where it is reached, if not from everywhere.
    var door: Namespace?
    let httpPort = freePort()
    var gossipPort = freePort()
    var rpcPort = freePort()
    let node: String
    var extraArguments: [String]
    /// Else an agent: it needs somebody to join, and answers `/ready` at its address for metrics.
    var isServer = true
    /// Variables besides those of every process of the test.
    var environment: [String: String] = [:]
    /// A program that runs the product, with its arguments.
    var wrapper: [String] = []
    private(set) var process: ChildProcess?

    init(_ name: String, in scratch: Scratch? = nil, arguments: [String] = []) {
        let scratch = scratch ?? Scratch(name)
        self.scratch = scratch
        node = name
        dataDirectory = scratch.path("data-\(name)")
        extraArguments = arguments
    }

    var log: String { readText(logPath) }
    var logPath: String { dataDirectory + ".log" }
    var processID: pid_t { process?.processID ?? 0 }

    var arguments: [String] {
        let http = "\(host):\(httpPort)"
        let role =
            isServer
            ? ["--server", "--bootstrap-expect", "1", "--http-addr", http]
            : ["--metrics-addr", http]
        return [
            binary, "agent", "--node-name", node, "--bind-addr", "\(host):\(gossipPort)",
            "--rpc-port", "\(rpcPort)", "--data-dir", dataDirectory,
        ] + role + extraArguments
    }

    /// Starts the program without waiting for it.
    func launch() throws {
        process = try ChildProcess(
            wrapper + arguments, log: logPath,
            environment: environment.merging(scratch.mark) { $1 })
    }

    /// Starts it and waits until it serves; the time that took.
    @discardableResult
    func start(within seconds: Double = 15) throws -> Double {
        let began = uptime()
        try launch()
        let isReady = eventually(seconds) { process?.poll() != nil || isServing }
        try #require(isReady && process?.ending == nil, "not ready, its log: \(log.suffix(2_000))")
        return uptime() - began
    }

    /// Whether the log says so by now, or soon.
    func logs(_ text: String, within seconds: Double = 20) -> Bool {
        eventually(seconds) { log.contains(text) }
    }

    var isServing: Bool { self.get("/ready", timeout: 2)?.status == 200 }

    /// The node's supervisor: one process, or none.
    var supervisors: [pid_t] {
        scratch.processes { line in
            let words = line.split(separator: " ")
            return words.contains("supervisor") && words.contains { $0 == dataDirectory }
        }
    }

    /// Kills the agent the hard way.
    func crash() {
        process?.signal(SIGKILL)
        process?.wait(10)
    }

    /// Kills the agent and its supervisor the hard way, in this order.
    func crashWithSupervisor() {
        let others = supervisors
        crash()
        for other in others { kill(other, SIGKILL) }
    }

    // MARK: Requests

    func get(_ path: String, timeout: Int = 20) -> Answer? {
        exchange(port: httpPort, host: host, through: door, "GET", path, timeout: timeout)
    }

    func send(
        _ method: String, _ path: String, _ body: String = "",
        headers: [(String, String)] = [], timeout: Int = 40
    ) -> Answer? {
        exchange(
            port: httpPort, host: host, through: door, method, path, headers: headers,
            body: Array(body.utf8), timeout: timeout)
    }

    /// Saves a job that must be accepted.
    @discardableResult
    func save(_ job: String) throws -> JSON {
        let answer = try #require(send("POST", "/v1/jobs", job))
        try #require(answer.status == 201, "\(answer.text)")
        return answer.json
    }

    /// A job's executions, newest first.
    func executions(of job: String) -> [JSON] {
        get("/v1/jobs/\(job)/executions?_end=10000")?.json.elements ?? []
    }

    /// Imports jobs, all or none.
    func restore(_ jobs: [String]) throws {
        let boundary = "----part"
        let body = """
            --\(boundary)\r
            Content-Disposition: form-data; name="file"; filename="jobs.json"\r
            \r
            [\(jobs.joined(separator: ","))]\r
            --\(boundary)--\r

            """
        let kind = "multipart/form-data; boundary=\(boundary)"
        let answer = send("POST", "/v1/restore", body, headers: [("Content-Type", kind)])
        try #require(answer?.status == 200, "\(answer?.text ?? "no answer")")
    }

    /// Waits for an execution of the job that satisfies the condition.
    func execution(
        of job: String, within seconds: Double = 15, where condition: (JSON) -> Bool
    ) throws -> JSON {
        var found: JSON?
        _ = eventually(seconds) {
            found = executions(of: job).first(where: condition)
            return found != nil
        }
        return try #require(
            found,
            """
            no such execution of \(job): \(get("/v1/jobs/\(job)/executions")?.text ?? "no answer")
            log: \(log.suffix(2_000))
            """)
    }
}

/// `{"name": …, "executor": "shell", …}` for a command run by `/bin/sh -c`.
func shellJob(
    _ name: String, _ command: String, schedule: String = "@manually", more: String = ""
) -> String {
    let escaped = command.reduce(into: "") { text, character in
        if character == "\"" || character == "\\" { text += "\\" }
        text.append(character)
    }
    return """
        {"name": "\(name)", "schedule": "\(schedule)", "executor": "shell",
         "executor_config": {"shell": "true", "command": "\(escaped)"}\(more)}
        """
}
