internal import Adapters
internal import Core

/// Sees what executions have printed, and may change it: what a job names below `processors`.
///
///     struct Upper: Processor {
///         func process(_ execution: inout FinishedExecution, settings: [String: String]) throws {
///             execution.text = execution.text.uppercased()
///         }
///     }
///
///     serve(Upper())
///
/// Its file is called `dkron-processor-NAME`. It runs under the servers of this program and under
/// those of Dkron from 2.1 on.
public protocol Processor: Sendable {
    /// Processes one execution that has ended. What is left in `execution` goes to the next
    /// processor, and to the store behind the last one. To throw leaves the execution as it was and
    /// notes the error's description with it; servers of Dkron have no place for that, so there it
    /// is logged by this plugin.
    ///
    /// Called on a thread that the call has for itself and may block, for up to 256 executions at a
    /// time. The same execution may come again, from another server too.
    ///
    /// - Parameter settings: the processor's settings in the job, all texts, and `reporting_node`,
    ///   the name of the server.
    func process(_ execution: inout FinishedExecution, settings: [String: String]) throws
}

/// An execution that has ended, for a processor.
public struct FinishedExecution: Hashable, Sendable {
    /// The job's name.
    public let job: String
    /// Whether it counts as a success. A processor may make a failure of a success; hosts pass over
    /// the reverse.
    public var isSuccess: Bool
    /// What it has printed, as the processors before left it.
    public var output: [UInt8]
    /// The node that ran it.
    public let node: String
    /// The number that all attempts and targets of one tick have in common.
    public let group: Int64
    /// Counted from 1.
    public let attempt: Int
    public let startedAt: Timestamp?
    public let finishedAt: Timestamp?

    /// The output as text; what is not UTF-8 becomes U+FFFD.
    public var text: String {
        get { String(decoding: output, as: UTF8.self) }
        set { output = Array(newValue.utf8) }
    }

    init(_ execution: PluginExecution) {
        job = execution.job
        isSuccess = execution.isSuccess
        output = execution.output
        node = execution.node
        group = execution.group
        attempt = Int(execution.attempt)
        startedAt = execution.startedAt.map { Timestamp($0) }
        finishedAt = execution.finishedAt.map { Timestamp($0) }
    }

    /// The execution with what a processor may change.
    func apply(to execution: PluginExecution) -> PluginExecution {
        var changed = execution
        changed.isSuccess = isSuccess
        changed.output = output
        return changed
    }
}

/// An instant: seconds since 1970-01-01T00:00:00Z, and nanoseconds from 0 up to a second.
public struct Timestamp: Hashable, Sendable {
    public var seconds: Int64
    public var nanoseconds: Int32

    init(_ time: WallTime) {
        seconds = time.seconds
        nanoseconds = Int32(
            clamping: time.nanoseconds - WallTime(seconds: time.seconds).nanoseconds)
    }
}
