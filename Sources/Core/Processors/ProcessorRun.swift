// What a processor is given, and what it answers.
//
// Contract, kept by the adapter and by the simulator's model alike: a run that was handed over is
// answered once, unless it is abandoned before; nothing of a run outlives the node, and what it has
// done outside is done. The same execution may be handed over again, to this server or another one:
// a processor that must not act twice looks at the execution's id.

/// Identifies a run of a processor; unique within one life of the node.
package typealias ProcessorRunID = UInt64

/// One processor at work on one execution.
package struct ProcessorRun: Hashable, Sendable {
    package var id: ProcessorRunID
    package var task: ProcessorTask
    package var execution: ProcessedExecution
    /// As the processors before it left it.
    package var output: [UInt8]

    package init(
        id: ProcessorRunID, task: ProcessorTask, execution: ProcessedExecution, output: [UInt8]
    ) {
        self.id = id
        self.task = task
        self.execution = execution
        self.output = output
    }
}

/// What a processor may know of an execution besides its output.
package struct ProcessedExecution: Hashable, Sendable {
    package var id: ExecutionID
    package var job: JobName
    package var group: GroupID
    package var attempt: UInt32
    /// The node that ran it.
    package var node: NodeName
    /// The server that runs the processors.
    package var reportingNode: NodeName
    package var state: Execution.State
    /// Why it did not succeed; empty for a success.
    package var error: String
    package var scheduledAt: WallTime
    package var startedAt: WallTime?
    package var finishedAt: WallTime?
    package var exitCode: Int32?
    /// The executions of its group, for reports; as many as are worth a line.
    package var siblings: [GroupExecution] = []

    /// What a report says of each execution of a group.
    package struct GroupExecution: Hashable, Sendable {
        package var node: NodeName
        package var startedAt: WallTime?
        package var finishedAt: WallTime?
        package var isSuccess: Bool
    }

    /// More of them have no line.
    static let mostSiblings = 64

    package init(_ execution: Execution, of job: JobName, reportedBy node: NodeName) {
        id = execution.id
        self.job = job
        group = execution.group
        attempt = execution.attempt
        self.node = execution.node
        reportingNode = node
        state = execution.state
        error = execution.error
        scheduledAt = execution.scheduledAt
        startedAt = execution.startedAt
        finishedAt = execution.finishedAt
        exitCode = execution.exitCode
    }

    /// One of which only that is known which hosts tell plugins.
    package init(
        id: ExecutionID, job: JobName, group: GroupID, attempt: UInt32, node: NodeName,
        reportingNode: NodeName, isSuccess: Bool, startedAt: WallTime?, finishedAt: WallTime?
    ) {
        self.id = id
        self.job = job
        self.group = group
        self.attempt = attempt
        self.node = node
        self.reportingNode = reportingNode
        state = isSuccess ? .success : .failed
        error = ""
        scheduledAt = startedAt ?? WallTime(seconds: 0)
        self.startedAt = startedAt
        self.finishedAt = finishedAt
    }
}

package enum ProcessorOutcome: Hashable, Sendable {
    /// It has done its work.
    /// - output: takes the place of what it was given; nil leaves that as it is.
    /// - failure: makes a failure of a success, for this reason (a sentence without its full stop).
    case done(output: [UInt8]?, failure: String? = nil)
    /// It could not do its work, for this reason: the output stays as it was.
    case failed(String)
}

/// What a processor is to do, out of its settings.
package struct ProcessorTask: Hashable, Sendable {
    package enum Work: Hashable, Sendable {
        /// To this server's standard output, of failures to standard error.
        case log
        case files(FilesTask)
        case syslog(SyslogTask)
        case email(MailTask)
        case webhook(WebhookTask)
        /// A processor that is not built in: its name and all of its settings.
        case plugin(String, [Setting])
    }

    package var work: Work
    /// Leave the output to the processors that follow and to the store.
    package var forwards = true
    /// Greater than zero.
    package var timeout = Self.defaultTimeout

    package static let defaultTimeout = Duration.seconds(30)
    package static let longestTimeout = Duration.minutes(10)

    package init(_ work: Work) { self.work = work }

    /// There is nothing to do for this execution.
    package func isNotFor(_ execution: ProcessedExecution) -> Bool {
        guard case .email(let mail) = work else { return false }
        return execution.state == .success && !mail.tellsSuccess
    }

    /// What takes the place of the output once the work is done; nil where it is forwarded or the
    /// processor itself says what it leaves.
    package func replacement(for execution: ExecutionID) -> [UInt8]? {
        guard !forwards else { return nil }
        switch work {
        case .log: return Array("Output in dkron log".utf8)
        case .files(let files): return Array(files.path(of: execution).utf8)
        case .syslog: return Array("Output in syslog".utf8)
        case .email(let mail):
            let people = mail.recipients.joined(separator: ", ")
            return Array("Output sent to \(people)".utf8)
        case .webhook: return Array("Output sent to a web hook".utf8)
        case .plugin: return nil
        }
    }
}
