// The replicated settings of the cluster.

extension API {
    func showSettings(_ call: Call, _ context: APIContext, _ actions: inout [APIAction]) {
        respond(call, settingsAnswer(call, context), context, &actions)
    }

    func settingsAnswer(_ call: Call, _ context: APIContext) -> Answer {
        let settings = context.store.cluster.settings
        var writer = JSONWriter(call.layout)
        writer.beginObject()
        writer.member("default_timezone", settings.defaultTimezone)
        writer.member("on_time", nullable: settings.onTime)
        writer.member("catch_up_window", nullable: settings.catchUpWindow)
        writer.member("lost_after", nullable: settings.lostAfter)
        writer.member("lost_after_fenced", nullable: settings.lostAfterFenced)
        writer.member("group_retention", settings.groupRetention)
        writer.member("ledger_retention", settings.ledgerRetention)
        writer.member("age_retention", nullable: settings.ageRetention)
        writer.endObject()
        return Answer(200, writer)
    }

    /// Settings that the body leaves out keep their values.
    mutating func putSettings(
        _ call: Call, _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        let json = try body(of: call)
        guard json.kind(of: json.root) == .object else {
            throw APIError(
                400, JobError.Code.wrongType.rawValue,
                "Settings are a JSON object, found \(json.kind(of: json.root)).")
        }
        // What is on its way to the log comes before this.
        var settings = context.store.cluster.settings
        if let last = lastSettings, proposals[last.proposal] != nil { settings = last.settings }
        for member in json.members(of: json.root) {
            try SettingsReader(json: json).take(member, into: &settings)
        }
        try propose(.settings(settings), .settings, call, &actions)
        lastSettings = (ProposalID(number: lastProposal), settings)
    }
}

/// Reads settings from JSON.
private struct SettingsReader {
    let json: JSONDocument

    private static let names = [
        "default_timezone", "on_time", "catch_up_window", "lost_after", "lost_after_fenced",
        "group_retention", "ledger_retention", "age_retention",
    ]

    func take(
        _ member: JSONMember, into settings: inout ClusterSettings
    ) throws(APIError) {
        let name = json.string(member.name) ?? ""
        let value = member.value
        switch name {
        case "default_timezone":
            // Every schedule without a zone would mean other instants from one moment to the next.
            guard json.string(value) == settings.defaultTimezone else {
                throw invalid(
                    name,
                    "The default zone was fixed when the cluster was made"
                        + " (\(settings.defaultTimezone)); give jobs a timezone instead.")
            }
        case "on_time":
            settings.onTime = try duration(name, value, .seconds(1), .hours(1))
        case "catch_up_window":
            settings.catchUpWindow = try duration(name, value, .zero, .hours(24 * 366))
        case "lost_after":
            settings.lostAfter = try duration(name, value, .seconds(30), .hours(24 * 366))
        case "lost_after_fenced":
            settings.lostAfterFenced = try duration(name, value, .seconds(30), .hours(24 * 366))
        case "group_retention": settings.groupRetention = try number(name, value, 1...10_000)
        case "ledger_retention": settings.ledgerRetention = try number(name, value, 10...100_000)
        case "age_retention":
            settings.ageRetention =
                json.isNull(value)
                ? nil : try duration(name, value, .hours(1), .hours(24 * 366 * 100))
        default:
            let known = Self.names.joined(separator: ", ")
            throw APIError(
                400, JobError.Code.unknownField.rawValue,
                "There is no setting \"\(name.prefix(100))\"; there are \(known).",
                field: String(name.prefix(100)))
        }
    }

    private func duration(
        _ name: String, _ value: JSONValue, _ least: Duration, _ most: Duration
    ) throws(APIError) -> Duration {
        guard let text = json.string(value) else {
            throw invalid(
                name,
                "The setting \(name) is a duration as text, such as \"10m\", found"
                    + " \(json.kind(of: value)).")
        }
        do throws(TextError) {
            let duration = try DurationText.parse(text)
            if duration >= least, duration <= most { return duration }
        } catch {
            throw invalid(name, "The setting \(name) is not a duration: \(error).")
        }
        throw invalid(
            name,
            "The setting \(name) lies between \(DurationText.print(least)) and"
                + " \(DurationText.print(most)).")
    }

    private func number(
        _ name: String, _ value: JSONValue, _ range: ClosedRange<UInt32>
    ) throws(APIError) -> UInt32 {
        guard let number = json.uint64(value), number <= UInt32.max,
            range.contains(UInt32(number))
        else {
            throw invalid(
                name,
                "The setting \(name) is a whole number from \(range.lowerBound) to"
                    + " \(range.upperBound).")
        }
        return UInt32(number)
    }

    private func invalid(_ name: String, _ message: String) -> APIError {
        APIError(400, JobError.Code.invalidField.rawValue, message, field: name)
    }
}
