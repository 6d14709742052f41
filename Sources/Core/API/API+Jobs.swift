// Jobs one at a time: show, create or replace, patch, toggle, delete.

extension API {
    func showJob(
        _ call: Call, _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        let (document, state) = try stored(call.job, context)
        respond(
            call, jobAnswer(200, call, document, state, context), context, &actions)
    }

    /// Create or replace: `POST` and `PATCH /v1/jobs`, `PUT /v1/jobs/:job`.
    mutating func submit(
        _ call: Call, name: JobName?, _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        if context.store.cluster.refusesEdits { throw .paused }
        let json = try body(of: call)
        var input: JobInput
        do throws(JobError) {
            input = try JobReader.read(json.root, of: json, name: name)
        } catch {
            throw APIError(error)
        }
        guard try check(&input, call, context, &actions) else { return }
        let document = input.document
        let precondition = try precondition(call, context.store.state(document.name))
        let edit = JobEdit(
            kind: .submission, document: document, warnings: input.warnings,
            isConditional: precondition != .none)
        try save(edit, precondition, call, &actions)
    }

    /// A JSON merge patch of the stored job (RFC 7396).
    mutating func patchJob(
        _ call: Call, recomputations: Int = 0, _ context: APIContext,
        _ actions: inout [APIAction]
    ) throws(APIError) {
        if context.store.cluster.refusesEdits { throw .paused }
        let patch = try body(of: call)
        guard patch.kind(of: patch.root) == .object else {
            throw APIError(
                400, JobError.Code.wrongType.rawValue,
                "A patch is a JSON object with the fields to change, found"
                    + " \(patch.kind(of: patch.root)).")
        }
        let (stored, state) = try stored(call.job, context)
        var input = try patched(stored, by: patch)
        guard try check(&input, call, context, &actions) else { return }
        let asked = try precondition(call, state)
        let edit = JobEdit(
            kind: .patch, document: input.document, warnings: input.warnings,
            isConditional: asked != .none, recomputations: recomputations)
        try save(edit, .exactly(state.generation, version: state.version), call, &actions)
    }

    /// Disables an enabled job and the reverse. Works while paused.
    mutating func toggle(
        _ call: Call, recomputations: Int = 0, _ context: APIContext,
        _ actions: inout [APIAction]
    ) throws(APIError) {
        var (document, state) = try stored(call.job, context)
        if document.isDisabled, let reason = document.invalidReason {
            throw APIError(
                409, "invalid_job",
                "The job \"\(call.job)\" can't be enabled before it is put right: \(reason)")
        }
        document.isDisabled.toggle()
        let asked = try precondition(call, state)
        let edit = JobEdit(
            kind: .toggle, document: document, isConditional: asked != .none,
            recomputations: recomputations)
        try save(edit, .exactly(state.generation, version: state.version), call, &actions)
    }

    private func patched(
        _ stored: JobDocument, by patch: JSONDocument
    ) throws(APIError) -> JobInput {
        var target = JSONWriter(.compact, escaping: .minimal)
        target.settableFields(stored)
        let merged: JSONDocument
        do throws(JSONError) {
            merged = try JSONDocument(
                JSONMergePatch.apply(
                    try patch.withLowercasedMembers(), to: try JSONDocument(target.take())))
        } catch {
            throw APIError(error, of: "The patched job")
        }
        do throws(JobError) {
            return try JobReader.read(merged.root, of: merged, name: stored.name)
        } catch {
            throw APIError(error)
        }
    }

    private mutating func save(
        _ edit: JobEdit, _ precondition: Precondition, _ call: Call,
        _ actions: inout [APIAction]
    ) throws(APIError) {
        var put = PutJob(document: edit.document, precondition: precondition)
        put.isAllowedWhilePaused = edit.kind == .toggle
        if edit.kind == .submission, call.query.contains("runoncreate") {
            put.runOnCreate = RunNow(job: edit.document.name, requestID: makeRunID(), targets: [])
        }
        try propose(.putJob(put), .saveJob(edit), call, &actions)
    }

