import Core
import Glibc
import Testing

@testable import Adapters

/// A data directory, a client and its real supervisor, for one test.
final class SupervisorBench {
    let directory: String
    private(set) var client: SupervisorClient!
    /// What was heard of each run, in order.
    private(set) var events: [ExecutionID: [RunEvent]] = [:]
    private(set) var log: [LogRecord] = []
    private let prefix: String
    private var made = 0

    init(depth: Int = 0, hide: [String] = []) throws {
        var template = Array("/tmp/dkron-supervisor-XXXXXX".utf8CString)
        let root = String(cString: try #require(mkdtemp(&template)))
        var path = root
        // A socket address holds 108 bytes, a data directory's path may be longer.
        for _ in 0..<depth {
            path += "/" + String(repeating: "d", count: 60)
            mkdir(path, 0o700)
        }
        directory = path
        prefix = root.split(separator: "-").last.map(String.init) ?? "x"
        try connect(hide: hide)
    }

    func connect(hide: [String] = []) throws {
        client = try SupervisorClient(
            dataDirectory: directory, executable: try Self.executable(), hideEnvironment: hide)
    }

    /// As a crash does it: the connection closes without a word.
    func crashAgent() {
        client = nil
        events = [:]
    }

    /// Ends everything and checks that nothing is left.
    func finish(sourceLocation: SourceLocation = #_sourceLocation) {
        if client == nil { try? connect() }
        let supervisor = supervisorID
        client.endAll()
        let isGone = waitUntil(seconds: 15) { supervisor == nil || !Self.isAlive(supervisor!) }
        #expect(isGone, "the supervisor ends", sourceLocation: sourceLocation)
        _ = waitUntil(seconds: 2) { survivors().isEmpty }
        #expect(survivors().isEmpty, "no process survives", sourceLocation: sourceLocation)
        client = nil
        remove()
    }

    // MARK: Runs

    func newID() -> ExecutionID {
        made += 1
        return ExecutionID("\(made)-\(prefix)")
    }

    func shell(
        _ script: String, timeout: Duration? = nil, grace: Duration = .seconds(10),
        fence: Duration? = nil, memoryLimit: UInt64? = nil, payload: [UInt8] = []
    ) -> RunSpec {
        RunSpec(
            execution: newID(),
            command: RunSpec.Command(
                arguments: ["/bin/sh", "-c", script], memoryLimit: memoryLimit, payload: payload),
            timeout: timeout, grace: grace, fence: fence)
    }

    /// Starts a run and waits for its end.
    func run(_ spec: RunSpec, seconds: Int = 20) -> Outcome {
        client.start(spec)
        return wait(for: spec.execution, seconds: seconds)
    }

    func wait(for id: ExecutionID, seconds: Int = 20) -> Outcome {
        _ = waitUntil(seconds: seconds) { outcome(of: id).isOver }
        return outcome(of: id)
    }

    func outcome(of id: ExecutionID) -> Outcome { Outcome(events[id] ?? []) }

    /// Serves the client until the condition holds; false when the time is over first.
    func waitUntil(seconds: Int, _ condition: () -> Bool) -> Bool {
        let end = Clocks.monotonic() + .seconds(Int64(seconds))
        while true {
            serve(milliseconds: 0)
            if condition() { return true }
            if Clocks.monotonic() > end { return false }
            serve(milliseconds: 20)
        }
    }

    func serve(milliseconds: Int32) {
        guard let client else { return }
        var state = pollfd(fd: client.fileDescriptor, events: Int16(POLLIN), revents: 0)
        poll(&state, 1, milliseconds)
        var heard = client.receive()
        heard += client.tick(now: Clocks.monotonic())
        for (id, event) in heard { events[id, default: []].append(event) }
        log += client.takeLog()
    }

    // MARK: The machine

    var supervisorID: Int32? {
        guard let bytes = ProcFile.read(directory + "/supervisor.lock", atMost: 32) else {
            return nil
        }
        return Int32(String(decoding: bytes, as: UTF8.self).split(separator: "\n").first ?? "")
    }

    /// Whoever the supervisor wakes runs before it goes on, mostly.
    func letOthersGoFirst() throws {
        let supervisor = id_t(try #require(supervisorID))
        setpriority(__priority_which_t(PRIO_PROCESS.rawValue), supervisor, 19)
    }

    var supervisorLog: String {
        let bytes = ProcFile.read(directory + "/supervisor.log", atMost: 1 << 20) ?? []
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Living processes that carry the mark of a run of this bench.
    func survivors() -> [Int32] {
        let ending = Array("-\(prefix)".utf8)
        return ProcessTable.read().entries.filter {
            !$0.isGone
                && ($0.markedExecution()?.suffix(ending.count).elementsEqual(ending) ?? false)
        }.map(\.processID)
    }

    static func isAlive(_ processID: Int32) -> Bool {
        ProcessEntry.read(processID).map { !$0.isGone } ?? false
    }

    /// The `dkron` of the same build, next to the bundle that holds these tests.
    static func executable() throws -> String {
        let maps = ProcFile.read("/proc/self/maps", atMost: 1 << 22) ?? []
        let text = String(decoding: maps, as: UTF8.self)
        for line in text.split(separator: "\n") where line.hasSuffix(".xctest") {
            guard let start = line.firstIndex(of: "/") else { continue }
            let bundle = line[start...]
            guard let slash = bundle.lastIndex(of: "/") else { continue }
            let path = bundle[...slash] + "dkron"
            if access(String(path), X_OK) == 0 { return String(path) }
        }
        throw MissingBuild()
    }

    struct MissingBuild: Error, CustomStringConvertible {
        let description = "no dkron beside the tests: run `swift build` first"
    }

    private func remove() {
        for name in ["sock", "lock", "log"] { unlink("\(directory)/supervisor.\(name)") }
        var path = directory
        while path.hasPrefix("/tmp/dkron-supervisor-"), rmdir(path) == 0 {
            path = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
        }
    }
}

/// What was heard of one run.
struct Outcome {
    var identity: ProcessIdentity?
    var output: [UInt8] = []
    var skipped: UInt64 = 0
    var end: RunEnd?
    var refused: String?
    var vanished: String?
    /// Each event came in its place, none twice.
    var isOrdered = true

    var isOver: Bool { end != nil || refused != nil || vanished != nil }
    var text: String { String(decoding: output, as: UTF8.self) }

    init(_ events: [RunEvent]) {
        for event in events {
            if isOver { isOrdered = false }
            switch event {
            case .started(let identity, _):
                if self.identity != nil { isOrdered = false }
                self.identity = identity
            case .output(let bytes, let skipped):
                if identity == nil { isOrdered = false }
                self.skipped += skipped
                output += bytes
            case .ended(let end):
                if identity == nil { isOrdered = false }
                self.end = end
            case .refused(let reason): refused = reason
            case .vanished(let reason): vanished = reason
            }
        }
    }
}
