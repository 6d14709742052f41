// What clients were told against what became of it.

import Core

struct APIChecker {
    /// A write that may take effect, or took effect.
    private struct Wish {
        let operation: Int
        let method: String
        let path: [String]
        let body: NaiveJSON?
        let sentAt: TrueTime
        /// Its client knows, or gave up.
        var isClosed = false
        var isUnknown = false
    }

    private var wishes: [Int: Wish] = [:]
    /// Names whose jobs a wish may change, oldest wish first.
    /// The newest index that an answer showed: a request that arrives from now on sees at least
    /// that, unless it asks for what one server knows.
    private(set) var newestAnswerIndex: LogIndex = 0
    private var restores = 0

    var isRestoring: Bool { restores > 0 }

    // MARK: Requests

    mutating func didArrive(_ operation: Operation, _ index: Int) {
        guard operation.isWrite, wishes[index] == nil else { return }
        let path = operation.target.prefix { $0 != "?" }.split(separator: "/").map(String.init)
        if path.contains("restore") { restores += 1 }
        wishes[index] = Wish(
            operation: index, method: operation.draft.method, path: path,
            body: NaiveJSON(Array(operation.draft.body.utf8)), sentAt: operation.sentAt)
    }

    mutating func didAnswer(
        _ operation: Operation, _ reply: Reply, arrivedAfter floor: LogIndex,
        into verdict: inout Verdict
    ) {
        let request = "\(operation.draft.method) \(operation.target)"
        verdict.require(
            reply.status != 500, .A8,
            "\(request) got 500: \(String(decoding: reply.body.prefix(200), as: UTF8.self))")
        if let index = reply.index {
            // What was answered while this request was under way may be newer.
            verdict.require(
                index >= floor || reply.status >= 400, operation.isLocal ? .A7 : .A1,
                "\(request) was answered at index \(index) though it came after \(floor)")
            newestAnswerIndex = max(newestAnswerIndex, index)
        }
        judgeShape(request, operation, reply, &verdict)
        if operation.draft.isInvalid {
            verdict.require(
                (400..<500).contains(reply.status) || reply.status == 503, .A8,
                "\(request) is invalid and was answered \(reply.status)")
        }
    }

    private func judgeShape(
        _ request: String, _ operation: Operation, _ reply: Reply, _ verdict: inout Verdict
    ) {
        guard operation.draft.method != "HEAD", operation.target.hasPrefix("/v1") else { return }
        let type = reply.headers["Content-Type"] ?? ""
        guard type.holds("json") || reply.status >= 400 else { return }
        guard let json = NaiveJSON(reply.body) else {
            return verdict.fail(
                .A6,
                "\(request) was answered \(reply.status) with no JSON: "
                    + String(decoding: reply.body.prefix(120), as: UTF8.self))
        }
        guard reply.status >= 400, !operation.target.hasPrefix("/v1/isleader") else { return }
        verdict.require(
            !(json["error"]?.text ?? "").isEmpty && !(json["code"]?.text ?? "").isEmpty, .A8,
            "\(request) got \(reply.status) without saying why: \(json.json.prefix(120))")
    }

    mutating func didConclude(_ operation: Operation, _ index: Int) {
        guard wishes[index] != nil else { return }
        switch operation.outcome {
        case .unreachable: wishes[index] = nil
        case .unknown:
            wishes[index]!.isClosed = true
            wishes[index]!.isUnknown = true
        case .answered(let reply):
            if wishes[index]!.path.contains("restore") { restores -= 1 }
            wishes[index]!.isClosed = true
            wishes[index]!.isUnknown = operation.hadUnknownAttempt
            if reply.isRefusal, !operation.hadUnknownAttempt { wishes[index] = nil }
        case .waiting, .open: wishes[index]!.isClosed = true
        }
    }

    // MARK: Attribution

    /// Every change that a person can see must have been asked for by somebody.
    mutating func observe(
        _ changes: StoreChanges, _ view: StoreView, into verdict: inout Verdict
    ) {
        for sight in changes.created {
            verdict.require(
                isWished(sight, nil), .A3, "the job \(sight.name) appeared and nobody asked for it")
        }
        for (before, after) in changes.changed where before.state.version != after.state.version {
            verdict.require(
                isWished(after, before) || isEphemeralEnd(before, after), .A3,
                "the job \(after.name) changed and nobody asked for it")
        }
        for sight in changes.removed {
            let isEphemeral = sight.document.isEphemeral
            verdict.require(
                isRemovalWished(sight) || isEphemeral, .A2,
                "the job \(sight.name) vanished and nobody asked for it")
            if isEphemeral, !isRemovalWished(sight) {
                let succeeded = changes.endedGroups.contains {
                    $0.before.generation == sight.state.generation
                }
                verdict.require(
                    succeeded || !changes.executions.isEmpty, .X12,
                    "the ephemeral job \(sight.name) vanished without a success")
            }
        }
        // Answered long ago and seen applied: nothing more can come of it.
        if wishes.count > 256 {
            wishes = wishes.filter { !$0.value.isClosed || $0.value.isUnknown }
        }
    }

    private func isEphemeralEnd(_ before: JobSight, _ after: JobSight) -> Bool {
        before.document.isEphemeral && after.document.isDisabled
    }

