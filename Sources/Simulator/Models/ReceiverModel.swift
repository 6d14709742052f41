// Receivers of notifications: a mail server, web hooks, and a monitor. They take what they are
// sent, refuse it, hang, answer when nobody waits any more, and take it while their answer is lost.

import Core

enum ReceiverModel {
    struct Answer {
        /// Nil: it never answers.
        var outcome: ProcessorOutcome?
        var after: Duration
        /// Somebody has been told.
        var isDelivered: Bool
    }

    /// How a node is configured by words with commas between them.
    static func settings(_ words: String) -> NotificationSettings {
        var texts = NotificationSettings.Texts()
        for word in words.split(separator: ",") {
            switch word {
            case "mail":
                (texts.mailHost, texts.mailPort) = ("mail.sim", 25)
                texts.mailFrom = "cron@mail.sim"
            case "webhook":
                texts.webhookEndpoint = "http://hook.sim/end"
                texts.webhookPayload = "{{.JobName}} {{.Success}}"
            case "start":
                texts.preWebhookEndpoint = "http://hook.sim/start"
                texts.preWebhookPayload = "{{.JobName}} {{.StartTime}}"
            case "cronitor": texts.cronitorEndpoint = "http://monitor.sim/ping"
            default: preconditionFailure("nobody is told by \(word)")
            }
        }
        do { return try NotificationSettings(texts) } catch {
            preconditionFailure("\(error)")
        }
    }

    /// By which channel something is told.
    static func channel(of run: ProcessorRun) -> NotificationChannels {
        guard case .webhook(let task) = run.task.work else { return .mail }
        let url = task.call(of: run.execution, run.output, as: run.execution.id).exchange.url
        switch (url.host, url.target) {
        case ("hook.sim", "/end"): return .webhook
        case ("hook.sim", _): return .preWebhook
        default: return url.target.hasSuffix("&state=run") ? .cronitorStart : .cronitorEnd
        }
    }

    /// What the monitor collects pings by; nil of what is none.
    static func series(of run: ProcessorRun) -> String? {
        guard case .webhook(let task) = run.task.work else { return nil }
        let url = task.call(of: run.execution, run.output, as: run.execution.id).exchange.url
        guard url.host == "monitor.sim" else { return nil }
        return url.target.split(separator: "&").first { $0.hasPrefix("series=") }
            .map { String($0.dropFirst("series=".count)) }
    }

    /// - Parameter isHealthy: whatever is sent is taken.
    static func answer(
        to run: ProcessorRun, isHealthy: Bool, _ stream: DrawStream
    ) -> Answer {
        var draws = stream
        let quick = draws.exponential(.milliseconds(20))
        let late = run.task.timeout + .seconds(2) + draws.exponential(.seconds(5))
        let taken = Answer(outcome: .done(output: nil), after: quick, isDelivered: true)
        if isHealthy { return taken }
        switch draws.weighted([60, 15, 5, 5, 5, 10]) {
        case 0: return taken
        case 1:
            return Answer(
                outcome: .failed("it answered with status 503"), after: quick,
                isDelivered: false)
        case 2: return Answer(outcome: nil, after: quick, isDelivered: false)
        case 3: return Answer(outcome: nil, after: quick, isDelivered: true)
        case 4: return Answer(outcome: .done(output: nil), after: late, isDelivered: true)
        default:
            return Answer(
                outcome: .failed("the connection was closed"), after: quick, isDelivered: true)
        }
    }
}
