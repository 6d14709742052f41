internal import Core

extension AgentOptions {
    /// The options that say how people are told. A reload takes them.
    static let notificationNames = [
        "mail-host", "mail-port", "mail-username", "mail-password", "mail-from", "mail-payload",
        "mail-subject-prefix", "webhook-url", "webhook-endpoint", "webhook-payload",
        "webhook-header", "webhook-headers", "pre-webhook-endpoint", "pre-webhook-payload",
        "pre-webhook-headers", "cronitor-endpoint",
    ]

    /// Reads them all, once everything that stood somewhere is known.
    mutating func settleNotifications() {
        let given = settings.filter {
            Self.notificationNames.contains($0.option.name) && !$0.isMalformed
        }
        guard !given.isEmpty else { return }
        func text(_ name: String) -> String {
            given.first { $0.option.name == name }?.text ?? ""
        }
        func list(_ name: String) -> [String] {
            given.first { $0.option.name == name }?.values.map(\.text).filter { !$0.isEmpty } ?? []
        }
        var texts = NotificationSettings.Texts()
        texts.mailHost = text("mail-host")
        texts.mailPort = UInt16(text("mail-port")) ?? 0
        texts.mailUser = text("mail-username")
        texts.mailPassword = text("mail-password")
        texts.mailFrom = text("mail-from")
        texts.mailPayload = text("mail-payload")
        if let prefix = given.first(where: { $0.option.name == "mail-subject-prefix" }) {
            texts.mailSubjectPrefix = prefix.text
        }
        let endpoint = text("webhook-endpoint")
        texts.webhookEndpoint = endpoint.isEmpty ? text("webhook-url") : endpoint
        texts.webhookPayload = text("webhook-payload")
        texts.webhookHeaders = list("webhook-headers") + list("webhook-header")
        texts.preWebhookEndpoint = text("pre-webhook-endpoint")
        texts.preWebhookPayload = text("pre-webhook-payload")
        texts.preWebhookHeaders = list("pre-webhook-headers")
        texts.cronitorEndpoint = text("cronitor-endpoint")
        do throws(NotificationSettings.Mistake) {
            notifications = try NotificationSettings(texts)
        } catch {
            problems.append("\(place(of: error.option, among: given)): \(error.message)")
        }
        warnAboutHalves(texts, given.map(\.option.name))
    }

    /// How a message names an option, by an older name of it if that is what stands somewhere.
    private func place(of option: String, among given: [Setting]) -> String {
        let older = ["webhook-endpoint": "webhook-url", "webhook-headers": "webhook-header"]
        func isGiven(_ name: String) -> Bool {
            given.contains { $0.option.name == name && !$0.text.isEmpty }
        }
        if let name = older[option], !isGiven(option), isGiven(name) { return subject(name) }
        return subject(option)
    }

    /// What has no effect for want of something else.
    private mutating func warnAboutHalves(
        _ texts: NotificationSettings.Texts, _ given: [String]
    ) {
        func warn(_ option: String, _ why: String) {
            warnings.append("\(subject(option)) has no effect \(why)")
        }
        if !texts.mailHost.isEmpty, texts.mailPort == 0 {
            warn("mail-host", "without mail-port: no mail is sent")
        }
        for (name, endpoint, payload) in [
            ("webhook", texts.webhookEndpoint, texts.webhookPayload),
            ("pre-webhook", texts.preWebhookEndpoint, texts.preWebhookPayload),
        ] {
            if !endpoint.isEmpty, payload.isEmpty {
                let isOlder = name == "webhook" && !given.contains("webhook-endpoint")
                warn(
                    isOlder ? "webhook-url" : "\(name)-endpoint",
                    "without \(name)-payload: nothing is sent")
            } else if endpoint.isEmpty, !payload.isEmpty {
                warn("\(name)-payload", "without \(name)-endpoint: nothing is sent")
            }
        }
        if given.contains("webhook-url"), given.contains("webhook-endpoint") {
            warn("webhook-url", "beside webhook-endpoint")
        }
        if !isServer { warn(given[0], "on a node without --server: servers tell people") }
    }
}