    /// What follows from the outcome of an edit.
    mutating func conclude(
        _ edit: JobEdit, _ made: Proposal, _ result: ApplyResult, _ context: APIContext,
        _ actions: inout [APIAction]
    ) throws(APIError) {
        let name = edit.document.name
        switch result {
        case .rejected(.preconditionFailed):
            guard edit.kind != .submission, !edit.isConditional, !made.isAbandoned,
                edit.recomputations < Limit.recomputations
            else { throw .preconditionFailed }
            let next = edit.recomputations + 1
            if edit.kind == .patch {
                try patchJob(made.call, recomputations: next, context, &actions)
            } else {
                try toggle(made.call, recomputations: next, context, &actions)
            }
        case .rejected(let rejection): throw APIError(rejection, job: name)
        case .stored(let created, let version):
            let message =
                switch edit.kind {
                case .submission, .patch: created ? "job created" : "job saved"
                case .toggle: edit.document.isDisabled ? "job disabled" : "job enabled"
                }
            var fields: [LogRecord.Field] = [
                .init("job", name.text), .init("version", "\(version)"),
            ]
            if edit.kind == .submission, made.call.query.contains("runoncreate") {
                fields.append(.init("run", "requested"))
            }
            log(message, made.call, fields, &actions)
            // Another command of the same batch may have deleted it again.
            guard let document = context.store.document(name),
                let state = context.store.state(name)
            else { throw .unknownJob(name) }
            let status = edit.kind == .submission ? 201 : 200
            var answer = jobAnswer(
                status, made.call, document, state, context, warnings: edit.warnings)
            for warning in edit.warnings { answer.headers.append("X-Dkron-Warning", warning) }
            if edit.kind == .submission {
                answer.headers.append("Location", "/v1/jobs/\(HTTPEscapes.escaped(name.text))")
            } else {
                answer.headers.append("Location", made.call.request.path)
            }
            reply(made, answer, context, &actions)
        case .applied, .launched, .restored, .rewound:
            invariant(false, "an edit of a job is stored or rejected")
        }
    }

    mutating func deleteJob(
        _ call: Call, _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        let (document, state) = try stored(call.job, context)
        let precondition = try precondition(call, state)
        var writer = JSONWriter(call.layout)
        writer.job(document, state, next: context.next(document, state))
        let kill = call.query.contains("kill") && call.query["kill"] != "false"
        try propose(
            .deleteJob(call.job, precondition, kill: kill),
            .deleteJob(call.job, body: writer.take()), call, &actions)
    }

    // MARK: Parts

    func stored(
        _ name: JobName, _ context: APIContext
    ) throws(APIError) -> (JobDocument, JobState) {
        guard let document = context.store.document(name), let state = context.store.state(name)
        else { throw .unknownJob(name) }
        return (document, state)
    }

    func jobAnswer(
        _ status: Int, _ call: Call, _ document: JobDocument, _ state: JobState,
        _ context: APIContext, warnings: [String] = []
    ) -> Answer {
        var writer = JSONWriter(call.layout)
        writer.job(
            document, state, next: context.next(document, state), warnings: warnings)
        var answer = Answer(status, writer)
        answer.headers.append("ETag", JobTag.text(state))
        return answer
    }

    /// The one JSON value of a request's body.
    func body(of call: Call) throws(APIError) -> JSONDocument {
        guard !call.request.body.isEmpty else {
            throw APIError(400, "malformed_json", "The body is empty; a JSON object is needed.")
        }
        do throws(JSONError) {
            return try JSONDocument(call.request.body)
        } catch {
            throw APIError(error, of: "The body")
        }
    }

    /// What `If-Match` and `If-None-Match` ask for. What the stored state contradicts already is
    /// refused at once; the rest is checked where the edit is applied.
    func precondition(_ call: Call, _ state: JobState?) throws(APIError) -> Precondition {
        let wanted = call.request.headers.list("If-Match")
        let unwanted = call.request.headers.list("If-None-Match")
        // In this order, and both of them (RFC 9110 section 13.2.2).
        if !wanted.isEmpty {
            guard let state, wanted.contains(where: { $0 == "*" || JobTag.matches($0, state) })
            else { throw .preconditionFailed }
        }
        if unwanted.contains("*") {
            guard state == nil else { throw .preconditionFailed }
            return .absent
        }
        if let state, unwanted.contains(where: { JobTag.matches($0, state) }) {
            throw .preconditionFailed
        }
        guard !wanted.isEmpty, let state else { return .none }
        return .exactly(state.generation, version: state.version)
    }
}

extension JSONDocument {
    /// The same object with the names of its members in lower case: a patch matches names exactly,
    /// and our fields are matched in either case everywhere else.
    func withLowercasedMembers() throws(JSONError) -> JSONDocument {
        var writer = JSONWriter(.compact, escaping: .minimal)
        writer.beginObject()
        for member in members(of: root) {
            writer.key((stringBytes(member.name) ?? []).map(asciiLowercased))
            write(member.value, to: &writer)
        }
        writer.endObject()
        return try JSONDocument(writer.take())
    }
}
