// What an agent hands to the process supervisor, and what it hears back.
//
// The supervisor owns child processes, their groups, pipes and deadlines; it outlives a crashed
// agent. Contract, kept by the real supervisor and by the simulator's model alike:
// * a `RunSpec` is answered by `started` or `refused`; a started run ends with exactly one `ended`
//   or, where the supervisor itself was lost, `vanished`;
// * `output` pieces come in order and all of them before `ended`;
// * an ended run and its output are kept until `release`, so that an agent that comes back can
//   `adopt` them; adopting a run that the supervisor does not know answers `vanished` after what
//   may be left of its process group has been killed.

/// One attempt to run something on this machine.
package struct RunSpec: Hashable, Sendable {
    package var execution: ExecutionID
    package var command: Command
    /// Ends the run (as a time-out) this long after its start.
    package var timeout: Duration?
    /// Between the polite signal and the deadly one.
    package var grace: Duration
    /// Ends the run (fencing) this long after the last `renewFences`; `nil` for runs not fenced.
    package var fence: Duration?

    package struct Command: Hashable, Sendable {
        /// The program (looked up in PATH when it holds no slash) and its arguments.
        package var arguments: [String]
        /// Added to the node's environment, later entries win.
        package var environment: [EnvironmentEntry]
        package var workingDirectory: String?
        /// `user` or `user:group`, resolved where the run starts.
        package var user: String?
        /// Bytes of resident memory of the whole tree above which it is ended.
        package var memoryLimit: UInt64?
        /// Given on standard input, then end of file.
        package var payload: [UInt8]

        package init(
            arguments: [String], environment: [EnvironmentEntry] = [],
            workingDirectory: String? = nil, user: String? = nil, memoryLimit: UInt64? = nil,
            payload: [UInt8] = []
        ) {
            self.arguments = arguments
            self.environment = environment
            self.workingDirectory = workingDirectory
            self.user = user
            self.memoryLimit = memoryLimit
            self.payload = payload
        }
    }

    package init(
        execution: ExecutionID, command: Command, timeout: Duration? = nil,
        grace: Duration = .seconds(10), fence: Duration? = nil
    ) {
        self.execution = execution
        self.command = command
        self.timeout = timeout
        self.grace = grace
        self.fence = fence
    }
}

package struct EnvironmentEntry: Hashable, Sendable {
    package var name: String
    package var value: String

    package init(name: String, value: String) {
        self.name = name
        self.value = value
    }

    /// Of a header that tells the same: `DKRON_JOB_NAME` becomes `Dkron-Job-Name`.
    var headerName: String {
        let words = name.split(separator: "_").map {
            $0.prefix(1) + $0.dropFirst().lowercased()
        }
        return words.joined(separator: "-")
    }
}

/// Tells a process from a later one with the same number.
package struct ProcessIdentity: Hashable, Sendable {
    /// Process id, also the id of its session and group.
    package var processID: Int32
    /// Start time in clock ticks since boot (`/proc/PID/stat`, field 22).
    package var startTicks: UInt64
    /// Identifies the boot of the machine (`/proc/sys/kernel/random/boot_id`).
    package var boot: String

    package init(processID: Int32, startTicks: UInt64, boot: String) {
        self.processID = processID
        self.startTicks = startTicks
        self.boot = boot
    }
}

package enum RunEvent: Hashable, Sendable {
    /// The process exists. `at` is the supervisor's wall clock.
    case started(ProcessIdentity, at: WallTime)
    /// Standard output and error as they arrived. `skipped` counts bytes dropped just before.
    case output([UInt8], skipped: UInt64)
    case ended(RunEnd)
    /// Nothing was started: the program is missing, the directory does not exist, no permission,
    /// its end was asked for before …
    case refused(String)
    /// Nobody knows how this run went; whatever was left of it has been killed.
    case vanished(String)
}

/// How a run went, from the kernel's accounting.
package struct RunEnd: Hashable, Sendable {
    package enum Cause: UInt8, Sendable {
        /// The command ended by itself.
        case finished
        /// `RunSpec.timeout` was over.
        case timedOut
        /// A `stop` effect.
        case stopped
        /// The memory limit was exceeded.
        case outOfMemory
        /// The fence was not renewed in time.
        case fenced
    }

    package var cause: Cause
    /// The exit status of the command, when it exited.
    package var exitCode: Int32?
    /// The signal that ended the command, when one did.
    package var signal: Int32?
    /// User and system time of the command and its waited-for descendants.
    package var cpuTime: Duration
    /// Largest resident set of a process of the run, in bytes.
    package var peakMemory: UInt64
    /// The supervisor's wall clock at the end.
    package var at: WallTime
    /// A descendant still held the output open when the wait for it was given up.
    package var outputHeldOpen: Bool

    package init(
        cause: Cause, exitCode: Int32?, signal: Int32?, cpuTime: Duration, peakMemory: UInt64,
        at: WallTime, outputHeldOpen: Bool = false
    ) {
        self.cause = cause
        self.exitCode = exitCode
        self.signal = signal
        self.cpuTime = cpuTime
        self.peakMemory = peakMemory
        self.at = at
        self.outputHeldOpen = outputHeldOpen
    }
}

extension RunEnd {
    /// Why it was no success, a sentence without the full stop; empty for a success.
    /// - Parameter stopped: what is said of one that was stopped.
    package func failure(stopped: String) -> String {
        switch cause {
        case .finished:
            if let exitCode { return exitCode == 0 ? "" : "exit status \(exitCode)" }
            return "ended by signal \(signal.map { "\($0)" } ?? "of unknown number")"
        case .timedOut: return "the command ran longer than its timeout and was ended"
        case .stopped: return stopped
        case .outOfMemory: return "the command used more memory than its mem_limit and was ended"
        case .fenced:
            return "the lease of this node was not renewed in time; the command was ended"
        }
    }
}
