/// What the processor `webhook` does: one request that tells of the execution.
package struct WebhookTask: Hashable, Sendable {
    private enum Body: Hashable, Sendable {
        /// Everything as a JSON object.
        case everything
        case template(ReportTemplate)
        case none
    }

    private var job: HTTPJob
    private var body = Body.everything

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
        config.append(("expectCode", settings["expect_code"] ?? Self.successes))
        do throws(ExecutorSettingError) {
            job = try HTTPJob.parse(config)
        } catch {
            let key = error.key == "expectCode" ? "expect_code" : error.key
            throw ExecutorSettingError(key: key, message: error.message)
        }
        guard let text = settings["payload"] else { return }
        do throws(TextError) { body = .template(try ReportTemplate(text)) } catch {
            throw ExecutorSettingError(key: "payload", message: error.description)
        }
    }

    /// A request with a body made of a template. What its answer says counts as delivered from 200
    /// to 299.
    /// - Parameter headers: each `Name: value`; the value may hold more colons.
    init(
        url: String, headers: [String], payload: ReportTemplate
    ) throws(ExecutorSettingError) {
        var list = JSONWriter(.compact)
        list.beginArray()
        for header in headers { list.string(header) }
        list.endArray()
        let text = String(decoding: list.take(), as: UTF8.self)
        job = try HTTPJob.parse(
            Self.config(url, "POST") + [(key: "headers", value: headers.isEmpty ? "" : text)])
        body = .template(payload)
    }

    /// A request without a body.
    init(ping url: String) throws(ExecutorSettingError) {
        job = try HTTPJob.parse(Self.config(url, "GET"))
        body = .none
    }

    private static func config(_ url: String, _ method: String) -> [(key: String, value: String)] {
        [
            (key: "url", value: url), (key: "method", value: method),
            (key: "expectCode", value: successes),
        ]
    }

    private static let successes = (200...299).map(String.init).joined(separator: ",")

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
        switch body {
        case .none: break
        case .template(let template): call.exchange.body = template.filled(execution, output)
        case .everything:
            call.exchange.body = ReportTemplate.json(execution, output)
            if !call.exchange.headers.contains("Content-Type") {
                call.exchange.headers.append("Content-Type", "application/json")
            }
        }
        return call
    }
}
