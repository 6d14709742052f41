// The one shape of every error: a sentence for people, a stable word for programs, and the field
// at fault where there is one.

struct APIError: Error, Hashable, Sendable {
    var status: Int
    /// Stable: programs compare it.
    var code: String
    /// A whole sentence that says what is wrong and what to do.
    var message: String
    var field: String?
    /// Seconds, for the answers that say "try again".
    var retryAfter: Int?
    /// Methods, for 405.
    var allow: String?

    init(
        _ status: Int, _ code: String, _ message: String, field: String? = nil,
        retryAfter: Int? = nil, allow: String? = nil
    ) {
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.retryAfter = retryAfter
        self.allow = allow
    }

    /// The answer's body.
    func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("error", message)
        writer.member("code", code)
        if let field { writer.member("field", field) }
        writer.endObject()
    }
}

extension APIError {
    init(_ error: JSONError, of what: String) {
        self.init(400, "malformed_json", "\(what) is not valid JSON: \(error).")
    }

    init(_ error: JobError) {
        self.init(
            400, error.code.rawValue, error.message,
            field: error.field.isEmpty ? nil : error.field)
    }

    static func unknownJob(_ name: JobName) -> APIError {
        APIError(404, "unknown_job", "There is no job named \"\(name)\".")
    }

    static func unknownExecution(_ id: String, of job: JobName) -> APIError {
        APIError(404, "unknown_execution", "The job \"\(job)\" has no execution \"\(id)\".")
    }

    static func parameter(_ name: String, _ message: String) -> APIError {
        APIError(400, "invalid_parameter", message, field: name)
    }

    static func noTarget(_ name: JobName) -> APIError {
        APIError(
            409, "no_target",
            "No node that is alive matches the tags of the job \"\(name)\"; compare them with"
                + " GET /v1/members.")
    }

    static func overlap(_ name: JobName) -> APIError {
        APIError(
            409, "overlap",
            "The job \"\(name)\" is running and its concurrency is forbid; try again when the run"
                + " has ended.")
    }

    static let paused = APIError(
        503, "paused", "The cluster is paused; POST /v1/unpause lets it go on.", retryAfter: 10)

    static let preconditionFailed = APIError(
        412, "precondition_failed",
        "The job is not in the state that If-Match or If-None-Match asks for; read it again.")

    static let busy = APIError(
        503, "busy", "Too many requests are being worked on; this one was not begun. Try again.",
        retryAfter: 1)

    static let stopping = APIError(
        503, "stopping", "This server is stopping; nothing was done.", retryAfter: 5)

    static let outcomeUnknown = APIError(
        503, "outcome_unknown",
        "The outcome is unknown: the change may still take effect. Look before you repeat it.",
        retryAfter: 1)

    static let tooLarge = APIError(
        413, "command_too_large",
        "The change is larger than one entry of the log may be; nothing was done.")

    /// What a rejection by the replicated state means.
    init(_ rejection: Rejection, job: JobName) {
        switch rejection {
        case .unknownJob: self = .unknownJob(job)
        case .unknownExecution:
            self.init(404, "unknown_execution", "The job \"\(job)\" has no such execution.")
        case .executionEnded:
            self.init(409, "execution_ended", "The execution has ended already.")
        case .unknownParent(let parent):
            self.init(
                404, "unknown_parent",
                "There is no job named \"\(parent)\" to be the parent of \"\(job)\".",
                field: "parent_job")
        case .parentCycle(let parent):
            self.init(
                400, "parent_cycle",
                "The job \"\(job)\" would become its own ancestor: its parents lead back to"
                    + " \"\(parent)\".", field: "parent_job")
        case .hasChildren(let children):
            let shown = children.prefix(20).map(\.text).joined(separator: ", ")
            let rest = children.count > 20 ? " and \(children.count - 20) more" : ""
            self.init(
                409, "has_children",
                "The job \"\(job)\" is the parent of \(shown)\(rest); delete these or give them"
                    + " another parent first.")
        case .preconditionFailed: self = .preconditionFailed
        case .paused: self = .paused
        case .overlap: self = .overlap(job)
        case .noTarget: self = .noTarget(job)
        case .notPending:
            self.init(409, "not_pending", "The change is no longer waiting to be made.")
        }
    }
}
