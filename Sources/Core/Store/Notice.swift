// What people are to be told: which of the cluster's ways of telling them are owed for an
// execution, or for a tick that came to nothing. It is replicated, so no leader that fails forgets
// anybody.

/// Ways in which people are told, one bit each.
package struct NotificationChannels: OptionSet, Hashable, Sendable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// A web hook when an execution starts.
    package static let preWebhook = NotificationChannels(rawValue: 1)
    /// Cronitor's ping when an execution starts.
    package static let cronitorStart = NotificationChannels(rawValue: 2)
    /// A mail to the job's `owner_email`.
    package static let mail = NotificationChannels(rawValue: 4)
    /// A web hook when an execution is over.
    package static let webhook = NotificationChannels(rawValue: 8)
    /// Cronitor's ping when an execution is over.
    package static let cronitorEnd = NotificationChannels(rawValue: 16)

    package static let starts: NotificationChannels = [.preWebhook, .cronitorStart]
    package static let ends: NotificationChannels = [.mail, .webhook, .cronitorEnd]

    /// Each of them, in the order of their bits.
    package static let each: [NotificationChannels] = [
        .preWebhook, .cronitorStart, .mail, .webhook, .cronitorEnd,
    ]

    /// Of a single one: the word for messages and metrics.
    package var name: String {
        switch self {
        case .preWebhook: "pre_webhook"
        case .cronitorStart: "cronitor_start"
        case .mail: "mail"
        case .webhook: "webhook"
        case .cronitorEnd: "cronitor_end"
        default: "several"
        }
    }
}

/// Which ends of a job's executions are told by mail and web hook.
package enum NotifyRule: UInt8, CaseIterable, Sendable {
    case always
    /// Failures only.
    case failure

    /// Reads the job field; nil for other words than those of the cases.
    package init?(text: String) {
        switch text {
        case "always": self = .always
        case "failure": self = .failure
        default: return nil
        }
    }

    package var text: String {
        switch self {
        case .always: "always"
        case .failure: "failure"
        }
    }
}

/// What is owed for one execution, or for a tick that came to nothing. It holds all that is told
/// but the output, so that the job may go meanwhile.
package struct Notice: Hashable, Sendable {
    package var key: ExecutionKey
    package var job: JobName
    /// The job's `owner_email` as it was; empty where no mail is owed.
    package var recipients: String
    /// As it was when the last of them came to be owed. Of a tick that came to nothing: one that
    /// failed for that reason and never ran, on no node.
    package var execution: Execution
    /// What was not told yet. Never empty in a store.
    package var channels: NotificationChannels
    /// The attempt before this one whose start was the first; nil if none before has started.
    package var firstAttempt: ExecutionID?

    /// What Cronitor knows the run by, from its first start to the end of its last attempt.
    package var series: ExecutionID { firstAttempt ?? execution.id }

    /// Nothing ran: it is of a tick.
    package var isOfTick: Bool { execution.attempt == 0 }
}

extension Notice: StoreRecord {
    func encode(into writer: inout ByteWriter) {
        writer.u8(firstAttempt == nil ? 1 : 2)
        writer.executionKey(key)
        writer.string(job.text)
        writer.string(recipients)
        writer.u8(channels.rawValue)
        execution.encode(into: &writer)
        if let firstAttempt { writer.string(firstAttempt.text) }
    }

    init(from reader: inout ByteReader) throws(ByteError) {
        let start = reader.offset
        let version = try reader.u8()
        guard 1...2 ~= version else {
            throw .malformed(offset: start, what: "version \(version) of a notice")
        }
        key = try reader.executionKey()
        job = JobName(try reader.string())
        recipients = try reader.string()
        channels = NotificationChannels(rawValue: try reader.u8())
        execution = try Execution(from: &reader)
        firstAttempt = version > 1 ? ExecutionID(try reader.string()) : nil
    }
}

/// What came of telling.
package struct Notified: Hashable, Sendable {
    package var key: ExecutionKey
    package var delivered: NotificationChannels
    /// Will not be told any more.
    package var givenUp: NotificationChannels
    /// Why, for the execution; few and short.
    package var notes: [String]

    package init(
        key: ExecutionKey, delivered: NotificationChannels = [],
        givenUp: NotificationChannels = [], notes: [String] = []
    ) {
        self.key = key
        self.delivered = delivered
        self.givenUp = givenUp
        self.notes = notes
    }
}

extension Notified: StoreRecord {
    func encode(into writer: inout ByteWriter) {
        writer.executionKey(key)
        writer.u8(delivered.rawValue)
        writer.u8(givenUp.rawValue)
        writer.array(notes) { $0.string($1) }
    }

    init(from reader: inout ByteReader) throws(ByteError) {
        key = try reader.executionKey()
        delivered = NotificationChannels(rawValue: try reader.u8())
        givenUp = NotificationChannels(rawValue: try reader.u8())
        notes = try reader.array { reader throws(ByteError) in try reader.string() }
    }
}
