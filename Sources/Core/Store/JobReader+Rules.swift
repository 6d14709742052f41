// The rules that a job must keep, in the order in which they are checked.

extension JobReader {
    /// The most bytes that texts may have. They bound what one job can cost, and leave far more
    /// room than people use.
    enum Limit {
        static let name = 255
        static let text = 1_024
        static let setting = 65_536
        static let settingName = 255
        static let settings = 256
        static let retries: UInt32 = 1_000
        static let lostAfter = Duration.seconds(30)
    }

    /// Adds every broken rule to the input's violations.
    mutating func checkRules() {
        checkName()
        if let parent = input.document.parent, parent == input.document.name {
            violate(.parentJob, "A job can't be its own parent.")
        }
        checkSchedule()
        checkChoices()
        checkTimes()
        checkSizes()
        orderProcessors()
        if source == .export, !input.violations.isEmpty { disable() }
    }

    /// A job that breaks a rule is imported, so that nothing is lost, but it never runs.
    private mutating func disable() {
        input.document.isDisabled = true
        input.document.invalidReason = Self.reason(of: input.violations)
    }

    package static func reason(of violations: [JobError]) -> String {
        violations.map(\.message).joined(separator: " ")
    }

    mutating func violate(_ field: Field, _ message: String) {
        input.violations.append(JobError(.invalidField, field.rawValue, message))
    }

    private mutating func checkName() {
        let name = input.document.name.text
        guard !name.isEmpty else { return violate(.name, "A job needs a name.") }
        if !Self.isPlain(name),
            let scalar = name.unicodeScalars.first(where: { !Self.isAllowed($0) })
        {
            let allowed = "allowed are lower-case letters, digits, \"_\" and \"-\""
            return violate(
                .name, "The name of a job can't hold \(Self.shown(scalar)); \(allowed).")
        }
        if name.utf8.count > Limit.name {
            violate(
                .name,
                "The name of the job has \(name.utf8.count) bytes; at most \(Limit.name) are"
                    + " allowed.")
        }
    }

    private static func isAllowed(_ scalar: Unicode.Scalar) -> Bool {
        scalar.isASCII
            ? isPlain(UInt8(truncatingIfNeeded: scalar.value))
            : scalar.properties.generalCategory == .lowercaseLetter
    }

    private static func isPlain(_ name: String) -> Bool {
        let bytes = name.utf8.span
        for index in bytes.indices where !isPlain(bytes[index]) { return false }
        return true
    }

