/// What the processor `webhook` does: one request that tells of the execution.
package struct WebhookTask: Hashable, Sendable {
    private var job: HTTPJob
    /// Nil: everything as a JSON object.
    private var payload: ReportTemplate?

    static let table =
        [
            SettingKey("url", .text, isRequired: true, "where the request goes"),
            SettingKey("method", .text, standard: "POST", "the request's method"),
            SettingKey("headers", .json, "a list of \"Name: value\""),
            SettingKey(
                "payload", .text,
                "the body, with places such as {{.JobName}}; nothing is a JSON "
                    + "object with everything"),
            SettingKey(
                "expect_code", .list, standard: "200-299", "the statuses that count as delivered"),
        ] + TLSSettingKeys.table

    init(_ settings: ExecutorSettings) throws(ExecutorSettingError) {
        var config = [
            (key: "url", value: settings["url"] ?? ""),
            (key: "method", value: settings["method"] ?? "POST"),
            (key: "headers", value: settings["headers"] ?? ""),
            (key: "timeout", value: settings["timeout"] ?? ""),
        ]
        for key in TLSSettingKeys.all { config.append((key, settings[key] ?? "")) }
        let standard = (200...299).map(String.init).joined(separator: ",")
        config.append(("expectCode", settings["expect_code"] ?? standard))
        do throws(ExecutorSettingError) {
            job = try HTTPJob.parse(config)
        } catch {
            let key = error.key == "expectCode" ? "expect_code" : error.key
            throw ExecutorSettingError(key: key, message: error.message)
        }
        guard let text = settings["payload"] else { return }
        do throws(TextError) { payload = try ReportTemplate(text) } catch {
            throw ExecutorSettingError(key: "payload", message: error.description)
        }
    }

    /// The call that carries it out.
    /// - Parameter id: names the call among others.
    package func call(
        of execution: ProcessedExecution, _ output: [UInt8], as id: ExecutionID
    ) -> HTTPCall {
        var call = job.call(
            execution: id,
            identity: [
                EnvironmentEntry(name: "DKRON_EXECUTION_ID", value: execution.id.text),
                EnvironmentEntry(name: "DKRON_JOB_NAME", value: execution.job.text),
            ], fence: nil)
        call.exchange.body =
            payload?.filled(execution, output) ?? ReportTemplate.json(execution, output)
        if payload == nil, !call.exchange.headers.contains("Content-Type") {
            call.exchange.headers.append("Content-Type", "application/json")
        }
        return call
    }
}
