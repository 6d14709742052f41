// Every path that the API answers, in one table; the project's documentation lists the same.

/// One method on one path.
package struct Route: Sendable {
    package var method: HTTPMethod
    /// Segments that begin with a colon stand for anything; a last `*` for whatever is below, if
    /// anything is.
    package var pattern: String
    package var summary: String
    var handler: Handler
    var access: Access
    fileprivate var segments: [String]

    /// What a route needs of the node.
    enum Access: Sendable {
        /// Answered in every state of the node.
        case local
        /// Looks at the replicated state.
        case read
        /// Changes the replicated state.
        case write
    }

    enum Handler: Sendable {
        case root, page, health, ready, metrics, variables, status
        case members, leader, isLeader, leave, busy
        case listPeers, removePeer, transfer
        case showPause, pause, unpause
        case showSettings, putSettings
        case backup, restore
        case listJobs, createJob, showJob, putJob, patchJob, deleteJob
        case run, toggle
        case listExecutions, deleteExecutions, showExecution, showOutput, kill, lost
        case listTicks
        case drain, undrain, dismiss, rewind
        case listExecutors, listProcessors
    }

    private init(
        _ method: HTTPMethod, _ pattern: String, _ handler: Handler, _ access: Access,
        _ summary: String
    ) {
        self.method = method
        self.pattern = pattern
        self.handler = handler
        self.access = access
        self.summary = summary
        segments = pattern.split(separator: "/").map(String.init)
    }

    /// Whether an agent answers it too.
    var isOfAgents: Bool {
        switch handler {
        case .health, .ready, .metrics: true
        default: false
        }
    }

    /// The router's table.
    package static let table: [Route] = [
        Route(.get, "/", .root, .local, "leads browsers to the page"),
        Route(.get, "/ui/*", .page, .local, "a page about this node, for people"),
        Route(.get, "/health", .health, .local, "liveness"),
        Route(.get, "/ready", .ready, .local, "readiness"),
        Route(.get, "/metrics", .metrics, .local, "metrics in Prometheus' text format"),
        Route(.get, "/debug/vars", .variables, .local, "the node's counters as JSON"),
        Route(.get, "/v1", .status, .local, "this node and its cluster"),
        Route(.get, "/v1/members", .members, .local, "nodes of the cluster"),
        Route(
            .post, "/v1/members/:node/drain", .drain, .write, "give a node no new executions"),
        Route(
            .post, "/v1/members/:node/undrain", .undrain, .write, "give it executions again"),
        Route(
            .post, "/v1/members/:node/leave", .dismiss, .write,
            "have a node leave the cluster and stop"),
        Route(.get, "/v1/leader", .leader, .local, "the leader's node"),
        Route(.get, "/v1/isleader", .isLeader, .local, "whether this node leads"),
        Route(.post, "/v1/leave", .leave, .local, "leave the cluster"),
        Route(.get, "/v1/raft/peers", .listPeers, .read, "the servers that hold the log"),
        Route(.delete, "/v1/raft/peers/:peer", .removePeer, .write, "take a server's seat"),
        Route(.post, "/v1/raft/transfer", .transfer, .write, "have another server lead"),
        Route(
            .get, "/v1/executors", .listExecutors, .local,
            "what this node can run, and with which settings"),
        Route(
            .get, "/v1/processors", .listProcessors, .local,
            "what this node can do with outputs, and with which settings"),
        Route(.get, "/v1/busy", .busy, .read, "executions that have not ended"),
        Route(.get, "/v1/pause", .showPause, .read, "whether the cluster is paused"),
        Route(.post, "/v1/pause", .pause, .write, "stop ticks, submissions and runs by hand"),
        Route(.post, "/v1/unpause", .unpause, .write, "end a pause"),
        Route(.get, "/v1/settings", .showSettings, .read, "settings of the cluster"),
        Route(.put, "/v1/settings", .putSettings, .write, "change settings of the cluster"),
        Route(
            .post, "/v1/ledger/rewind", .rewind, .write,
            "make ticks due again that a clock ahead of the time has decided"),
        Route(
            .post, "/v1/jobs/:job/ledger/rewind", .rewind, .write,
            "the same for one job, however little it is ahead"),
        Route(.get, "/v1/backup", .backup, .read, "a copy of everything, for `dkron recover`"),
        Route(.post, "/v1/restore", .restore, .write, "import an export, all or nothing"),
        Route(.get, "/v1/jobs", .listJobs, .read, "list jobs; a complete export"),
        Route(.post, "/v1/jobs", .createJob, .write, "create or replace a job"),
        Route(.patch, "/v1/jobs", .createJob, .write, "create or replace a job"),
        Route(.get, "/v1/jobs/:job", .showJob, .read, "show a job"),
        Route(.put, "/v1/jobs/:job", .putJob, .write, "create or replace the named job"),
        Route(.patch, "/v1/jobs/:job", .patchJob, .write, "change fields of a job"),
        Route(.delete, "/v1/jobs/:job", .deleteJob, .write, "delete a job"),
        Route(.post, "/v1/jobs/:job", .run, .write, "run a job now"),
        Route(.post, "/v1/jobs/:job/run", .run, .write, "run a job now"),
        Route(.post, "/v1/jobs/:job/toggle", .toggle, .write, "disable or enable a job"),
        Route(.get, "/v1/jobs/:job/ticks", .listTicks, .read, "what became of each due instant"),
        Route(.get, "/v1/jobs/:job/executions", .listExecutions, .read, "list executions"),
        Route(
            .delete, "/v1/jobs/:job/executions", .deleteExecutions, .write,
            "delete ended executions and reset counters"),
        Route(
            .get, "/v1/jobs/:job/executions/:execution", .showExecution, .read,
            "show an execution with its output"),
        Route(
            .get, "/v1/jobs/:job/executions/:execution/output", .showOutput, .read,
            "the output of an execution as text, also while it is printed"),
        Route(
            .post, "/v1/jobs/:job/executions/:execution/kill", .kill, .write, "end an execution"),
        Route(
            .post, "/v1/jobs/:job/executions/:execution/lost", .lost, .write,
            "give up an execution whose machine is dead"),
    ]

    enum Match {
        case found(Route, parameters: [String])
        /// The path exists with other methods.
        case otherMethods(allow: String)
        case none
    }

    /// The routes that a path of so many segments may have, in the table's order. The last entry is
    /// that of all longer paths.
    private static let byLength: [[Route]] = {
        let longest = table.map(\.segments.count).max() ?? 0
        return (0...longest + 1).map { count in table.filter { $0.fits(count) } }
    }()

    /// The route of a method and a decoded path. `HEAD` works where `GET` does. O(routes of that
    /// length).
    static func match(_ method: HTTPMethod, _ path: HTTPPath) -> Match {
        let wanted = method == .head ? .get : method
        var others: [String] = []
        let candidates = byLength[min(path.segments.count, byLength.count - 1)]
        for route in candidates {
            guard let parameters = route.parameters(in: path) else { continue }
            if route.method == wanted { return .found(route, parameters: parameters) }
            others.append(route.method.description)
            if route.method == .get { others.append("HEAD") }
        }
        if others.isEmpty { return .none }
        return .otherMethods(allow: (others + ["OPTIONS"]).joined(separator: ", "))
    }

    /// What a request needs of the node that answers it: nothing, if there is no such route or the
    /// client is content with what any server knows.
    static func need(of request: HTTPRequest) -> Access {
        guard let path = try? request.decodedPath(),
            case .found(let route, _) = match(request.method, path)
        else { return .local }
        guard let query = try? request.decodedQuery() else { return route.access }
        if route.access == .read, query.contains("stale") { return .local }
        // It tells what would be, of the state as it is.
        if route.handler == .restore, query.contains("dry_run") { return .read }
        return route.access
    }

    /// Whether everything below one path is served, and that path as a folder.
    private var isTree: Bool { segments.last == "*" }

    /// The form of the path that is served, where that is the other one of with and without a last
    /// slash. The roots, `/` and `/v1`, are served in both.
    func otherForm(of path: HTTPPath, written: String) -> String? {
        if isTree {
            let isRoot = path.segments.count == segments.count - 1
            return isRoot && !path.hasTrailingSlash ? written + "/" : nil
        }
        guard path.hasTrailingSlash, !path.segments.isEmpty, path.segments != ["v1"] else {
            return nil
        }
        var shorter = Substring(written)
        while shorter.utf8.last == UInt8(ascii: "/") { shorter.removeLast() }
        return String(shorter)
    }

    /// Whether the path of a request may have so many segments.
    private func fits(_ count: Int) -> Bool {
        isTree ? count >= segments.count - 1 : count == segments.count
    }

    /// What stands for the pattern's variables; nil if a path that fits is another one.
    private func parameters(in path: HTTPPath) -> [String]? {
        var parameters: [String] = []
        for (segment, part) in zip(isTree ? segments.dropLast() : segments[...], path.segments) {
            if segment.utf8.first == UInt8(ascii: ":") {
                if part.isEmpty { return nil }
                parameters.append(part)
            } else if segment != part {
                return nil
            }
        }
        return parameters
    }
}
