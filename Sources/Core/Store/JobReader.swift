// A job as people and exports write it, into a `JobDocument`.
//
// Three steps: the JSON text is walked once and each member taken by its type, which is fatal when
// it is wrong; older spellings are translated; then the rules are checked in a fixed order. Rules
// that need zones, tags of nodes or an executor's settings are the caller's to check.

/// Why a job was refused.
package struct JobError: Error, Hashable, Sendable {
    package enum Code: String, Sendable {
        case unknownField = "unknown_field"
        case wrongType = "wrong_type"
        case invalidField = "invalid_field"
    }

    package var code: Code
    /// The member at fault, with dots into objects: `executor_config.timeout`.
    package var field: String
    /// A whole sentence.
    package var message: String

    package init(_ code: Code, _ field: String, _ message: String) {
        self.code = code
        self.field = field
        self.message = message
    }
}

/// What was read of a job.
package struct JobInput: Sendable {
    package var document = JobDocument(name: JobName(""))
    /// Run-time facts that an export brings along. Elsewhere they are ignored.
    package var successCount: Int64 = 0
    package var errorCount: Int64 = 0
    package var lastSuccess: WallTime?
    package var lastError: WallTime?
    package var everyAnchor: WallTime?
    /// It has members that our exports always have and Dkron's never do.
    package var isOurs = false
    /// It says of itself that it breaks a rule.
    package var wasInvalid = false
    /// Rules that the job breaks, in the order of checking. Only when read leniently.
    package var violations: [JobError] = []
    /// What was accepted and deserves a word, as whole sentences.
    package var warnings: [String] = []

    init() {}
}

