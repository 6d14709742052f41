/// Publishes a message over the REST interface of Google Cloud Pub/Sub.
///
///     token (of a key file, a refresh token, or the metadata server) ─► publish ─► ended
///
/// With `PUBSUB_EMULATOR_HOST` no token is asked for. What the service refuses for the moment is
/// asked for again, with growing pauses; a message whose answer was lost is not sent twice.
struct PubSubDialogue: HTTPDialogue {
    private let job: PubSubJob
    private let host: any ExecutorHost
    private var source: GoogleCredentials?
    private var token: String?
    private var tries = 0

    private static let mostTries = 6
    /// What one may do with the token.
    private static let scope = "https://www.googleapis.com/auth/pubsub"

    init(_ job: PubSubJob, on host: any ExecutorHost) {
        self.job = job
        self.host = host
    }

    // MARK: Steps

    mutating func next(at now: Now) -> HTTPDialogueStep {
        if let token { return publish(token) }
        do throws(ExecutorHostError) {
            if job.endpoint == nil, let emulator = host.variable("PUBSUB_EMULATOR_HOST") {
                return publish(nil, to: try Self.emulator(emulator))
            }
            let source: GoogleCredentials
            if let known = self.source {
                source = known
            } else {
                source = try GoogleCredentials.find(on: host)
                self.source = source
            }
            var request = try source.request(scope: Self.scope, at: now.wall, on: host)
            request.tls = job.tls
            // A token too many harms nobody.
            return .ask(request, isRepeatable: true)
        } catch {
            return .fail(error.description)
        }
    }

    mutating func answered(
        _ head: HTTPResponseHead, _ body: [UInt8], at now: Now
    ) -> HTTPDialogueStep {
        let isToken = token == nil && source != nil
        guard head.status == 200 else {
            let reason = Self.reason(head, body)
            // The service says that it has not done it.
            let isPassing =
                head.status == 429 || head.status == 503
                || (isToken && [500, 502, 504].contains(head.status))
            return isPassing ? again(reason) : .fail(failure(reason))
        }
        let document = try? JSONDocument(body)
        if isToken {
            guard let document,
                let token = document.text("access_token", of: document.root),
                token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f })
            else { return .fail(failure("the answer holds no access token")) }
            self.token = token
            tries = 0
            return publish(token)
        }
        guard let document,
            let list = document.member(named: "messageIds", of: document.root),
            let first = document.elements(of: list).first(where: { _ in true }),
            let id = document.string(first)
        else {
            return .fail(failure("the answer holds no message id") + Conversations.caveat)
        }
        return .end(output: Array(id.utf8), error: "")
    }

    mutating func failed(_ reason: String, at now: Now) -> HTTPDialogueStep {
        // Nobody who never was there comes back within seconds.
        tries >= 2 ? .fail(failure(reason)) : again(reason)
    }

    private mutating func again(_ reason: String) -> HTTPDialogueStep {
        tries += 1
        guard tries < Self.mostTries else { return .fail(failure(reason)) }
        return .wait(.milliseconds(250) * Int64(1 << (tries - 1)))
    }

    private func failure(_ reason: String) -> String {
        if token == nil, let source { return "no access token of \(source.name): \(reason)" }
        return "publish message to topic \"\(job.topic)\": \(reason)"
    }

    /// What the service says in its error, in one of the two forms that Google's services have.
    private static func reason(_ head: HTTPResponseHead, _ body: [UInt8]) -> String {
        let status = "status \(head.status)"
        guard let document = try? JSONDocument(body),
            let error = document.member(named: "error", of: document.root)
        else { return status }
        if let word = document.string(error) {
            let more = document.text("error_description", of: document.root).map { ": \($0)" }
            return "\(word.prefix(100))\((more ?? "").prefix(300)) (\(status))"
        }
        let word = document.text("status", of: error) ?? ""
        let text = document.text("message", of: error) ?? ""
        let words = [word, text].filter { !$0.isEmpty }.joined(separator: ": ")
        return words.isEmpty ? status : "\(words.prefix(400)) (\(status))"
    }

    // MARK: Requests

    private static func emulator(_ text: String) throws(ExecutorHostError) -> HTTPURL {
        do throws(TextError) {
            return try HTTPURL(text.contains("://") ? text : "http://\(text)")
        } catch {
            throw ExecutorHostError(
                "PUBSUB_EMULATOR_HOST is \"\(text)\", which is no host and port: \(error.message)")
        }
    }

    private func publish(_ token: String?, to emulator: HTTPURL? = nil) -> HTTPDialogueStep {
        // A percent sign of a name is one of its characters.
        let topic = job.topic.split(separator: "%", omittingEmptySubsequences: false)
            .joined(separator: "%25")
        let path = "/v1/projects/\(job.project)/topics/\(topic):publish"
        let url: HTTPURL
        do throws(TextError) {
            if let base = emulator ?? job.endpoint {
                url = try base.resolving(path)
            } else {
                url = try HTTPURL("https://pubsub.googleapis.com" + path)
            }
        } catch {
            return .fail("publish message to topic \"\(job.topic)\": \(error.message)")
        }
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("messages")
        writer.beginArray()
        writer.beginObject()
        if let data = job.data { writer.member("data", Base64Text.encode(data)) }
        if !job.attributes.isEmpty {
            writer.key("attributes")
            writer.beginObject()
            for attribute in job.attributes { writer.member(attribute.name, attribute.value) }
            writer.endObject()
        }
        writer.endObject()
        writer.endArray()
        writer.endObject()
        var headers: HTTPHeaders = ["Content-Type": "application/json", "User-Agent": "dkron"]
        if let token { headers.append("Authorization", "Bearer \(token)") }
        var request = HTTPExchange(
            method: .post, url: url, headers: headers, body: writer.bytes)
        request.tls = job.tls
        return .ask(request)
    }
}
