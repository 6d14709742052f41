/// What is asked of the Elastic Container Service about one task, and of the logs that it leaves.
struct ECSRequests: Sendable {
    let job: ECSJob
    let execution: ExecutionID
    let identity: [EnvironmentEntry]
    /// The same for each repetition, so that there is never a second task: RunTask gives the first
    /// one again. At most 36 characters.
    let token: String
    let region: String
    private let ecs: HTTPURL
    private let logs: HTTPURL

    init(
        _ job: ECSJob, _ attempt: ConversationCall, on host: any ExecutorHost
    ) throws(ExecutorHostError) {
        self.job = job
        execution = attempt.execution
        identity = attempt.identity
        let digest = try host.digest(.sha256, of: Array(execution.text.utf8))
        token = "dkron-\(Hexadecimal.text(ofBytes: digest.prefix(14)))"
        let region =
            job.region ?? host.variable("AWS_REGION") ?? host.variable("AWS_DEFAULT_REGION") ?? ""
        guard !region.isEmpty, ECSJob.isRegion(region) else {
            throw ExecutorHostError(
                region.isEmpty
                    ? "there is no region: neither in the settings nor as AWS_REGION in the node's "
                        + "environment"
                    : "AWS_REGION is \"\(region)\", which is no region")
        }
        self.region = region
        func url(_ service: String, _ variable: String) throws(ExecutorHostError) -> HTTPURL {
            if let endpoint = job.endpoint { return endpoint }
            let end = region.hasPrefix("cn-") ? "amazonaws.com.cn" : "amazonaws.com"
            let text =
                host.variable(variable) ?? host.variable("AWS_ENDPOINT_URL")
                ?? "https://\(service).\(region).\(end)"
            do throws(TextError) { return try HTTPURL(text) } catch {
                throw ExecutorHostError(
                    "AWS_ENDPOINT_URL is \"\(text)\", which is no URL: \(error.message)")
            }
        }
        ecs = try url("ecs", "AWS_ENDPOINT_URL_ECS")
        logs = try url("logs", "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS")
    }

    /// Where the service is, for messages.
    var place: String { ecs.authority }

    // MARK: Actions

    var define: HTTPExchange {
        switch job.definition {
        case .body(let body): return ask("RegisterTaskDefinition", raw: body)
        case .name(let name): return describeDefinition(name)
        }
    }

    func describeDefinition(_ name: String) -> HTTPExchange {
        ask("DescribeTaskDefinition") { $0.member("taskDefinition", name) }
    }

    func describeService(_ name: String) -> HTTPExchange {
        ask("DescribeServices") {
            $0.member("cluster", job.cluster)
            $0.member("services", [name])
        }
    }

    func run(_ definition: ECSDefinition, _ service: ECSService?) -> HTTPExchange {
        ask("RunTask") { writer in
            writer.member("cluster", job.cluster)
            writer.member("taskDefinition", definition.arn)
            writer.member("count", 1)
            writer.member("clientToken", token)
            writer.member("startedBy", token)
            if job.isFargate {
                writer.member("launchType", "FARGATE")
            } else {
                for (name, value) in service?.placement ?? [] {
                    writer.key(name)
                    writer.raw(value)
                }
            }
            if !job.subnets.isEmpty {
                network(&writer)
            } else if let network = service?.network {
                writer.key("networkConfiguration")
                writer.raw(network)
            }
            if job.allowsCommands { writer.member("enableExecuteCommand", true) }
            if let tags = job.propagateTags, tags != "NONE" { writer.member("propagateTags", tags) }
            writer.key("overrides")
            overrides(&writer, definition)
        }
    }

    /// Tasks that run; those that have ended are not found so.
    var find: HTTPExchange {
        ask("ListTasks") {
            $0.member("cluster", job.cluster)
            $0.member("startedBy", token)
        }
    }

    func look(_ task: String) -> HTTPExchange {
        ask("DescribeTasks") {
            $0.member("cluster", job.cluster)
            $0.member("tasks", [task])
        }
    }

    func stop(_ task: String, _ reason: String) -> HTTPExchange {
        ask("StopTask") {
            $0.member("cluster", job.cluster)
            $0.member("task", task)
            $0.member("reason", reason)
        }
    }