    private func isWished(_ sight: JobSight, _ before: JobSight?) -> Bool {
        let name = sight.name.text
        return wishes.values.contains { wish in
            let path = wish.path
            if path.last == "restore" { return true }
            guard path.count >= 2, path[0] == "v1", path[1] == "jobs" else { return false }
            let named = path.count > 2 ? path[2] : wish.body?["name"]?.text
            guard named == name else { return false }
            switch wish.method {
            case "POST":
                if path.count == 4, path[3] == "toggle" {
                    return before.map {
                        $0.document.isDisabled != sight.document.isDisabled
                    } ?? false
                }
                return path.count == 2 && Self.matches(wish.body, sight.document, isWhole: true)
            case "PUT": return Self.matches(wish.body, sight.document, isWhole: true)
            case "PATCH":
                return Self.matches(wish.body, sight.document, isWhole: path.count == 2)
            default: return false
            }
        }
    }

    private func isRemovalWished(_ sight: JobSight) -> Bool {
        wishes.values.contains {
            $0.method == "DELETE" && $0.path.count == 3 && $0.path[2] == sight.name.text
        }
    }

    /// Whether a stored document is what a request asked for, field by field.
    static func matches(_ body: NaiveJSON?, _ document: JobDocument, isWhole: Bool) -> Bool {
        guard let body else { return false }
        func text(_ name: String) -> String? { body[name]?.text }
        func agrees(_ name: String, _ stored: String, fallback: String) -> Bool {
            guard let sent = body[name] else { return !isWhole || stored == fallback }
            if case .null = sent { return stored == fallback }
            return sent.text == stored
        }
        func agreesBool(_ name: String, _ stored: Bool) -> Bool {
            guard let sent = body[name] else { return !isWhole || !stored }
            return sent.isTrue == stored
        }
        return agrees("schedule", document.schedule, fallback: "")
            && agrees("timezone", document.timezone, fallback: "")
            && agrees("displayname", document.displayName, fallback: "")
            && agrees("owner", document.owner, fallback: "")
            && agrees("executor", document.executor, fallback: "")
            && agreesBool("disabled", document.isDisabled)
            && agreesBool("ephemeral", document.isEphemeral)
            && (body["retries"]?.integer ?? (isWhole ? 0 : Int64(document.retries)))
                == Int64(document.retries)
            && agrees("parent_job", document.parent?.text ?? "", fallback: "")
            && (text("concurrency").map { ($0.isEmpty ? "allow" : $0) == document.concurrency.text }
                ?? (!isWhole || document.concurrency == .allow))
            && (body["executor_config"]?["command"]?.text).map { command in
                document.executorConfig.contains { $0.name == "command" && $0.value == command }
            } ?? true
    }

    // MARK: Acknowledgements

    /// A success must be visible in the state at the moment it is told.
    func judgeAcknowledgement(
        _ operation: Operation, _ reply: Reply, _ view: StoreView, into verdict: inout Verdict
    ) {
        guard (200..<300).contains(reply.status) else { return }
        let path = operation.target.prefix { $0 != "?" }.split(separator: "/").map(String.init)
        guard path.count >= 2, path[0] == "v1", path[1] == "jobs", let json = NaiveJSON(reply.body)
        else { return }
        let name = path.count > 2 ? path[2] : json["name"]?.text ?? ""
        switch operation.draft.method {
        case "POST" where path.count == 2, "PUT", "PATCH":
            guard let version = json["version"]?.integer else { return }
            judgeAnswer(operation, json, version, name, &verdict)
            guard let sight = view.job(name) else { return }
            verdict.require(
                UInt64(version) <= sight.state.version || operation.hadUnknownAttempt, .A1,
                "\(name) was answered with version \(version), stored is \(sight.state.version)")
        case "DELETE" where path.count == 3:
            // Whoever has the name now must have been created after.
            guard let sight = view.job(name), let index = reply.index else { return }
            verdict.require(
                sight.state.generation > 0
                    && (sight.state.generation >= index
                        || sight.document.name.text != name || wasReplaced(name, since: operation)),
                .A4, "\(name) was deleted at index \(index) and is still there")
        default: return
        }
    }

    /// The answer to a write shows what was asked for.
    private func judgeAnswer(
        _ operation: Operation, _ json: NaiveJSON, _ version: Int64, _ name: String,
        _ verdict: inout Verdict
    ) {
        let headers = operation.draft.headers
        if headers.contains(where: { $0.name == "If-None-Match" }) {
            verdict.require(
                version == 1 || operation.attempts > 1, .A1,
                "\(name) was created in spite of being there: version \(version)")
        }
        guard !wasRewritten(name, operation) else { return }
        if let match = headers.first(where: { $0.name == "If-Match" })?.value {
            // An identical job is no change, and keeps its version.
            let isRight = match == "\"\(version)\"" || match == "\"\(version - 1)\""
            verdict.require(
                isRight || operation.attempts > 1, .A1,
                "\(name) was written though it was not version \(match): now \(version)")
        }
        guard let asked = NaiveJSON(Array(operation.draft.body.utf8)) else { return }
        for field in ["schedule", "retries", "disabled", "owner", "parent_job", "timezone"] {
            guard let value = asked[field], value != .null else { continue }
            verdict.require(
                json[field] == value, .A1,
                "\(name) was asked for \(field) \(value.json) and is answered "
                    + (json[field]?.json ?? "nothing"))
        }
    }

    /// Whether somebody else wrote the same job while the request was under way.
    private func wasRewritten(_ name: String, _ operation: Operation) -> Bool {
        wishes.values.count {
            ($0.path.count > 2 ? $0.path[2] == name : $0.body?["name"]?.text == name)
                || $0.path.contains("restore")
        } > 1
    }

    private func wasReplaced(_ name: String, since operation: Operation) -> Bool {
        wishes.values.contains {
            $0.sentAt >= operation.sentAt && $0.method != "DELETE"
                && ($0.body?["name"]?.text == name || ($0.path.count > 2 && $0.path[2] == name))
        }
    }
}
