// Rules of a job that need more than its text: the host's zones, the syntax of tags, the settings
// of its executor, the time of day.

enum JobCheck {
    enum Outcome {
        /// Broken rules in the order of checking, and what deserves a word.
        case checked(violations: [JobError], warnings: [String])
        /// The zone has to be read before the job can be judged.
        case needsZone(String)
    }

    /// Executors and processors that this release brings along.
    static let executors = BuiltInExecutor.names
    static let processors = BuiltInProcessor.names

    /// - Parameter stored: the job as it is; an `@at` that it has already may have passed.
    static func check(
        _ document: JobDocument, stored: JobDocument?, acceptsPast: Bool, _ context: APIContext
    ) -> Outcome {
        var violations: [JobError] = []
        let schedule = try? Schedule.parse(document.schedule, jobName: document.name)
        if case .at(let instant) = schedule, instant <= context.stamp, !acceptsPast,
            stored?.schedule != document.schedule
        {
            violations.append(
                JobError(
                    .invalidField, "schedule",
                    "The schedule lies in the past: \(RFC3339.print(instant)) is not after"
                        + " \(RFC3339.print(context.stamp))."))
        }
        for (field, zone) in zones(document, schedule) {
            switch context.zones.lookup(zone) {
            case .ready: break
            case .unknown: return .needsZone(zone)
            case .missing(let reason):
                violations.append(
                    JobError(
                        .invalidField, field,
                        "The time zone \"\(zone)\" can't be used: \(reason)."))
            }
        }
        checkTags(document, &violations)
        checkExecutor(document, &violations)
        checkProcessors(document, &violations)
        return .checked(
            violations: violations,
            warnings: warnings(document, context.config))
    }

    /// Zones that the job names, with the fields that name them.
    private static func zones(
        _ document: JobDocument, _ schedule: Schedule?
    ) -> [(field: String, zone: String)] {
        var zones: [(field: String, zone: String)] = []
        if !ZoneName.meansDefault(document.timezone) {
            zones.append(("timezone", document.timezone))
        }
        if let prefix = schedule?.zonePrefix, !ZoneName.meansDefault(prefix) {
            zones.append(("schedule", prefix))
        }
        return zones
    }

    private static func checkTags(_ document: JobDocument, _ violations: inout [JobError]) {
        for tag in document.tags {
            do throws(TagError) {
                _ = try TagSelector(name: tag.name, value: tag.value)
            } catch {
                violations.append(
                    JobError(
                        .invalidField, "tags.\(tag.name)",
                        "The tag \"\(tag.name)\" can't select nodes: \(error.message)."))
            }
        }
    }

    private static func checkExecutor(_ document: JobDocument, _ violations: inout [JobError]) {
        do throws(ExecutorSettingError) {
            try BuiltInExecutor(rawValue: document.executor)?.check(document.executorConfig)
        } catch {
            violations.append(
                JobError(
                    .invalidField, "executor_config.\(error.key)",
                    "The executor \(document.executor) can't run with these settings: \(error)."))
        }
    }

    private static func checkProcessors(
        _ document: JobDocument, _ violations: inout [JobError]
    ) {
        for processor in document.processors {
            do throws(ExecutorSettingError) {
                try BuiltInProcessor.check(processor)
            } catch {
                violations.append(
                    JobError(
                        .invalidField, "processors.\(processor.name).\(error.key)",
                        "The processor \(processor.name) can't run with these settings: "
                            + "\(error)."))
            }
        }
    }

    private static func warnings(_ document: JobDocument, _ config: Config) -> [String] {
        var warnings: [String] = []
        if document.executor.isEmpty {
            warnings.append("The job has no executor: each of its runs will fail.")
        } else if !executors.contains(document.executor),
            !config.executors.plugins.contains(document.executor)
        {
            warnings.append(
                "This release has no executor \"\(document.executor)\", and this server has no"
                    + " plugin of that name: runs of the job will fail on nodes without one.")
        }
        for processor in document.processors
        where !processors.contains(processor.name)
            && !config.pluginProcessors.contains(processor.name)
        {
            warnings.append(
                "This release has no processor \"\(processor.name)\", and this server has no plugin"
                    + " of that name: the output will be kept as it is.")
        }
        return warnings
    }
}

extension API {
    /// Checks a submitted job; false if the call now waits for a zone.
    mutating func check(
        _ input: inout JobInput, _ call: Call, _ context: APIContext,
        _ actions: inout [APIAction]
    ) throws(APIError) -> Bool {
        let stored = context.store.document(input.document.name)
        switch JobCheck.check(input.document, stored: stored, acceptsPast: false, context) {
        case .checked(let violations, let warnings):
            if let first = violations.first { throw APIError(first) }
            input.warnings += warnings
            return true
        case .needsZone(let zone):
            try wait(call.id, for: .zone(zone, call))
            actions.append(.loadZone(zone))
            return false
        }
    }
}
