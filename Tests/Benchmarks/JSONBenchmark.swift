// How fast a job's JSON becomes a checked structure, and back.

import Core
import Glibc

/// Every field of a job as the API takes it, plainly typed: what reading a job costs at least.
private struct BenchmarkJob {
    var name = ""
    var displayName = ""
    var timezone = ""
    var schedule = ""
    var owner = ""
    var ownerEmail = ""
    var successCount: Int64 = 0
    var errorCount: Int64 = 0
    var lastSuccess: String?
    var lastError: String?
    var disabled = false
    var tags: [(String, String)] = []
    var metadata: [(String, String)] = []
    var retries: UInt32 = 0
    var dependentJobs: [String] = []
    var parentJob = ""
    var processors: [(String, [(String, String)])] = []
    var concurrency = ""
    var executor = ""
    var executorConfig: [(String, String)] = []
    var status = ""
    var next = ""
    var ephemeral = false
    var startsAt: String?
    var expiresAt: String?

    static let fields = JSONNames([
        "id", "name", "displayname", "timezone", "schedule", "owner", "owner_email",
        "success_count", "error_count", "last_success", "last_error", "disabled", "tags",
        "metadata", "retries", "dependent_jobs", "parent_job", "processors", "concurrency",
        "executor", "executor_config", "status", "next", "ephemeral", "starts_at", "expires_at",
    ])

    init(_ bytes: [UInt8]) throws(JSONError) {
        let document = try JSONDocument(bytes)
        guard document.kind(of: document.root) == .object else {
            throw document.error("a job is an object", at: document.root)
        }
        let fields = Self.fields
        for member in document.members(of: document.root) {
            guard let field = fields.index(of: member.name, in: document) else {
                throw document.error("unknown field", at: member.name)
            }
            let value = member.value
            if document.isNull(value) { continue }
            try take(field, value, document)
        }
        if name.isEmpty { throw document.error("name is missing", at: document.root) }
    }

    private mutating func take(
        _ field: Int, _ value: JSONValue, _ document: JSONDocument
    ) throws(JSONError) {
        switch field {
        case 0, 1: name = try text(value, document)
        case 2: displayName = try text(value, document)
        case 3: timezone = try text(value, document)
        case 4: schedule = try text(value, document)
        case 5: owner = try text(value, document)
        case 6: ownerEmail = try text(value, document)
        case 7: successCount = try integer(value, document)
        case 8: errorCount = try integer(value, document)
        case 9: lastSuccess = try text(value, document)
        case 10: lastError = try text(value, document)
        case 11: disabled = try flag(value, document)
        case 12: tags = try map(value, document)
        case 13: metadata = try map(value, document)
        case 14:
            guard let number = UInt32(exactly: try integer(value, document)) else {
                throw document.error("retries is out of range", at: value)
            }
            retries = number
        case 15:
            guard document.kind(of: value) == .array else {
                throw document.error("a list is expected", at: value)
            }
            for element in document.elements(of: value) {
                dependentJobs.append(try text(element, document))
            }
        case 16: parentJob = try text(value, document)
        case 17:
            for member in document.members(of: value) {
                let name = try text(member.name, document)
                processors.append((name, try map(member.value, document)))
            }
        case 18: concurrency = try text(value, document)
        case 19: executor = try text(value, document)
        case 20: executorConfig = try map(value, document)
        case 21: status = try text(value, document)
        case 22: next = try text(value, document)
        case 23: ephemeral = try flag(value, document)
        case 24: startsAt = try text(value, document)
        default: expiresAt = try text(value, document)
        }
    }

    private func text(_ value: JSONValue, _ document: JSONDocument) throws(JSONError) -> String {
        guard let text = document.string(value) else {
            throw document.error("a string is expected", at: value)
        }
        return text
    }

    private func integer(_ value: JSONValue, _ document: JSONDocument) throws(JSONError) -> Int64 {
        guard let number = document.int64(value) else {
            throw document.error("a whole number is expected", at: value)
        }
        return number
    }