    /// A character of ASCII that names may hold.
    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    /// The character in quotes, or its number where it can't be seen.
    private static func shown(_ scalar: Unicode.Scalar) -> String {
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
            .paragraphSeparator, .nonspacingMark, .enclosingMark, .spacingMark:
            "U+" + String(scalar.value, radix: 16, uppercase: true)
        default: "\"\(scalar)\""
        }
    }

    private mutating func checkSchedule() {
        if input.document.schedule.isEmpty {
            if input.document.parent == nil {
                violate(
                    .schedule,
                    "A job needs a schedule, unless it has a parent_job; @manually is one that"
                        + " never fires.")
            }
            return
        }
        do throws(ScheduleError) {
            _ = try Schedule.parse(input.document.schedule, jobName: input.document.name)
        } catch {
            violate(.schedule, "The schedule can't be read: \(error).")
        }
    }

    private mutating func checkChoices() {
        // An API create without the field means allow and prints so; an export keeps the absence.
        let absent = source == .submission ? "allow" : ""
        let concurrency = json.text(self.concurrency) ?? absent
        if concurrency.isEmpty {
            input.document.concurrencyIsEmpty = true
        } else if let policy = ConcurrencyPolicy(text: concurrency) {
            input.document.concurrency = policy
        } else {
            violate(
                .concurrency, notAChoice(.concurrency, concurrency, "allow, forbid and replace"))
        }
        if let text = json.text(dst), !text.isEmpty {
            if let policy = DSTPolicy(text: text) {
                input.document.dst = policy
            } else {
                violate(.dst, notAChoice(.dst, text, "once and literal"))
            }
        }
        if let text = json.text(catchUp), !text.isEmpty {
            if let policy = CatchUpPolicy(text: text) {
                input.document.catchUp = policy
            } else {
                violate(.catchUp, notAChoice(.catchUp, text, "latest, all and none"))
            }
        }
        if let text = json.text(notifyOn), !text.isEmpty {
            input.document.notifyOn = NotifyRule(text: text)
            if input.document.notifyOn == nil {
                violate(.notifyOn, notAChoice(.notifyOn, text, "always and failure"))
            }
        }
        if input.document.retries > Limit.retries {
            violate(.retries, "The field retries is \(input.document.retries); the most is 1000.")
        }
    }

    private func notAChoice(_ field: Field, _ text: String, _ allowed: String) -> String {
        "The field \(field.rawValue) can't be \"\(text.prefix(100))\"; allowed are \(allowed)."
    }

    private mutating func checkTimes() {
        input.document.catchUpWindow = duration(.catchUpWindow, catchUpWindow, atLeast: .zero)
        input.document.lostAfter = duration(.lostAfter, lostAfter, atLeast: Limit.lostAfter)
        if let starts = input.document.startsAt, let expires = input.document.expiresAt,
            starts > expires
        {
            violate(
                .expiresAt,
                "The field expires_at (\(RFC3339.print(expires))) lies before starts_at"
                    + " (\(RFC3339.print(starts))): the job would never run.")
        }
    }

    private mutating func duration(
        _ field: Field, _ string: JSONValue?, atLeast least: Duration
    ) -> Duration? {
        guard let text = json.text(string), !text.isEmpty else { return nil }
        do throws(TextError) {
            let duration = try DurationText.parse(text)
            if duration >= least { return duration }
            violate(
                field,
                "The field \(field.rawValue) is \(text.prefix(40)); the least is"
                    + " \(DurationText.print(least)).")
        } catch {
            violate(field, "The field \(field.rawValue) is not a duration: \(error).")
        }
        return nil
    }

    private mutating func checkSizes() {
        checkSize(.displayname, input.document.displayName.utf8.count)
        checkSize(.timezone, input.document.timezone.utf8.count)
        checkSize(.schedule, input.document.schedule.utf8.count)
        checkSize(.owner, input.document.owner.utf8.count)
        checkSize(.ownerEmail, input.document.ownerEmail.utf8.count)
        checkSize(.parentJob, input.document.parent?.text.utf8.count ?? 0)
        checkSize(.executor, input.document.executor.utf8.count)
        checkSettings(.tags, "", input.document.tags, value: Limit.text)
        checkSettings(.metadata, "", input.document.metadata, value: Limit.setting)
        checkSettings(.executorConfig, "", input.document.executorConfig, value: .max)
        for processor in input.document.processors {
            checkSettings(
                .processors, processor.name, processor.settings, value: Limit.setting)
        }
    }

    private mutating func checkSize(_ field: Field, _ count: Int) {
        guard count > Limit.text else { return }
        violate(
            field,
            "The field \(field.rawValue) has \(count) bytes; at most \(Limit.text) are allowed.")
    }

    private mutating func checkSettings(
        _ field: Field, _ processor: String, _ settings: [Setting], value: Int
    ) {
        for setting in settings
        where setting.name.utf8.count > Limit.settingName || setting.value.utf8.count > value {
            let place = "\(field.rawValue).\(processor.isEmpty ? setting.name : processor)"
            violate(
                field,
                "A name in \(place.prefix(100)) has more than \(Limit.settingName) bytes, or its"
                    + " value more than \(value).")
        }
        if settings.count > Limit.settings {
            violate(field, "The field \(field.rawValue) has more than \(Limit.settings) members.")
        }
    }

    /// Sorts processors by their key `order`; those without one keep the place they were sent at.
    private mutating func orderProcessors() {
        guard !input.document.processors.isEmpty else { return }
        let hasOrder = input.document.processors.contains { processor in
            processor.settings.contains { $0.name == "order" }
        }
        guard hasOrder else { return }
        var places: [(order: Int64, index: Int)] = []
        for (index, processor) in input.document.processors.enumerated() {
            var order = Int64(index)
            if let text = processor.settings.first(where: { $0.name == "order" })?.value {
                if let number = Int64(text) {
                    order = number
                } else {
                    input.violations.append(
                        JobError(
                            .invalidField, "processors.\(processor.name).order",
                            "The order of the processor \(processor.name) is not a whole number."))
                }
            }
            places.append((order, index))
        }
        places.sort { ($0.order, $0.index) < ($1.order, $1.index) }
        let processors = input.document.processors
        input.document.processors = places.map { processors[$0.index] }
    }
}
