/// How this server tells people, out of its options.
package struct NotificationSettings: Hashable, Sendable {
    /// The options as they were written; nil or empty where there are none.
    package struct Texts: Hashable, Sendable {
        package var mailHost = ""
        /// 0: no mail.
        package var mailPort: UInt16 = 0
        package var mailUser = ""
        package var mailPassword = ""
        package var mailFrom = ""
        package var mailPayload = ""
        package var mailSubjectPrefix = "[Dkron]"
        package var webhookEndpoint = ""
        package var webhookPayload = ""
        package var webhookHeaders: [String] = []
        package var preWebhookEndpoint = ""
        package var preWebhookPayload = ""
        package var preWebhookHeaders: [String] = []
        package var cronitorEndpoint = ""

        package init() {}
    }

    /// What is wrong with an option. Secrets stand in no message.
    package struct Mistake: Error, Hashable, Sendable {
        package let option: String
        /// A sentence without its full stop.
        package let message: String
    }

    private var mail: MailTask?
    private var webhook: WebhookTask?
    private var preWebhook: WebhookTask?
    private var cronitor: String?

    /// Nobody is told.
    package init() {}

    /// Reads the options. Linear in their size.
    ///
    /// Errors: the first option that can't be used.
    package init(_ texts: Texts) throws(Mistake) {
        if !texts.mailHost.isEmpty, texts.mailPort != 0 { mail = try Self.mail(texts) }
        webhook = try Self.hook(
            "webhook", texts.webhookEndpoint, texts.webhookHeaders, texts.webhookPayload)
        preWebhook = try Self.hook(
            "pre-webhook", texts.preWebhookEndpoint, texts.preWebhookHeaders,
            texts.preWebhookPayload)
        guard !texts.cronitorEndpoint.isEmpty else { return }
        let endpoint = Substring(texts.cronitorEndpoint)
        cronitor = String(endpoint.last == "/" ? endpoint.dropLast() : endpoint)
        try Self.check(texts.cronitorEndpoint, "cronitor-endpoint")
        guard !endpoint.contains("?") else {
            throw Mistake(
                option: "cronitor-endpoint",
                message: "the job and a query are put behind the URL, so it can't have a query")
        }
    }

    /// What people can be told by.
    package var channels: NotificationChannels {
        // Asked in each step; a call would be handed a copy of all the settings.
        @inline(__always) get {
            var channels: NotificationChannels = []
            if mail != nil { channels.insert(.mail) }
            if webhook != nil { channels.insert(.webhook) }
            if preWebhook != nil { channels.insert(.preWebhook) }
            if cronitor != nil { channels.formUnion([.cronitorStart, .cronitorEnd]) }
            return channels
        }
    }

    private static func mail(_ texts: Texts) throws(Mistake) -> MailTask {
        let (user, password) = (texts.mailUser, texts.mailPassword)
        guard user.isEmpty == password.isEmpty else {
            throw Mistake(
                option: user.isEmpty ? "mail-username" : "mail-password",
                message: "mail-username and mail-password belong together; give both or neither")
        }
        let payload =
            texts.mailPayload.isEmpty ? nil : try template(texts.mailPayload, "mail-payload")
        do throws(ExecutorSettingError) {
            return try MailTask(
                host: texts.mailHost, port: texts.mailPort, user: user.isEmpty ? nil : user,
                password: password.isEmpty ? nil : password, sender: texts.mailFrom,
                subjectPrefix: texts.mailSubjectPrefix, payload: payload)
        } catch {
            throw Mistake(option: "mail-from", message: error.message)
        }
    }

    /// Nil where the endpoint or the payload is missing.
    private static func hook(
        _ name: String, _ endpoint: String, _ headers: [String], _ payload: String
    ) throws(Mistake) -> WebhookTask? {
        if !endpoint.isEmpty { try check(endpoint, "\(name)-endpoint") }
        let template = payload.isEmpty ? nil : try template(payload, "\(name)-payload")
        guard !endpoint.isEmpty, let template else { return nil }
        do throws(ExecutorSettingError) {
            return try WebhookTask(url: endpoint, headers: headers, payload: template)
        } catch {
            throw Mistake(option: "\(name)-headers", message: error.message)
        }
    }

    private static func template(
        _ text: String, _ option: String
    ) throws(Mistake) -> ReportTemplate {
        do throws(TextError) { return try ReportTemplate(text) } catch {
            throw Mistake(option: option, message: error.description)
        }
    }

    /// A URL may hold a token, so a message says no more than where it breaks off.
    private static func check(_ url: String, _ option: String) throws(Mistake) {
        do throws(TextError) { _ = try HTTPURL(url) } catch {
            throw Mistake(
                option: option,
                message: "column \(error.column): this is not an http or https URL such as "
                    + "https://example.com/hook")
        }
    }

    // MARK: What is sent

    /// What is to be done to tell of a notice by one channel, and what has to be said of it.
    ///
    /// Errors: why nobody can be told, a sentence without its full stop.
    func task(
        _ channel: NotificationChannels, _ notice: Notice, by node: NodeName
    ) throws(Refusal) -> (task: ProcessorTask, note: String?) {
        let missing = Refusal("the leader has no settings for it")
        switch channel {
        case .mail:
            guard var mail else { throw missing }
            let list = MailTask.addresses(in: notice.recipients)
            mail.recipients = list.valid
            let wrong = list.others.map { "\"\($0)\"" }.joined(separator: ", ")
            guard !list.valid.isEmpty else {
                throw Refusal(
                    "owner_email has no address"
                        + (wrong.isEmpty ? "" : ": \(wrong) is none, such as ops@example.com"))
            }
            let note = wrong.isEmpty ? nil : "owner_email: \(wrong) is no address"
            return (ProcessorTask(.email(mail)), note)
        case .webhook, .preWebhook:
            guard let task = channel == .webhook ? webhook : preWebhook else { throw missing }
            return (ProcessorTask(.webhook(task)), nil)
        default:
            guard let cronitor else { throw missing }
            do throws(ExecutorSettingError) {
                let url = Self.ping(cronitor, notice, isStart: channel == .cronitorStart, node)
                return (ProcessorTask(.webhook(try WebhookTask(ping: url))), nil)
            } catch {
                throw Refusal("the URL made of cronitor-endpoint can't be used")
            }
        }
    }

    struct Refusal: Error {
        let reason: String

        init(_ reason: String) { self.reason = reason }
    }

    /// Parameters in the order of their names. For what ran nowhere the leader speaks.
    private static func ping(
        _ endpoint: String, _ notice: Notice, isStart: Bool, _ leader: NodeName
    ) -> String {
        let execution = notice.execution
        let host = notice.isOfTick ? leader : execution.node
        let state = isStart ? "run" : execution.state == .success ? "complete" : "fail"
        let message = isStart ? "Job run by Dkron" : "Job complete by Dkron"
        let parameters = [
            ("host", host.text), ("message", message), ("series", notice.series.text),
            ("state", state),
        ]
        return "\(endpoint)/\(HTTPEscapes.escaped(notice.job.text))?"
            + HTTPEscapes.parameters(parameters)
    }
}