    /// The last of what a container has printed, up to a megabyte of it.
    func output(_ log: ECSDefinition.Log, _ container: String, _ task: String) -> HTTPExchange {
        let id = task.split(separator: "/").last.map(String.init) ?? task
        var writer = JSONWriter(escaping: .minimal)
        writer.beginObject()
        writer.member("logGroupName", job.logGroup ?? log.group)
        writer.member("logStreamName", "\(log.prefix)/\(container)/\(id)")
        writer.endObject()
        return ask(logs, "Logs_20140328.GetLogEvents", writer.bytes)
    }

    // MARK: Parts

    private func network(_ writer: inout JSONWriter) {
        writer.key("networkConfiguration")
        writer.beginObject()
        writer.key("awsvpcConfiguration")
        writer.beginObject()
        writer.member("subnets", job.subnets)
        if !job.securityGroups.isEmpty { writer.member("securityGroups", job.securityGroups) }
        writer.member("assignPublicIp", job.hasPublicAddress ? "ENABLED" : "DISABLED")
        writer.endObject()
        writer.endObject()
    }

    /// The job's own, with what each container's environment gets besides.
    private func overrides(_ writer: inout JSONWriter, _ definition: ECSDefinition) {
        let document = job.overrides.flatMap { try? JSONDocument($0) }
        writer.beginObject()
        var rest = definition.containers.map(\.name)
        if let document {
            for member in document.members(of: document.root)
            where document.string(member.name) != "containerOverrides" {
                writer.key(document.string(member.name) ?? "")
                writer.raw(document.source(of: member.value))
            }
        }
        writer.key("containerOverrides")
        writer.beginArray()
        if let document,
            let list = document.member(named: "containerOverrides", of: document.root)
        {
            for element in document.elements(of: list) {
                let name = document.text("name", of: element) ?? ""
                let isKnown = rest.contains(name)
                rest.removeAll { $0 == name }
                container(&writer, name, isKnown, document, element)
            }
        }
        for name in rest { container(&writer, name, true, nil, nil) }
        writer.endArray()
        writer.endObject()
    }

    private func container(
        _ writer: inout JSONWriter, _ name: String, _ isKnown: Bool, _ document: JSONDocument?,
        _ given: JSONValue?
    ) {
        writer.beginObject()
        if !name.isEmpty { writer.member("name", name) }
        var variables: [[UInt8]] = []
        if let document, let given {
            for member in document.members(of: given) {
                switch document.string(member.name) {
                case "name": break
                case "environment":
                    for entry in document.elements(of: member.value) {
                        variables.append(Array(document.source(of: entry)))
                    }
                default:
                    writer.key(document.string(member.name) ?? "")
                    writer.raw(document.source(of: member.value))
                }
            }
        }
        writer.key("environment")
        writer.beginArray()
        for variable in variables { writer.raw(variable) }
        for entry in isKnown ? job.environment + identity : [] {
            writer.beginObject()
            writer.member("name", entry.name)
            writer.member("value", entry.value)
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
    }

    private func ask(
        _ action: String, _ write: (inout JSONWriter) -> Void
    ) -> HTTPExchange {
        var writer = JSONWriter(escaping: .minimal)
        writer.beginObject()
        write(&writer)
        writer.endObject()
        return ask(action, raw: writer.bytes)
    }

    private func ask(_ action: String, raw body: [UInt8]) -> HTTPExchange {
        ask(ecs, "AmazonEC2ContainerServiceV20141113.\(action)", body)
    }

    /// Unsigned.
    private func ask(_ url: HTTPURL, _ target: String, _ body: [UInt8]) -> HTTPExchange {
        var exchange = HTTPExchange(
            method: .post, url: url,
            headers: [
                "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target,
            ], body: body)
        exchange.tls = job.tls
        return exchange
    }

    /// The name of a service as the signature has it.
    static func service(of exchange: HTTPExchange) -> String {
        exchange.headers["X-Amz-Target"]?.hasPrefix("Logs") == true ? "logs" : "ecs"
    }
}

/// What a task definition says of its containers.
struct ECSDefinition: Sendable {
    /// Where a container's output is.
    struct Log: Sendable {
        var group: String
        var prefix: String
    }

    struct Container: Sendable {
        var name: String
        var isEssential: Bool
        var log: Log?
    }

    var arn: String
    var containers: [Container]

