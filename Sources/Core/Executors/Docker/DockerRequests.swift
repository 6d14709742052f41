/// What is asked of the Docker Engine about one container. Paths have no version: each engine reads
/// them as of its newest, and nothing asked for here has changed since 1.24.
struct DockerRequests: Sendable {
    let job: DockerJob
    let execution: ExecutionID
    /// What the container's environment tells of the attempt.
    let identity: [EnvironmentEntry]

    static let label = "dkron.execution"

    /// The container's name: the same for each repetition, so that there is never a second one.
    var name: String {
        // Names of containers know few characters.
        let rest = execution.text.utf8.map { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f: byte
            default: UInt8(ascii: "_")
            }
        }
        return "dkron-" + String(decoding: rest, as: UTF8.self)
    }

    var findImage: HTTPDialogueStep { ask(.get, "/images/\(job.image)/json") }
    var inspect: HTTPDialogueStep { ask(.get, "/containers/\(name)/json") }
    var start: HTTPDialogueStep { ask(.post, "/containers/\(name)/start") }

    /// What it has printed from its beginning on.
    func logs(follow: Bool) -> HTTPDialogueStep {
        let path = "/containers/\(name)/logs?stdout=1&stderr=1"
        return follow ? ask(.get, path + "&follow=1") : ask(.get, path, patience: .seconds(5))
    }

    var stop: HTTPDialogueStep {
        let seconds = (job.grace.nanoseconds + 999_999_999) / 1_000_000_000
        return ask(
            .post, "/containers/\(name)/stop?t=\(seconds)", patience: job.grace + .seconds(5))
    }

    /// With what is left of it, running or not.
    var remove: HTTPDialogueStep {
        ask(.delete, "/containers/\(name)?force=1&v=1", patience: .seconds(15))
    }

    var pull: HTTPDialogueStep {
        var path = "/images/create?fromImage="
        let last = job.image.lastIndex(of: "/") ?? job.image.startIndex
        if !job.image.contains("@"), let colon = job.image[last...].lastIndex(of: ":") {
            let tag = job.image[job.image.index(after: colon)...]
            path += "\(HTTPEscapes.escaped(String(job.image[..<colon])))&tag=\(tag)"
        } else {
            // Without a tag all of them would be pulled.
            let tag = job.image.contains("@") ? "" : "&tag=latest"
            path += HTTPEscapes.escaped(job.image) + tag
        }
        var headers: HTTPHeaders = [:]
        if let registry = job.registry {
            var writer = JSONWriter(escaping: .minimal)
            writer.beginObject()
            writer.member("username", registry.user)
            writer.member("password", registry.password)
            if let address = registry.address { writer.member("serveraddress", address) }
            writer.endObject()
            headers.append("X-Registry-Auth", Base64Text.encodeForURL(writer.bytes))
        }
        return ask(.post, path, headers, patience: DockerDialogue.pullSilence)
    }

    var create: HTTPDialogueStep {
        var writer = JSONWriter(escaping: .minimal)
        writer.beginObject()
        writer.member("Image", job.image)
        if let command = job.command { writer.member("Cmd", command) }
        if let entrypoint = job.entrypoint { writer.member("Entrypoint", entrypoint) }
        writer.member(
            "Env", (job.environment + identity).map { "\($0.name)=\($0.value)" })
        if let user = job.user { writer.member("User", user) }
        if let folder = job.workingDirectory { writer.member("WorkingDir", folder) }
        writer.key("Labels")
        writer.beginObject()
        writer.member(Self.label, execution.text)
        if let entry = identity.first(where: { $0.name == "DKRON_JOB_NAME" }) {
            writer.member("dkron.job", entry.value)
        }
        writer.endObject()
        writer.key("HostConfig")
        writer.beginObject()
        if !job.volumes.isEmpty { writer.member("Binds", job.volumes) }
        if let network = job.network { writer.member("NetworkMode", network) }
        if let memory = job.memory { writer.member("Memory", memory) }
        if let processors = job.processors { writer.member("NanoCpus", processors) }
        if job.hasInit { writer.member("Init", true) }
        writer.endObject()
        writer.endObject()
        return ask(
            .post, "/containers/create?name=\(name)", ["Content-Type": "application/json"],
            body: writer.bytes)
    }

    /// Each of these is as good asked twice: the container's name tells that it is the same one.
    private func ask(
        _ method: HTTPMethod, _ path: String, _ headers: HTTPHeaders = [:], body: [UInt8] = [],
        patience: Duration? = nil
    ) -> HTTPDialogueStep {
        let url: HTTPURL
        do throws(TextError) { url = try HTTPURL("http://docker\(path)") } catch {
            return .fail(error.message)
        }
        var headers = headers
        headers.append("User-Agent", "dkron")
        let exchange = HTTPExchange(method: method, url: url, headers: headers, body: body)
        return .ask(exchange, isRepeatable: true, patience: patience)
    }
}

/// What the engine knows of a container.
struct DockerState: Sendable {
    /// It has been started, and has not ended.
    var isRunning: Bool
    /// It was never started.
    var isNew: Bool
    var exitCode: Int32
    var isOutOfMemory: Bool
    /// Why the engine could not run it.
    var error: String
    /// The execution that it is for.
    var label: String?

    /// Nil: what answers is not the engine.
    init?(_ body: [UInt8]) {
        guard let document = try? JSONDocument(body),
            let state = document.member(named: "State", of: document.root),
            let running = document.member(named: "Running", of: state),
            let isRunning = document.bool(running),
            let code = document.member(named: "ExitCode", of: state),
            let exitCode = document.int64(code)
        else { return nil }
        let status = document.text("Status", of: state) ?? ""
        self.isRunning =
            isRunning || ["paused", "restarting", "removing", "stopping"].contains(status)
        isNew = ["created", "configured", "initialized"].contains(status)
        self.exitCode = Int32(truncatingIfNeeded: exitCode)
        isOutOfMemory =
            document.member(named: "OOMKilled", of: state).flatMap { document.bool($0) } ?? false
        error = document.text("Error", of: state) ?? ""
        label = document.member(named: "Config", of: document.root)
            .flatMap { document.member(named: "Labels", of: $0) }
            .flatMap { document.text(DockerRequests.label, of: $0) }
    }

    /// What the run came to: a sentence without the full stop, or nothing for a success.
    var verdict: String {
        if isOutOfMemory {
            return "the container used more memory than its limit and was killed "
                + "(exit status \(exitCode))"
        }
        if exitCode == 0 { return error.isEmpty ? "" : String(error.prefix(400)) }
        return "exit status \(exitCode)" + (error.isEmpty ? "" : ": \(error.prefix(400))")
    }
}
