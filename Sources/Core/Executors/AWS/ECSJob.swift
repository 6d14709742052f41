/// What a job's `executor_config` says when its executor is `ecs`: one task of Amazon's Elastic
/// Container Service, run to its end.
///
/// | key | value |
/// | --- | --- |
/// | `taskdefName` or `taskdefBody` | `family[:revision]` or ARN; or JSON, registered each time |
/// | `region`, `cluster` | nothing is the node's `AWS_REGION`, and `default` |
/// | `fargate` | yes: the launch type is FARGATE |
/// | `subnet`, `securityGroup` | several with commas, or a JSON list |
/// | `assignPublicIp` | yes, for tasks in these subnets |
/// | `service` | whose network, launch type and capacity providers the task gets |
/// | `env` | `NAME=value`, several with commas, for every container |
/// | `overrides` | JSON object, as of RunTask |
/// | `container` | whose exit status counts; nothing is every essential one's |
/// | `logGroup` | of CloudWatch, instead of the definition's |
/// | `maxAttempts` | looks at the task before it is stopped |
/// | `enableExecuteCommand`, `propagateTags` | as of RunTask |
/// | `accessKeyId`, `secretAccessKey`, `sessionToken` | nothing is what the node has |
/// | `endpoint` | a URL instead of Amazon's |
/// | `timeout` | whole seconds, or a Go duration; nothing is none |
/// | `tlsRootCAsFile` … | as of executor `http` |
///
/// An empty value is the same as none.
package struct ECSJob: ConversationJob {
    package enum Definition: Hashable, Sendable {
        case name(String)
        /// A JSON object.
        case body([UInt8])
    }

    package private(set) var definition = Definition.name("")
    package private(set) var region: String?
    package private(set) var cluster = "default"
    package private(set) var isFargate = false
    package private(set) var subnets: [String] = []
    package private(set) var securityGroups: [String] = []
    package private(set) var hasPublicAddress = false
    package private(set) var service: String?
    package private(set) var environment: [EnvironmentEntry] = []
    /// A JSON object.
    package private(set) var overrides: [UInt8]?
    package private(set) var container: String?
    package private(set) var logGroup: String?
    /// 1 ... 1,000,000.
    package private(set) var mostLooks = 2_000
    package private(set) var allowsCommands = false
    package private(set) var propagateTags: String?
    private(set) var keys: AWSSignature.Keys?
    package private(set) var endpoint: HTTPURL?
    package private(set) var tls = TLSSettings()
    /// Greater than zero.
    package private(set) var timeout: Duration?

    static let table =
        [
            SettingKey("taskdefName", .text, "family, family:revision or ARN of the definition"),
            SettingKey("taskdefBody", .json, "the definition itself, registered for each run"),
            SettingKey("region", .text, "nothing is the node's AWS_REGION"),
            SettingKey("cluster", .text, standard: "default", "its name or ARN"),
            SettingKey("fargate", .boolean, standard: "false", "launch on Fargate"),
            SettingKey("subnet", .list, "one or several, for tasks with a network of their own"),
            SettingKey("securityGroup", .list, "one or several, for these tasks"),
            SettingKey("assignPublicIp", .boolean, standard: "false", "for these tasks"),
            SettingKey("service", .text, "a service whose network and launch type are used"),
            SettingKey("env", .list, "NAME=value, several with commas, for every container"),
            SettingKey("overrides", .json, "as of RunTask"),
            SettingKey(
                "container", .text, "whose exit status counts; nothing is every essential one's"),
            SettingKey("logGroup", .text, "of CloudWatch; nothing is the definition's"),
            SettingKey(
                "maxAttempts", .number, standard: "2000",
                "looks at the task, 6 s apart, before "
                    + "it is stopped"),
            SettingKey(
                "enableExecuteCommand", .boolean, standard: "false", "allow ECS Exec"),
            SettingKey("propagateTags", .text, "TASK_DEFINITION or SERVICE"),
            SettingKey("accessKeyId", .text, "nothing is what the node has"),
            SettingKey("secretAccessKey", .secret, "of accessKeyId"),
            SettingKey("sessionToken", .secret, "of an accessKeyId that is good for a while"),
            SettingKey("endpoint", .text, "a URL instead of Amazon's"),
            SettingKey("timeout", .duration, "after which the task is stopped; nothing is never"),
        ] + TLSSettingKeys.table
    private static let settingKeys = table.map(\.name)

    /// Reads and checks the settings. Linear in their size.
    package static func parse(
        _ config: [(key: String, value: String)]
    ) throws(ExecutorSettingError) -> ECSJob {
        let settings = try ExecutorSettings(config, of: "ecs", allowing: settingKeys)
        var job = ECSJob()
        job.definition = try definition(settings)
        job.region = try region(settings["region"])
        if let cluster = settings["cluster"] { job.cluster = cluster }
        job.isFargate = try choice(settings, "fargate")
        job.subnets = try SettingList.words(settings["subnet"], key: "subnet")
        job.securityGroups = try SettingList.words(settings["securityGroup"], key: "securityGroup")
        job.hasPublicAddress = try choice(settings, "assignPublicIp")
        guard !job.subnets.isEmpty || (job.securityGroups.isEmpty && !job.hasPublicAddress) else {
            throw ExecutorSettingError(
                key: "subnet", message: "securityGroup and assignPublicIp need a subnet")
        }
        job.service = settings["service"]
        job.environment = try SettingList.environment(settings["env"], key: "env")
        job.overrides = try object(settings["overrides"], "overrides")
        job.container = settings["container"]
        job.logGroup = settings["logGroup"]
        job.mostLooks = try settings.number("maxAttempts", most: 1_000_000) ?? 2_000
        guard job.mostLooks > 0 else {
            throw ExecutorSettingError(key: "maxAttempts", message: "0 looks are too few")
        }
        job.allowsCommands = try choice(settings, "enableExecuteCommand")
        let tags = ["TASK_DEFINITION", "SERVICE", "NONE"].map { (word: $0, value: $0) }
        job.propagateTags = try settings.choice("propagateTags", tags)
        job.keys = try keys(settings)
        if let text = settings["endpoint"] {
            do throws(TextError) { job.endpoint = try HTTPURL(text) } catch {
                throw ExecutorSettingError(key: "endpoint", message: error.description)
            }
        }
        job.tls = try TLSSettingKeys.parse(settings)
        job.timeout = try TimeoutText.parse(settings["timeout"], key: "timeout")
        return job
    }

    package func begin(
        _ attempt: ConversationCall, on host: any ExecutorHost
    ) -> any Conversation {
        HTTPConversation(ECSDialogue(self, attempt, on: host))
    }

    // MARK: Settings

    private static func definition(
        _ settings: ExecutorSettings
    ) throws(ExecutorSettingError) -> Definition {
        switch (settings["taskdefName"], try object(settings["taskdefBody"], "taskdefBody")) {
        case (let name?, nil): return .name(name)
        case (nil, let body?): return .body(body)
        case (nil, nil):
            throw ExecutorSettingError(
                key: "taskdefName",
                message: "a task definition is required: its name here, or itself in taskdefBody")
        case (_?, _?):
            throw ExecutorSettingError(
                key: "taskdefBody", message: "taskdefName and taskdefBody can't be given both")
        }
    }

    /// Part of a host's name.
    private static func region(_ text: String?) throws(ExecutorSettingError) -> String? {
        guard let text else { return nil }
        guard isRegion(text) else {
            throw ExecutorSettingError(
                key: "region", message: "\"\(text)\" is no region, such as eu-central-1")
        }
        return text
    }

    static func isRegion(_ text: String) -> Bool {
        text.utf8.count <= 40
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x61...0x7a, 0x2d: true
                default: false
                }
            }
    }

    /// Go's words for truth, and yes and no.
    private static func choice(
        _ settings: ExecutorSettings, _ key: String
    ) throws(ExecutorSettingError) -> Bool {
        switch settings[key]?.lowercased() {
        case "yes": true
        case "no": false
        default: try settings.flag(key)
        }
    }

    private static func object(
        _ text: String?, _ key: String
    ) throws(ExecutorSettingError) -> [UInt8]? {
        guard let text else { return nil }
        let document: JSONDocument
        do throws(JSONError) { document = try JSONDocument(Array(text.utf8)) } catch {
            throw ExecutorSettingError(key: key, message: "this is not JSON: \(error)")
        }
        guard document.kind(of: document.root) == .object else {
            throw ExecutorSettingError(key: key, message: "a JSON object is wanted")
        }
        return document.compact(document.root)
    }

    private static func keys(
        _ settings: ExecutorSettings
    ) throws(ExecutorSettingError) -> AWSSignature.Keys? {
        let names = ["accessKeyId", "secretAccessKey"]
        switch (settings[names[0]], settings[names[1]]) {
        case (nil, nil):
            guard settings["sessionToken"] == nil else {
                throw ExecutorSettingError(
                    key: "sessionToken", message: "it says nothing without \(names[0])")
            }
            return nil
        case (let id?, let secret?):
            return AWSSignature.Keys(id: id, secret: secret, token: settings["sessionToken"])
        case (let id, _):
            throw ExecutorSettingError(
                key: id == nil ? names[0] : names[1],
                message: "keys are both \(names[0]) and \(names[1])")
        }
    }
}
