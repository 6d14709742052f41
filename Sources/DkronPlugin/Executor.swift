internal import Adapters
internal import Core

/// Runs jobs: what a job names as its `executor`.
///
/// A program with an executor is a plugin. It hands itself over to its host with `serve`:
///
///     struct Greeter: Executor {
///         func execute(_ run: Run) throws { run.print("hello, \(run.settings["name"] ?? "you")") }
///     }
///
///     serve(Greeter())
///
/// Its file is called `dkron-executor-NAME` and lies in a node's folder for plugins; jobs name
/// `NAME`. It runs under the agents of this program and under those of Dkron from 1.0 on.
public protocol Executor: Sendable {
    /// Carries out one attempt of a job. To return is a success, to throw is a failure for the
    /// reason that the error describes; it becomes the execution's error, or the first line of its
    /// output under hosts that have no place for it.
    ///
    /// Called on a thread that the call has for itself and may block, for up to 256 runs at a time;
    /// more wait. A run is over when it returns: look at `Run.isCancelled`, or pause with
    /// `Run.pause(for:)`, so that it does not outlive the wish for it.
    func execute(_ run: Run) throws
}

/// One attempt of a job, for an executor. It may be used on any thread until the attempt is over.
public final class Run: Sendable {
    /// The job's name.
    public let job: String
    /// The job's `executor_config`: all values are texts.
    public let settings: [String: String]
    /// Which attempt it is.
    public let attempt: Attempt
    private let handle: CallHandle

    init(_ job: String, _ settings: [String: String], _ attempt: Attempt, _ handle: CallHandle) {
        self.job = job
        self.settings = settings
        self.attempt = attempt
        self.handle = handle
    }

    /// Adds a line to the execution's output, which hosts show while the run goes on.
    /// - Parameter isError: it is meant for people who look for what went wrong. Hosts keep both
    ///   kinds in one output.
    public func print(_ text: String, isError: Bool = false) {
        handle.print(Array(text.utf8) + [0x0a], isError: isError)
    }

    /// Adds bytes to the execution's output. Of all output the last 262,144 bytes are kept, and
    /// hosts keep 256,000 of them.
    public func write(_ bytes: [UInt8], isError: Bool = false) {
        handle.print(bytes, isError: isError)
    }

    /// The run is to end: it was killed, its time is over, or the host ends. What it does from now
    /// on nobody hears. A host that ends kills the plugin after 2 s.
    public var isCancelled: Bool { handle.isCancelled }

    /// Does nothing for so long. False as soon as the run is to end, at once if it is already.
    public func pause(for time: Swift.Duration) -> Bool {
        let (seconds, attoseconds) = time.components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        // A year is as good as for ever, and far from the end of the clock.
        let longest: Int64 = 31_536_000_000_000_000
        let nanoseconds = overflow ? longest : whole + attoseconds / 1_000_000_000
        return handle.wait(nanoseconds: min(nanoseconds, longest))
    }
}

/// Which attempt of which execution a run is. Hosts of this program tell it; those of Dkron do not,
/// and then everything is nil.
public struct Attempt: Hashable, Sendable {
    /// Unique for each attempt, and the same when one is handed over twice: a key for services that
    /// must not do a thing twice.
    public var execution: String?
    /// The number that all attempts and targets of one tick have in common.
    public var group: Int64?
    /// Counted from 1.
    public var number: Int?
    /// The instant for which the job was scheduled, as RFC 3339 has it.
    public var scheduledAt: String?

    init(_ entries: [EnvironmentEntry]) {
        func value(_ name: String) -> String? { entries.last { $0.name == name }?.value }
        execution = value("DKRON_EXECUTION_ID")
        group = value("DKRON_GROUP").flatMap { Int64($0) }
        number = value("DKRON_ATTEMPT").flatMap { Int($0) }
        scheduledAt = value("DKRON_SCHEDULED_AT")
    }
}