    private func flag(_ value: JSONValue, _ document: JSONDocument) throws(JSONError) -> Bool {
        guard let flag = document.bool(value) else {
            throw document.error("true or false is expected", at: value)
        }
        return flag
    }

    private func map(
        _ value: JSONValue, _ document: JSONDocument
    ) throws(JSONError) -> [(String, String)] {
        guard document.kind(of: value) == .object else {
            throw document.error("an object is expected", at: value)
        }
        var result: [(String, String)] = []
        result.reserveCapacity(document.count(of: value))
        for member in document.members(of: value) {
            result.append((try text(member.name, document), try text(member.value, document)))
        }
        return result
    }
}

private let jobText = """
    {"id":"nightly-backup","name":"nightly-backup","displayname":"Nightly backup of the shop",\
    "timezone":"Europe/Madrid","schedule":"0 30 2 * * *","owner":"Operations","owner_email":\
    "ops@example.com","success_count":1204,"error_count":3,"last_success":\
    "2031-05-01T00:30:04.123456789Z","last_error":null,"disabled":false,"tags":{"role":"db:1"},\
    "metadata":{"team":"ops","cost":"low"},"retries":2,"dependent_jobs":["verify-backup"],\
    "parent_job":"","processors":{"files":{"forward":"true","log_dir":"/var/log/dkron"}},\
    "concurrency":"forbid","executor":"shell","executor_config":{"shell":"true","command":\
    "/usr/local/bin/backup.sh --full"},"status":"success","next":"2031-05-02T00:30:00Z",\
    "ephemeral":false,"starts_at":null,"expires_at":null}
    """

func jsonBenchmarks() {
    let bytes = Array(jobText.utf8)
    let rounds = 300_000
    print("JSON, a job of \(bytes.count) bytes")
    // The ceiling: looking at every byte once, in the plainest loop.
    var sum: UInt64 = 0
    let scan = reportRate("byte scan", rounds, bytes.count) { round in
        var part: UInt64 = UInt64(round)
        for byte in bytes { part &+= UInt64(byte) }
        sum &+= part
    }
    var nodes = 0
    let tree = reportRate("checked document", rounds, bytes.count) { _ in
        if let document = try? JSONDocument(bytes) { nodes += document.count(of: document.root) }
    }
    var length = 0
    let job = reportRate("job structure", rounds, bytes.count) { _ in
        if let job = try? BenchmarkJob(bytes) { length += job.name.utf8.count }
    }
    let real = reportRate("validated job of the store", rounds, bytes.count) { _ in
        if let document = try? JSONDocument(bytes),
            let input = try? JobReader.read(document.root, of: document)
        {
            length += input.warnings.count
        }
    }
    guard let document = try? JSONDocument(bytes) else { return }
    let writing = reportRate("written again", rounds, bytes.count) { _ in
        var writer = JSONWriter()
        document.write(document.root, to: &writer)
        length += writer.bytes.count
    }
    let parts = [("document", tree), ("structure", job), ("validated", real), ("written", writing)]
    let ratios = parts.map { "\($0.0) 1/\(ratio($0.1, scan))" }.joined(separator: ", ")
    print("  of the byte scan: \(ratios)  [\((sum ^ UInt64(nodes + length)) & 7)]")
}

private func ratio(_ a: Double, _ b: Double) -> Double {
    Double(Int(a / b * 10)) / 10
}

/// Runs the body many times and prints and returns nanoseconds a round: the best of twenty batches,
/// in processor time, so that a busy machine disturbs little.
func reportRate(_ name: String, _ rounds: Int, _ bytes: Int, _ body: (Int) -> Void) -> Double {
    var best = Double.infinity
    for _ in 0..<20 {
        let start = processorNanoseconds()
        for round in 0..<(rounds / 20) { body(round) }
        best = min(best, Double(processorNanoseconds() - start) / Double(rounds / 20))
    }
    let rate = Int(Double(bytes) / best * 1e3)
    print("  \(name): \(Int(best)) ns, \(rate) MB/s, \(Int(1e9 / best)) a second")
    return best
}

private func processorNanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}
