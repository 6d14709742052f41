internal import Adapters
internal import Core
internal import Glibc
internal import Synchronization

/// Serves an executor to the host that has started this process, until that is over, and ends the
/// process: with 0, or with 1 and words on standard error if nobody can be served, as when a person
/// has started the program by hand.
///
/// Call it from the main thread before any other thread is made. From then on what is printed on
/// standard output goes to the host's log; standard error stays as it is, and hosts log its lines.
public func serve(_ executor: some Executor) -> Never {
    exit(
        PluginService.run(.executor) { loop, _ in
            try ThreadedWork(loop: loop) { call, handle in
                guard case .execute(let job, let config, let identity) = call.work else {
                    return .executed(error: "an executor is not called for this")
                }
                let run = Run(job, settings(config), Attempt(identity), handle)
                do {
                    try executor.execute(run)
                    return .executed(error: "")
                } catch {
                    let reason = "\(error)"
                    return .executed(error: reason.isEmpty ? "it failed" : reason)
                }
            }
        })
}

/// Serves a processor; all else as for an executor.
public func serve(_ processor: some Processor) -> Never {
    exit(
        PluginService.run(.processor) { loop, _ in
            try ThreadedWork(loop: loop) { call, _ in
                guard case .process(let given, let config) = call.work else {
                    return .refused("a processor is not called for this")
                }
                var execution = FinishedExecution(given)
                do {
                    try processor.process(&execution, settings: settings(config))
                    return .processed(execution.apply(to: given))
                } catch { return .refused("\(error)") }
            }
        })
}

private func settings(_ config: [ProtobufEntry]) -> [String: String] {
    Dictionary(config.map { ($0.key, $0.value) }) { $1 }
}

/// Why a plugin could not do what it was asked for: an error that is nothing but its words.
public struct PluginFailure: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String

    /// - Parameter reason: a sentence, by custom without the full stop.
    public init(_ reason: String) { description = reason }
}

/// Lines for the host's log: JSON on standard error, as HashiCorp's hclog writes it.
public enum HostLog {
    private static let writer = Mutex(LogWriter(level: .debug, form: .hclog))

    public static func debug(_ message: String, _ fields: KeyValuePairs<String, String> = [:]) {
        write(.debug, message, fields)
    }

    public static func info(_ message: String, _ fields: KeyValuePairs<String, String> = [:]) {
        write(.info, message, fields)
    }

    public static func warning(_ message: String, _ fields: KeyValuePairs<String, String> = [:]) {
        write(.warning, message, fields)
    }

    public static func error(_ message: String, _ fields: KeyValuePairs<String, String> = [:]) {
        write(.error, message, fields)
    }

    private static func write(
        _ level: LogRecord.Level, _ message: String, _ fields: KeyValuePairs<String, String>
    ) {
        let fields = fields.map { LogRecord.Field($0.key, $0.value) }
        writer.withLock { $0.write(level, message, fields) }
    }
}
