// What many jobs cost: memory, one more of them, a restart, and the patience of other clients.

import Core
import Glibc

/// - Parameter sizes: numbers of jobs, ascending.
func sizeBenchmark(_ sizes: [Int]) throws {
    let scratch = try Scratch("size")
    let server = try Server(scratch)
    try server.start()
    let client = try server.client()
    sleep(seconds: 2.5)
    let base = server.residentBytes
    reportFigure("resident without jobs", mebibytes(base), "MiB")
    let pulse = jobText("pulse", "* * * * * *")
    try client.ask(httpRequest("POST", "/v1/jobs", pulse))
    let alone = try creating(0, server)
    reportFigure("creating a job where there is none, the quickest tenth", alone.time, "ms")
    reportFigure("  processor time of the server for it", alone.processor, "µs")
    var loaded = 0
    for size in sizes {
        progress("size: loading \(size) jobs")
        let began = monotonic()
        try load(loaded..<size, into: client, "0 30 2 * * *")
        reportNote(
            "\(size) jobs: imported \(short(Double(size - loaded) / seconds(since: began)))/s")
        loaded = size
        // What only the import needed is given back a moment later.
        sleep(seconds: 3)
        let each = Double(server.residentBytes - base) / Double(size)
        reportFigure(
            "\(size) jobs: resident for each after the import", each, "bytes", .atMost(1_024))
        let again = try creating(size, server)
        reportFigure(
            "\(size) jobs: creating one more, the quickest tenth against that of the first",
            again.time / alone.time, "times",
            .atMost(1.5))
        reportFigure(
            "  and its processor time, against that of the first",
            again.processor / alone.processor, "times", .atMost(1.5))
        try listing(size, server)
    }
    if let size = sizes.last {
        try snapshotting(size, server)
        try restarting(size, server, base: base)
    }
}

/// Milliseconds to create one more job, the quickest tenth, and the microseconds that the server
/// computed for each. The jobs go again.
private func creating(
    _ size: Int, _ server: Server
) throws -> (time: Double, processor: Double) {
    let client = try server.client()
    var times: [Double] = []
    let used = server.processorSeconds
    try client.drive({ number in
        guard number < 300 else { return nil }
        let name = "more-\(size)-\(number)"
        return httpRequest("POST", "/v1/jobs", jobText(name, "0 30 2 * * *"))
    }) { _, answer in
        guard answer.status == 201 else { throw Failure("not saved: \(answer.text)") }
        times.append(Double(answer.nanoseconds) / 1e6)
    }
    let processor = (server.processorSeconds - used) * 1e6 / 300
    try client.drive { $0 < 300 ? httpRequest("DELETE", "/v1/jobs/more-\(size)-\($0)") : nil }
    return (quantile(times.sorted(), 0.1), processor)
}

/// Asks for `/health` again and again until told to stop; the longest wait in milliseconds.
private func patience(_ client: LoadClient, until isOver: () -> Bool) throws -> Double {
    let request = httpRequest("GET", "/health")
    var worst: Int64 = 0
    repeat {
        try client.drive({ $0 == 0 ? request : nil }) { worst = max(worst, $1.nanoseconds) }
        usleep(500)
    } while !isOver()
    return Double(worst) / 1e6
}

/// What a thread says to another one.
private final class Flag: @unchecked Sendable {
    // Belongs to `mutex`.
    private var number = 0
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)

    init() { pthread_mutex_init(mutex, nil) }

    var value: Int {
        get {
            pthread_mutex_lock(mutex)
            defer { pthread_mutex_unlock(mutex) }
            return number
        }
        set {
            pthread_mutex_lock(mutex)
            defer { pthread_mutex_unlock(mutex) }
            number = newValue
        }
    }
}

private func listing(_ size: Int, _ server: Server) throws {
    progress("size: listing \(size) jobs")
    let client = try server.client()
    let quiet = monotonic()
    let idle = try patience(client) { seconds(since: quiet) > 0.5 }
    let flag = Flag()
    let port = server.port
    let began = monotonic()
    let reader = Background { flag.value = max(1, drain(port: port, "/v1/jobs")) }
    let worst = try patience(client) { flag.value > 0 }
    let took = seconds(since: began)
    reader.join()
    guard flag.value > size * 100 else { throw Failure("the list of jobs is too short") }
    reportNote(
        "\(size) jobs: the list has \(short(mebibytes(flag.value))) MiB and takes \(short(took)) s")
    reportFigure(
        "\(size) jobs: longest wait for /health meanwhile (\(short(idle)) ms without)", worst, "ms",
        .atMost(50))
}

/// Writes until a snapshot has been taken, while another thread asks for `/health`.
private func snapshotting(_ size: Int, _ server: Server) throws {
    progress("size: filling the log until a snapshot of \(size) jobs is taken")
    let before = server.snapshots.last
    let writers = try server.client(connections: 8)
    let payload = String(repeating: "x", count: 16 << 10)
    let began = monotonic()
    let port = server.port
    let (isOver, worst) = (Flag(), Flag())
    let patient = Background {
        guard let client = try? LoadClient(port: port, connections: 1),
            let milliseconds = try? patience(client, until: { isOver.value > 0 })
        else { return }
        worst.value = Int(milliseconds * 1e6)
    }
    let written = Result {
        try writers.drive { number in
            guard seconds(since: began) < 30, number % 16 != 0 || server.snapshots.last == before
            else { return nil }
            return httpRequest(
                "POST", "/v1/jobs",
                #"{"name":"large-\#(number % 8)","schedule":"0 30 2 * * *","executor":"shell","#
                    + #""executor_config":{"command":"true"},"#
                    + #""metadata":{"n":"\#(number)\#(payload)"}}"#)
        }
    }
    let took = seconds(since: began)
    isOver.value = 1
    patient.join()
    try written.get()
    guard server.snapshots.last != before else {
        throw Failure("no snapshot was taken within 30 s of writing")
    }
    guard worst.value > 0 else { throw Failure("/health was not answered") }
    let bytes = short(mebibytes(server.bytes(in: "snapshots")))
    reportNote(
        "\(size) jobs: \(short(took)) s of writing led to a snapshot, which has \(bytes) MiB")
    reportFigure(
        "\(size) jobs: longest wait for /health from the first write to the snapshot",
        Double(worst.value) / 1e6, "ms", .atMost(50))
}

private func restarting(_ size: Int, _ server: Server, base: Int) throws {
    progress("size: restarting with \(size) jobs")
    let stopping = monotonic()
    server.stop()
    reportFigure("\(size) jobs: stopping", seconds(since: stopping), "s")
    let ready = try server.start(within: 120)
    let began = monotonic()
    reportFigure("\(size) jobs: from a start to ready", ready, "s", .atMost(10))
    let client = try server.client()
    guard try eventually(20, { try ServerCounts(client).started > 0 }) else {
        throw Failure("nothing fired within 20 s of the start")
    }
    reportFigure(
        "\(size) jobs: from ready to the first start of a command", seconds(since: began), "s",
        .atMost(1))
    sleep(seconds: 3)
    reportFigure(
        "\(size) jobs: resident for each after the restart",
        Double(server.residentBytes - base) / Double(size), "bytes", .atMost(1_024))
}
