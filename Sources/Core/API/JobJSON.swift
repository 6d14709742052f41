// A job as the API prints it: Dkron's fields in Dkron's order, then ours.

extension JSONWriter {
    /// What clients of Dkron know as "no time".
    static let zeroTime = "0001-01-01T00:00:00Z"

    /// A time that is always a text; the zero time if there is none.
    mutating func member(_ name: String, time: WallTime?) {
        member(name, time.map { RFC3339.print($0) } ?? Self.zeroTime)
    }

    /// A time or null.
    mutating func member(_ name: String, nullable time: WallTime?) {
        key(name)
        if let time { string(RFC3339.print(time)) } else { null() }
    }

    /// A duration as text, or null.
    mutating func member(_ name: String, nullable duration: Duration?) {
        key(name)
        if let duration { string(DurationText.print(duration)) } else { null() }
    }

    /// A map, or null when it is empty, as Dkron prints maps that were never set.
    mutating func member(_ name: String, nullable settings: [Setting]) {
        key(name)
        if settings.isEmpty { null() } else { self.settings(settings) }
    }

    mutating func settings(_ settings: [Setting]) {
        beginObject()
        for setting in settings { member(setting.name, setting.value) }
        endObject()
    }

    /// A job. The warnings of its submission, if any, follow as a last field.
    mutating func job(
        _ document: JobDocument, _ state: JobState, next: WallTime?, warnings: [String] = []
    ) {
        beginObject()
        member("id", document.name.text)
        member("name", document.name.text)
        member("displayname", document.displayName)
        member("timezone", document.timezone)
        member("schedule", document.schedule)
        member("owner", document.owner)
        member("owner_email", document.ownerEmail)
        member("success_count", state.successCount)
        member("error_count", state.errorCount)
        member("last_success", nullable: state.lastSuccess)
        member("last_error", nullable: state.lastError)
        member("disabled", document.isDisabled)
        member("tags", nullable: document.tags)
        member("metadata", nullable: document.metadata)
        member("retries", document.retries)
        dependents(state.children)
        member("parent_job", document.parent?.text ?? "")
        processors(document.processors)
        member("concurrency", document.concurrencyIsEmpty ? "" : document.concurrency.text)
        member("executor", document.executor)
        member("executor_config", nullable: document.executorConfig)
        member("status", state.status.text)
        member("next", time: next)
        member("ephemeral", document.isEphemeral)
        member("starts_at", nullable: document.startsAt)
        member("expires_at", nullable: document.expiresAt)
        ownFields(document)
        member("running", state.activeGroups)
        member("version", state.version)
        member("every_anchor", nullable: document.isEvery ? state.everyAnchor : nil)
        if let reason = document.invalidReason { member("invalid_reason", reason) }
        if !warnings.isEmpty {
            key("warnings")
            beginArray()
            for warning in warnings { string(warning) }
            endArray()
        }
        endObject()
    }

    /// What a user can set of a job and nothing else: what a merge patch is applied to.
    mutating func settableFields(_ document: JobDocument) {
        beginObject()
        member("name", document.name.text)
        member("displayname", document.displayName)
        member("timezone", document.timezone)
        member("schedule", document.schedule)
        member("owner", document.owner)
        member("owner_email", document.ownerEmail)
        member("disabled", document.isDisabled)
        member("tags", nullable: document.tags)
        member("metadata", nullable: document.metadata)
        member("retries", document.retries)
        member("parent_job", document.parent?.text ?? "")
        processors(document.processors)
        member("concurrency", document.concurrencyIsEmpty ? "" : document.concurrency.text)
        member("executor", document.executor)
        member("executor_config", nullable: document.executorConfig)
        member("ephemeral", document.isEphemeral)
        member("starts_at", nullable: document.startsAt)
        member("expires_at", nullable: document.expiresAt)
        ownFields(document)
        endObject()
    }

    private mutating func ownFields(_ document: JobDocument) {
        member("dst", document.dst.text)
        member("catch_up", document.catchUp.text)
        member("catch_up_window", nullable: document.catchUpWindow)
        member("lost_after", nullable: document.lostAfter)
        key("fence")
        if let fence = document.fence { bool(fence) } else { null() }
        if let rule = document.notifyOn { member("notify_on", rule.text) }
    }

    private mutating func dependents(_ children: [JobName]) {
        key("dependent_jobs")
        guard !children.isEmpty else { return null() }
        beginArray()
        for child in children { string(child.text) }
        endArray()
    }

    private mutating func processors(_ processors: [ProcessorSettings]) {
        key("processors")
        beginObject()
        for processor in processors {
            key(processor.name)
            settings(processor.settings)
        }
        endObject()
    }
}

extension JobDocument {
    /// Whether the schedule is `@every`, perhaps behind a zone. No reading of the schedule: a list
    /// asks this of every job.
    fileprivate var isEvery: Bool {
        guard let at = schedule.utf8.firstIndex(of: UInt8(ascii: "@")) else { return false }
        return schedule.utf8[at...].starts(with: "@every ".utf8)
    }
}

extension APIContext {
    /// The next tick that was not decided, as a job's `next` shows it.
    func next(_ document: JobDocument, _ state: JobState) -> WallTime? {
        TickPlan.next(document, state, store.cluster, zones, at: stamp)
    }
}

/// The entity tag of a job: its generation, so that a job deleted and made again is another one,
/// and its version.
enum JobTag {
    static func text(_ state: JobState) -> String { "\"\(state.generation)-\(state.version)\"" }

    /// Whether a tag from a request names this state. The bare version, as printed in the job, is
    /// accepted too; weak tags never match.
    static func matches(_ tag: String, _ state: JobState) -> Bool {
        tag == text(state) || tag == "\"\(state.version)\"" || tag == "\(state.version)"
    }
}
