// What the user can set of a job. Run-time facts (counters, cursor, status) live in `JobState`,
// so that a tick rewrites a hundred bytes and not the document.

/// A name and a value, both text; lists of them keep the order in which they were sent.
package struct Setting: Hashable, Sendable {
    package var name: String
    package var value: String

    package init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}

/// A processor's name and its settings, in the order of the document.
package struct ProcessorSettings: Hashable, Sendable {
    package var name: String
    package var settings: [Setting]

    package init(name: String, settings: [Setting]) {
        self.name = name
        self.settings = settings
    }
}

/// Whether groups of one job may be active together.
package enum ConcurrencyPolicy: UInt8, CaseIterable, Sendable {
    /// No rule.
    case allow
    /// A tick that finds an active group is skipped.
    case forbid
    /// A tick that finds active groups ends them and runs after them.
    case replace

    /// Reads the job field; nil for other words than those of the cases.
    package init?(text: String) {
        switch text {
        case "allow": self = .allow
        case "forbid": self = .forbid
        case "replace": self = .replace
        default: return nil
        }
    }

    package var text: String {
        switch self {
        case .allow: "allow"
        case .forbid: "forbid"
        case .replace: "replace"
        }
    }
}

/// What becomes of ticks that were not decided on time.
package enum CatchUpPolicy: UInt8, CaseIterable, Sendable {
    /// The youngest inside the window runs.
    case latest
    /// Each inside the window runs, oldest first.
    case all
    /// None runs.
    case none

    /// Reads the job field; nil for other words than those of the cases.
    package init?(text: String) {
        switch text {
        case "latest": self = .latest
        case "all": self = .all
        case "none": self = .none
        default: return nil
        }
    }

    package var text: String {
        switch self {
        case .latest: "latest"
        case .all: "all"
        case .none: "none"
        }
    }
}

/// The document of a job: every field that a user can set, parsed and validated.
package struct JobDocument: Hashable, Sendable {
    package var name: JobName
    package var displayName = ""
    /// IANA name, empty for the cluster's default zone.
    package var timezone = ""
    /// The schedule as written; empty only for children.
    package var schedule = ""
    package var owner = ""
    package var ownerEmail = ""
    package var isDisabled = false
    package var tags: [Setting] = []
    package var metadata: [Setting] = []
    package var retries: UInt32 = 0
    package var parent: JobName?
    package var processors: [ProcessorSettings] = []
    package var concurrency = ConcurrencyPolicy.allow
    /// How `concurrency` was written when it means `allow`: absent and empty print differently.
    package var concurrencyIsEmpty = false
    package var executor = ""
    package var executorConfig: [Setting] = []
    package var isEphemeral = false
    package var startsAt: WallTime?
    package var expiresAt: WallTime?
    package var dst = DSTPolicy.once
    package var catchUp = CatchUpPolicy.latest
    /// Ticks older than this are missed; nil takes the cluster's setting.
    package var catchUpWindow: Duration?
    package var lostAfter: Duration?
    package var fence: Bool?
    /// Nil tells everything, as `always` does, and prints nothing.
    package var notifyOn: NotifyRule?
    /// Why an imported job can't run as it is; such a job is stored disabled.
    package var invalidReason: String?

    package init(name: JobName) { self.name = name }

    /// Whether a change from `old` to this opens a new revision of the schedule.
    func changesSchedule(from old: JobDocument) -> Bool {
        schedule != old.schedule || timezone != old.timezone || dst != old.dst
            || isDisabled != old.isDisabled || startsAt != old.startsAt
            || expiresAt != old.expiresAt || (parent == nil) != (old.parent == nil)
    }
}

extension JobDocument: StoreRecord {
    func encode(into writer: inout ByteWriter) {
        // The least that says everything, so that servers which know less write the same bytes.
        writer.u8(notifyOn == nil ? 1 : 2)
        writer.string(name.text)
        writer.string(displayName)
        writer.string(timezone)
        writer.string(schedule)
        writer.string(owner)
        writer.string(ownerEmail)
        writer.bool(isDisabled)
        writer.settings(tags)
        writer.settings(metadata)
        writer.varint(UInt64(retries))
        writer.string(parent?.text ?? "")
        writer.array(processors) { writer, processor in
            writer.string(processor.name)
            writer.settings(processor.settings)
        }
        writer.u8(concurrency.rawValue)
        writer.bool(concurrencyIsEmpty)
        writer.string(executor)
        writer.settings(executorConfig)
        writer.bool(isEphemeral)
        writer.optional(startsAt) { $0.i64($1.nanoseconds) }
        writer.optional(expiresAt) { $0.i64($1.nanoseconds) }
        writer.u8(dst.rawValue)
        writer.u8(catchUp.rawValue)
        writer.optional(catchUpWindow) { $0.i64($1.nanoseconds) }
        writer.optional(lostAfter) { $0.i64($1.nanoseconds) }
        writer.optional(fence) { $0.bool($1) }
        writer.optional(invalidReason) { $0.string($1) }
        if let notifyOn { writer.u8(notifyOn.rawValue) }
    }

    init(from reader: inout ByteReader) throws(ByteError) {
        let start = reader.offset
        let version = try reader.u8()
        guard version == 1 || version == 2 else {
            throw .malformed(offset: start, what: "version \(version) of a job document")
        }
        name = JobName(try reader.string())
        displayName = try reader.string()
        timezone = try reader.string()
        schedule = try reader.string()
        owner = try reader.string()
        ownerEmail = try reader.string()
        isDisabled = try reader.bool()
        tags = try reader.settings()
        metadata = try reader.settings()
        retries = UInt32(truncatingIfNeeded: try reader.varint())
        let parentText = try reader.string()
        parent = parentText.isEmpty ? nil : JobName(parentText)
        processors = try reader.array { reader throws(ByteError) in
            ProcessorSettings(name: try reader.string(), settings: try reader.settings())
        }
        concurrency = try reader.choice("a concurrency policy")
        concurrencyIsEmpty = try reader.bool()
        executor = try reader.string()
        executorConfig = try reader.settings()
        isEphemeral = try reader.bool()
        startsAt = try reader.optionalTime()
        expiresAt = try reader.optionalTime()
        dst = try reader.choice("a DST policy")
        catchUp = try reader.choice("a catch-up policy")
        catchUpWindow = try reader.optionalDuration()
        lostAfter = try reader.optionalDuration()
        fence = try reader.optional { reader throws(ByteError) in try reader.bool() }
        invalidReason = try reader.optional { reader throws(ByteError) in try reader.string() }
        if version > 1 { notifyOn = try reader.choice("a rule of notifications") }
    }
}