    /// Nil: the answer has none.
    init?(_ body: [UInt8]) {
        guard let document = try? JSONDocument(body),
            let definition = document.member(named: "taskDefinition", of: document.root),
            let arn = document.text("taskDefinitionArn", of: definition)
        else { return nil }
        self.arn = arn
        containers = []
        guard let list = document.member(named: "containerDefinitions", of: definition) else {
            return
        }
        for element in document.elements(of: list) {
            guard let name = document.text("name", of: element) else { continue }
            let essential =
                document.member(named: "essential", of: element).flatMap { document.bool($0) }
            var log: Log?
            if let settings = document.member(named: "logConfiguration", of: element),
                document.text("logDriver", of: settings) == "awslogs",
                let options = document.member(named: "options", of: settings),
                let group = document.text("awslogs-group", of: options),
                let prefix = document.text("awslogs-stream-prefix", of: options)
            {
                log = Log(group: group, prefix: prefix)
            }
            containers.append(Container(name: name, isEssential: essential ?? true, log: log))
        }
    }
}

/// What a task takes over from a service, as JSON.
struct ECSService: Sendable {
    var network: [UInt8]?
    var placement: [(name: String, value: [UInt8])] = []

    /// Nil: the answer has none.
    init?(_ body: [UInt8]) {
        guard let document = try? JSONDocument(body),
            let list = document.member(named: "services", of: document.root),
            let service = document.elements(of: list).first(where: { _ in true })
        else { return nil }
        func part(_ name: String) -> [UInt8]? {
            document.member(named: name, of: service).flatMap { value in
                let isEmpty =
                    document.isNull(value)
                    || (document.kind(of: value) == .array && document.count(of: value) == 0)
                return isEmpty ? nil : document.compact(value)
            }
        }
        network = part("networkConfiguration")
        // Of these two RunTask takes one.
        for name in ["capacityProviderStrategy", "launchType"] where placement.isEmpty {
            if let value = part(name) { placement.append((name, value)) }
        }
        if let version = part("platformVersion") { placement.append(("platformVersion", version)) }
    }
}

/// What the service tells of a task.
struct ECSTask: Sendable {
    struct Container: Sendable {
        var name: String
        /// Nil: it has not run to an end.
        var exitCode: Int32?
        var reason: String?
    }

    var arn: String
    var definition: String
    var status: String
    var stopReason: String?
    var containers: [Container] = []

    var isStopped: Bool { status == "STOPPED" }

    /// One of which nothing more is known.
    init(arn: String) {
        self.arn = arn
        definition = ""
        status = ""
    }

    /// The first of an answer's tasks; nil: there is none.
    init?(_ document: JSONDocument) {
        guard let list = document.member(named: "tasks", of: document.root),
            let task = document.elements(of: list).first(where: { _ in true }),
            let arn = document.text("taskArn", of: task)
        else { return nil }
        self.arn = arn
        definition = document.text("taskDefinitionArn", of: task) ?? ""
        status = document.text("lastStatus", of: task) ?? ""
        let why = document.text("stoppedReason", of: task) ?? ""
        stopReason = why.isEmpty ? nil : why
        guard let containers = document.member(named: "containers", of: task) else { return }
        for element in document.elements(of: containers) {
            let code = document.member(named: "exitCode", of: element)
            self.containers.append(
                Container(
                    name: document.text("name", of: element) ?? "",
                    exitCode: code.flatMap { document.int64($0) }.map {
                        Int32(truncatingIfNeeded: $0)
                    }, reason: document.text("reason", of: element)))
        }
    }

    /// What the task came to: a sentence without the full stop, or nothing for a success; and the
    /// exit status.
    /// - Parameter counting: the containers that count.
    func verdict(counting names: [String]) -> (error: String, exitCode: Int32?) {
        let counted = containers.filter { names.contains($0.name) }
        for container in counted {
            guard let code = container.exitCode else {
                let why = container.reason ?? stopReason ?? "no reason is given"
                return ("container \(container.name) has not run: \(why.prefix(400))", nil)
            }
            if code != 0 {
                let why = container.reason.map { ": \($0.prefix(400))" } ?? ""
                return ("exit status \(code) of container \(container.name)\(why)", code)
            }
        }
        guard !counted.isEmpty else {
            let all = containers.map(\.name).joined(separator: ", ")
            let why = stopReason.map { ": \($0.prefix(400))" } ?? ""
            return ("none of the task's containers (\(all)) counts\(why)", nil)
        }
        return ("", 0)
    }
}
