// What processors are called with and answer, in Go's types: fields are matched by their names.

/// An execution as processors see it, and may change it.
package struct PluginExecution: Hashable, Sendable {
    package var job: String
    package var isSuccess: Bool
    package var output: [UInt8]
    package var node: String
    package var group: Int64
    package var attempt: UInt32
    package var startedAt: WallTime?
    package var finishedAt: WallTime?

    package init(
        job: String, isSuccess: Bool, output: [UInt8], node: String, group: Int64, attempt: UInt32,
        startedAt: WallTime? = nil, finishedAt: WallTime? = nil
    ) {
        self.job = job
        self.isSuccess = isSuccess
        self.output = output
        self.node = node
        self.group = group
        self.attempt = attempt
        self.startedAt = startedAt
        self.finishedAt = finishedAt
    }

    private static let time = GobType.structure(
        "Timestamp", [GobField("Seconds", .int), GobField("Nanos", .int)])

    static let type = GobType.structure(
        "Execution",
        [
            GobField("JobName", .string), GobField("Success", .bool), GobField("Output", .bytes),
            GobField("NodeName", .string), GobField("Group", .int), GobField("Attempt", .uint),
            GobField("StartedAt", time), GobField("FinishedAt", time),
        ])

    var value: GobValue {
        var members = [
            GobMember("JobName", .string(job)), GobMember("Success", .bool(isSuccess)),
            GobMember("Output", .bytes(output)), GobMember("NodeName", .string(node)),
            GobMember("Group", .int(group)), GobMember("Attempt", .uint(UInt64(attempt))),
        ]
        for (name, at) in [("StartedAt", startedAt), ("FinishedAt", finishedAt)] {
            guard let at else { continue }
            let time: [GobMember] = [
                GobMember("Seconds", .int(at.seconds)), GobMember("Nanos", .int(at.nanos)),
            ]
            members.append(GobMember(name, .structure(time)))
        }
        return .structure(members)
    }

    /// Nil if the value is no execution. What was not sent is zero.
    init?(_ value: GobValue) {
        guard case .structure = value else { return nil }
        job = value["JobName"]?.text ?? ""
        isSuccess = value["Success"]?.flag ?? false
        output = value["Output"]?.data ?? []
        node = value["NodeName"]?.text ?? ""
        group = value["Group"]?.signed ?? 0
        attempt = UInt32(clamping: value["Attempt"]?.unsigned ?? 0)
        startedAt = Self.time(value["StartedAt"])
        finishedAt = Self.time(value["FinishedAt"])
    }

    private static func time(_ value: GobValue?) -> WallTime? {
        guard case .structure? = value else { return nil }
        let seconds = WallTime(seconds: value?["Seconds"]?.signed ?? 0)
        return seconds + Duration.nanoseconds(value?["Nanos"]?.signed ?? 0)
    }
}

extension WallTime {
    /// Beyond `seconds`, from 0 up to a second.
    fileprivate var nanos: Int64 { nanoseconds - WallTime(seconds: seconds).nanoseconds }
}

enum ProcessorService {
    static let process = "Plugin.Process"
    static let dispense = "Dispenser.Dispense"
    static let quit = "Control.Quit"
    static let ping = "Control.Ping"

    static let arguments = GobType.structure(
        "ProcessorArgs",
        [
            GobField("Execution", PluginExecution.type),
            GobField("Config", .map(.string, .string)),
        ])

    static func arguments(
        _ execution: PluginExecution, _ config: [ProtobufEntry]
    ) -> GobValue {
        let entries = config.flatMap { [GobValue.string($0.key), .string($0.value)] }
        return .structure([
            GobMember("Execution", execution.value), GobMember("Config", .map(entries)),
        ])
    }

    /// Nil for what releases before 2.1 send, and for anything else. Settings in the order of their
    /// names: Go's have none.
    static func arguments(
        _ value: GobValue
    ) -> (execution: PluginExecution, config: [ProtobufEntry])? {
        guard let inner = value["Execution"], let execution = PluginExecution(inner),
            !["StartedAt", "FinishedAt"].contains(where: {
                if case .opaque? = inner[$0] { true } else { false }
            })
        else { return nil }
        var config: [ProtobufEntry] = []
        if let settings = value["Config"] {
            guard case .map(let entries) = settings else { return nil }
            for index in stride(from: 0, to: entries.count - 1, by: 2) {
                guard let key = entries[index].text, let text = entries[index + 1].text else {
                    return nil
                }
                config.append(ProtobufEntry(key, text))
            }
        }
        config.sort { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        return (execution, config)
    }
}

/// A call of a processor.
package struct ProcessorCall: Hashable, Sendable {
    /// By which it is answered; the caller's matter, and unique among those under way.
    package var number: UInt64
    /// The plugin's name: that of the processor.
    package var plugin: String
    package var execution: PluginExecution
    /// As the job says it, with what the frame adds.
    package var config: [ProtobufEntry]
    /// For the whole, a plugin that is not ready included.
    package var timeout: Duration

    package init(
        number: UInt64, plugin: String, execution: PluginExecution,
        config: [(key: String, value: String)], timeout: Duration
    ) {
        self.number = number
        self.plugin = plugin
        self.execution = execution
        self.config = config.map { ProtobufEntry($0.key, $0.value) }
        self.timeout = timeout
    }
}

/// What came of a call of a processor.
package enum PluginOutcome: Hashable, Sendable {
    /// The execution, changed or not.
    case processed(PluginExecution)
    /// A sentence without the full stop; what the processor was to see stays as it is.
    case failed(String)
}
