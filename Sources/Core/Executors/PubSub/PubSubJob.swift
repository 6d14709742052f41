/// What a job's `executor_config` says when its executor is `gcppubsub`: one message for a topic of
/// Google Cloud Pub/Sub.
///
/// | key | value |
/// | --- | --- |
/// | `project`, `topic` | required |
/// | `data` | base64; this or `attributes` is required |
/// | `attributes` | JSON object of strings |
/// | `endpoint` | a URL instead of `https://pubsub.googleapis.com` |
/// | `timeout` | whole seconds, or a Go duration; 0 is none, nothing is 15 |
/// | `tlsRootCAsFile` … | as of executor `http` |
///
/// Credentials are those of the node that publishes. An empty value is the same as none.
package struct PubSubJob: ConversationJob {
    package struct Attribute: Hashable, Sendable {
        package var name: String
        package var value: String
    }

    package private(set) var project = ""
    package private(set) var topic = ""
    package private(set) var data: [UInt8]?
    package private(set) var attributes: [Attribute] = []
    package private(set) var endpoint: HTTPURL?
    package private(set) var tls = TLSSettings()
    /// Greater than zero.
    package private(set) var timeout: Duration?

    static let table =
        [
            SettingKey("project", .text, isRequired: true, "name of the project"),
            SettingKey("topic", .text, isRequired: true, "name of the topic, not its path"),
            SettingKey("data", .text, "base64; this, attributes, or both"),
            SettingKey("attributes", .json, "an object of strings"),
            SettingKey(
                "endpoint", .text, standard: "https://pubsub.googleapis.com",
                "another URL of the service, such as a region's"),
            SettingKey("timeout", .duration, standard: "15s", "for the whole; 0 is none"),
        ] + TLSSettingKeys.table
    private static let keys = table.map(\.name)

    package static func parse(
        _ config: [(key: String, value: String)]
    ) throws(ExecutorSettingError) -> PubSubJob {
        let settings = try ExecutorSettings(config, of: "gcppubsub", allowing: keys)
        var job = PubSubJob()
        job.project = try name(
            settings.required("project", "such as \"my-project\""), "project", more: ":.-")
        job.topic = try name(
            settings.required("topic", "such as \"orders\""), "topic", more: "-_.~+%")
        if let text = settings["data"] {
            do throws(TextError) { job.data = try Base64Text.decode(text) } catch {
                throw ExecutorSettingError(key: "data", message: error.description)
            }
        }
        job.attributes = try attributes(settings["attributes"])
        guard job.data != nil || !job.attributes.isEmpty else {
            throw ExecutorSettingError(
                key: "data", message: "a message needs data, attributes, or both")
        }
        if let text = settings["endpoint"] {
            do throws(TextError) { job.endpoint = try HTTPURL(text) } catch {
                throw ExecutorSettingError(key: "endpoint", message: error.description)
            }
        }
        job.tls = try TLSSettingKeys.parse(settings)
        job.timeout = try settings["timeout"] == nil ? .seconds(15) : settings.timeout()
        return job
    }

    package func begin(
        _ attempt: ConversationCall, on host: any ExecutorHost
    ) -> any Conversation {
        HTTPConversation(PubSubDialogue(self, on: host))
    }

    // MARK: Settings

    private static func name(
        _ text: String, _ key: String, more: String
    ) throws(ExecutorSettingError) -> String {
        let isPlain = text.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
            default: more.utf8.contains(byte)
            }
        }
        guard isPlain, text.utf8.count <= 255 else {
            throw ExecutorSettingError(
                key: key,
                message: "\"\(text)\" is no \(key); up to 255 letters, digits and \(more) are "
                    + "allowed")
        }
        return text
    }

    private static func attributes(
        _ text: String?
    ) throws(ExecutorSettingError) -> [Attribute] {
        guard let text else { return [] }
        func refusal(_ message: String) -> ExecutorSettingError {
            ExecutorSettingError(key: "attributes", message: message)
        }
        let document: JSONDocument
        do throws(JSONError) { document = try JSONDocument(Array(text.utf8)) } catch {
            throw refusal("this is not JSON: \(error)")
        }
        let form = "an object of strings is wanted, such as {\"kind\": \"order\"}"
        guard document.kind(of: document.root) == .object else { throw refusal(form) }
        var attributes: [Attribute] = []
        for member in document.members(of: document.root) {
            let name = document.string(member.name) ?? ""
            guard let value = document.string(member.value) else {
                throw refusal("the value of \"\(name)\" is not a string; \(form)")
            }
            attributes.append(Attribute(name: name, value: value))
        }
        return attributes
    }
}
