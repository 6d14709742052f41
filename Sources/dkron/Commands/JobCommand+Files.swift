internal import Adapters
internal import Core
internal import Glibc

// `dkron job create` and `dkron job apply`.

/// A job as it stands in a file.
struct FileJob: Hashable {
    /// Empty when it has none, which the server will refuse.
    var name: String
    var parent: String
    var json: [UInt8]

    /// The jobs of a file: one object, or an array of them.
    ///
    /// - Throws: `usage`, with the file's name, when it holds anything else.
    static func read(_ bytes: [UInt8], file: String) throws(CommandFailure) -> [FileJob] {
        let document: JSONDocument
        do throws(JSONError) {
            document = try JSONDocument(bytes, limits: JSONLimits(bytes: 1 << 30))
        } catch {
            throw .usage("\(file): \(error).")
        }
        let isArray = document.kind(of: document.root) == .array
        let values = isArray ? Array(document.elements(of: document.root)) : [document.root]
        guard !values.isEmpty else { throw .usage("\(file): the array holds no job.") }
        var jobs: [FileJob] = []
        for value in values {
            guard document.kind(of: value) == .object else {
                let error = document.error(
                    "a job is an object, this is \(document.kind(of: value))", at: value)
                throw .usage("\(file): \(error).")
            }
            func text(_ name: String) -> String {
                document.member(ignoringCase: name, of: value).flatMap { document.string($0) } ?? ""
            }
            jobs.append(
                FileJob(
                    name: text("name"), parent: text("parent_job"),
                    json: Array(document.source(of: value))))
        }
        return jobs
    }

    /// The jobs with parents before their children, and otherwise in their order. The rest of a
    /// circle of parents is for the server to refuse. Complexity: O(n).
    static func parentsFirst(_ jobs: [FileJob]) -> [FileJob] {
        var places: [String: Int] = [:]
        for (place, job) in jobs.enumerated() { places[job.name] = place }
        var isTaken = Array(repeating: false, count: jobs.count)
        var sorted: [FileJob] = []
        for start in jobs.indices {
            // From a job up to the first of its ancestors that has its place already.
            var chain: [Int] = []
            var next: Int? = start
            while let place = next, !isTaken[place] {
                isTaken[place] = true
                chain.append(place)
                next = jobs[place].parent.isEmpty ? nil : places[jobs[place].parent]
            }
            sorted += chain.reversed().map { jobs[$0] }
        }
        return sorted
    }
}

func createJobs(_ call: RemoteCall) throws(CommandFailure) {
    var query: [Query] = []
    if call.has("--run") { query.append(Query("runoncreate")) }
    try submit(call) { job throws(CommandFailure) in
        let reply = try call.client.exchange(
            .post, ["v1", "jobs"], query, headers: ["If-None-Match": "*"], body: job.json)
        if reply.status == 412 {
            throw .refused(
                "The job \"\(job.name)\" exists already; `dkron job apply` updates it.")
        }
        return (try call.client.accepted(reply), "created")
    }
}

func applyJobs(_ call: RemoteCall) throws(CommandFailure) {
    try submit(call) { job throws(CommandFailure) in
        // Only to be able to say what became of it.
        var before: Int64?
        if !job.name.isEmpty {
            let reply = try call.client.exchange(.get, ["v1", "jobs", job.name])
            if reply.status == 200 { before = reply.json?["version"]?.integer }
        }
        let reply = try call.client.send(.post, ["v1", "jobs"], body: job.json)
        let after = reply.json?["version"]?.integer
        return (reply, before == nil ? "created" : before == after ? "unchanged" : "updated")
    }
}

/// Submits the file's jobs one by one, and stops at the first that is refused.
private func submit(
    _ call: RemoteCall,
    _ send: (FileJob) throws(CommandFailure) -> (reply: Reply, what: String)
) throws(CommandFailure) {
    let file = call.operands[0]
    let jobs = FileJob.parentsFirst(try FileJob.read(try contents(of: file), file: file))
    var replies: [[UInt8]] = []
    for job in jobs {
        let label = job.name.isEmpty ? "a job without a name" : job.name
        do throws(CommandFailure) {
            let (reply, what) = try send(job)
            replies.append(reply.body)
            if !call.wantsJSON { printOut("\(printable(job.name)): \(what)") }
            for warning in reply.json?["warnings"]?.elements ?? [] {
                call.console.note("\(job.name): warning: \(warning.shown)")
            }
        } catch {
            guard jobs.count > 1, case .refused(let message) = error else { throw error }
            throw .refused(
                "\(label): \(message) (\(replies.count) of \(jobs.count) jobs were done before.)")
        }
    }
    guard call.wantsJSON else { return }
    let isArray = jobs.count > 1
    let joined = Array(replies.joined(separator: [0x2c]))
    call.console.write((isArray ? [0x5b] : []) + joined + (isArray ? [0x5d] : []) + [0x0a])
}

/// The bytes of a file; `-` is standard input.
private func contents(of file: String) throws(CommandFailure) -> [UInt8] {
    let descriptor = file == "-" ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
        throw .usage("\(file): \(String(cString: strerror(errno))).")
    }
    defer { if file != "-" { close(descriptor) } }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while true {
        let count = read(descriptor, &buffer, buffer.count)
        if count == 0 { return bytes }
        if count > 0 {
            bytes += buffer[..<count]
        } else if errno != EINTR {
            throw .usage("\(file): \(String(cString: strerror(errno))).")
        }
    }
}