/// Not copyable, since it is large and holds whatever has been read: a copy, made by accident,
/// would cost as much as reading.
package struct JobReader: ~Copyable {
    /// Whose JSON it is.
    package enum Source: Hashable, Sendable {
        /// A person's: run-time fields are ignored, unknown fields and broken rules refused.
        case submission
        /// An export's: run-time fields are taken, unknown fields ignored as they were by the
        /// program that wrote it, and broken rules noted instead of refused.
        case export
    }

    let json: JSONDocument
    let source: Source
    private let fields = Field.Table.all
    var input = JobInput()
    /// The strings, if any, from which the rules make the fields that the document keeps parsed.
    var concurrency: JSONValue?
    var dst: JSONValue?
    var catchUp: JSONValue?
    var catchUpWindow: JSONValue?
    var lostAfter: JSONValue?
    var notifyOn: JSONValue?
    var older = OlderFields()

    /// Reads one job from a value of a JSON text. O(n).
    ///
    /// - Parameter name: the name from the request's path; the JSON may leave it out, and a
    ///   different one is refused.
    /// - Throws: the first thing that is wrong: the type of a member in the order of the text, or
    ///   a broken rule in the order of the rules (unless the source is an export).
    package static func read(
        _ value: JSONValue, of json: JSONDocument, name: JobName? = nil,
        from source: Source = .submission
    ) throws(JobError) -> JobInput {
        guard json.kind(of: value) == .object || json.isNull(value) else {
            throw JobError(
                .wrongType, "", "A job is a JSON object, found \(json.kind(of: value)).")
        }
        var reader = JobReader(json: json, source: source)
        for member in json.members(of: value) { try reader.take(member) }
        if let name { try reader.settle(name) }
        try reader.translateOlderFields()
        reader.checkRules()
        if source == .submission, let first = reader.input.violations.first { throw first }
        reader.input.isOurs = reader.dst != nil && reader.catchUp != nil
        // Handed over, since returning the reader's own would copy every text of it.
        var input = JobInput()
        swap(&input, &reader.input)
        return input
    }

    private init(json: JSONDocument, source: Source) {
        self.json = json
        self.source = source
    }

    private mutating func settle(_ name: JobName) throws(JobError) {
        if input.document.name.text.isEmpty { input.document.name = name }
        guard input.document.name == name else {
            throw JobError(
                .invalidField, "name",
                "The path names the job \"\(name)\" and the body \"\(input.document.name)\";"
                    + " a job can't be renamed.")
        }
    }

    // MARK: Members

    private mutating func take(_ member: JSONMember) throws(JobError) {
        guard let field = fields.field(named: member.name, in: json) else {
            guard source == .submission else { return }
            throw unknown(member)
        }
        let value = member.value
        if json.isNull(value), !field.isRunTime { return setDefault(field) }
        switch field {
        case .name: input.document.name = JobName(try json.text(value, field))
        case .displayname: input.document.displayName = try json.text(value, field)
        case .timezone: input.document.timezone = try json.text(value, field)
        case .schedule: input.document.schedule = try json.text(value, field)
        case .owner: input.document.owner = try json.text(value, field)
        case .ownerEmail: input.document.ownerEmail = try json.text(value, field)
        case .disabled: input.document.isDisabled = try json.bool(value, field)
        case .tags: try json.merge(value, field, into: &input.document.tags)
        case .metadata: try json.merge(value, field, into: &input.document.metadata)
        case .retries: try takeRetries(value)
        case .parentJob:
            let parent = try json.text(value, field)
            input.document.parent = parent.isEmpty ? nil : JobName(parent)
        case .processors: try takeProcessors(value)
        case .concurrency: concurrency = try json.string(value, field)
        case .executor: input.document.executor = try json.text(value, field)
        case .executorConfig:
            try json.merge(value, field, into: &input.document.executorConfig)
        case .ephemeral: input.document.isEphemeral = try json.bool(value, field)
        case .startsAt: input.document.startsAt = try json.time(value, field)
        case .expiresAt: input.document.expiresAt = try json.time(value, field)
        case .dst: dst = try json.string(value, field)
        case .catchUp: catchUp = try json.string(value, field)
        case .catchUpWindow: catchUpWindow = try json.string(value, field)
        case .lostAfter: lostAfter = try json.string(value, field)
        case .fence: input.document.fence = try json.bool(value, field)
        case .notifyOn: notifyOn = try json.string(value, field)
        case .command: older.command = try json.string(value, field)
        case .shell: older.shell = try json.bool(value, field)
        case .environmentVariables: older.environment = try json.strings(value, field)
        case .runAsUser: older.user = try json.string(value, field)
        case .successCount, .errorCount, .lastSuccess, .lastError, .everyAnchor:
            if source == .export { try takeRunTime(field, value) }
        case .invalidReason: input.wasInvalid = !json.isNull(value)
        case .id, .dependentJobs, .status, .next, .running, .version, .warnings: break
        }
    }

    /// `null` leaves a field at its default, also after an earlier member of the same name.
    private mutating func setDefault(_ field: Field) {
        switch field {
        case .tags: input.document.tags = []
        case .metadata: input.document.metadata = []
        case .processors: input.document.processors = []
        case .executorConfig: input.document.executorConfig = []
        case .startsAt: input.document.startsAt = nil
        case .expiresAt: input.document.expiresAt = nil
        case .fence: input.document.fence = nil
        default: break
        }
    }

    private mutating func takeRunTime(_ field: Field, _ value: JSONValue) throws(JobError) {
        if json.isNull(value) { return }
        switch field {
        case .successCount: input.successCount = try json.count(value, field)
        case .errorCount: input.errorCount = try json.count(value, field)
        case .lastSuccess: input.lastSuccess = try json.time(value, field)
        case .lastError: input.lastError = try json.time(value, field)
        case .everyAnchor: input.everyAnchor = try json.time(value, field)
        default: break
        }
    }

    private mutating func takeRetries(_ value: JSONValue) throws(JobError) {
        guard let number = json.uint64(value), number <= UInt32.max else {
            throw JobError(
                .wrongType, "retries",
                "The field retries must be a whole number from 0, found \(json.described(value)).")
        }
        input.document.retries = UInt32(number)
    }

    /// The order is that of the text; the key `order` of a processor overrides its place.
    private mutating func takeProcessors(_ value: JSONValue) throws(JobError) {
        try json.expect(.object, value, .processors)
        guard json.count(of: value) <= Limit.settings else {
            throw JobError(
                .invalidField, "processors",
                "A job has at most \(Limit.settings) processors.")
        }
        for member in json.members(of: value) {
            let name = json.string(member.name) ?? ""
            guard json.kind(of: member.value) == .object || json.isNull(member.value) else {
                throw JobError(
                    .wrongType, "processors.\(name)",
                    "The settings of the processor \(name) must be an object, found"
                        + " \(json.described(member.value)).")
            }
            var settings: [Setting] = []
            json.merge(member.value, of: .processors, into: &settings)
            if let index = input.document.processors.firstIndex(
                where: { $0.name.compare(name) == 0 })
            {
                input.document.processors[index].settings = settings
            } else {
                input.document.processors.append(
                    ProcessorSettings(name: name, settings: settings))
            }
        }
    }

    private func unknown(_ member: JSONMember) -> JobError {
        let name = String((json.string(member.name) ?? "").prefix(100))
        let position = json.position(of: member.name)
        var message = "A job has no field \"\(name)\""
        if let nearest = Field.nearest(to: name) { message += "; did you mean \"\(nearest)\"?" }
        let place = "line \(position.line), column \(position.column)"
        message += message.hasSuffix("?") ? " (\(place))" : " (\(place))."
        return JobError(.unknownField, name, message)
    }
}
