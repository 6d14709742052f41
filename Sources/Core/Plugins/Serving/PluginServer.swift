// A plugin's side: what the process is to its host. Connections, calls and the end of everything;
// bytes and time come in, bytes and what is to be carried out go out.
//
//   waiting ──► serving ──► stopping ──► exit
//
// A plugin ends with its host: when it is asked to, when its last connection is gone, when the
// process that started it has ended, and when nobody connects at first. What is under way is
// cancelled then, and has the time to end that hosts give before they kill.

/// Performed in order.
package enum PluginServerAction: Hashable, Sendable {
    /// Answered by `opened` or `failed`. Numbers of the server are even.
    case connect(ConnectionNumber, PluginAddress)
    /// Answered by `wrote` as the bytes leave.
    case send(ConnectionNumber, [UInt8])
    /// Nothing more is heard of it.
    case close(ConnectionNumber)
    /// Answered by one `finished`, which may be left out after `cancel`.
    case begin(PluginServerCall)
    /// Nobody waits for its end any more.
    case cancel(UInt64)
    case log(LogRecord)
    /// The last one: nothing is left to be done.
    case exit
}

package enum PluginServerEvent: Hashable, Sendable {
    /// A host has connected. Numbers of such connections are odd.
    case accepted(ConnectionNumber)
    case opened(ConnectionNumber)
    case wrote(ConnectionNumber, count: Int)
    case received(ConnectionNumber, [UInt8])
    case receivedEnd(ConnectionNumber)
    case failed(ConnectionNumber, reason: String)
    /// The process has printed something on its standard output.
    case printed([UInt8])
    /// A call has printed something.
    case output(UInt64, [UInt8], isError: Bool)
    case finished(UInt64, PluginServerResult)
    /// The plugin is to end, for this reason: a sentence without the full stop.
    case stop(String)
}

/// Something that a host wants done.
package struct PluginServerCall: Hashable, Sendable {
    package enum Work: Hashable, Sendable {
        /// The job's name, its settings by their names, and what the host tells of the attempt.
        case execute(job: String, config: [ProtobufEntry], identity: [EnvironmentEntry])
        /// An execution that has ended, and the processor's settings by their names.
        case process(PluginExecution, config: [ProtobufEntry])
    }

    /// Never used twice.
    package var number: UInt64
    package var work: Work
}

/// How a call ended.
package enum PluginServerResult: Hashable, Sendable {
    /// Of an executor: why it failed, or nothing for a success. What it has printed is its output.
    case executed(error: String)
    /// Of a processor: the execution, changed or not.
    case processed(PluginExecution)
    /// Of a processor: why it could not do its work.
    case refused(String)
}

package struct PluginServer: Sendable {
    private enum Phase {
        /// Nobody has connected so far.
        case waiting(until: Instant)
        /// - abandoned: since when there is no connection.
        case serving(abandoned: Instant?)
        case stopping(until: Instant)
        case over
    }

    private struct Call {
        let connection: ConnectionNumber
        /// By which the connection knows it.
        let token: UInt64
        /// Under which the host tells where updates are taken; 0: nowhere.
        let service: UInt32
        /// Processors only: what is answered if there is no better answer.
        let execution: PluginExecution?
        var updates: ConnectionNumber?
        var output = PluginOutputTail()
    }

    /// A place where updates are taken and that no call has asked for yet.
    private struct Announcement {
        let connection: ConnectionNumber
        let service: UInt32
        let address: PluginAddress
    }

    private let kind: PluginKind
    private let takesErrors: Bool
    private var phase: Phase
    private var links = SortedMap<ConnectionNumber, any PluginServerLink>()
    private var updaters = SortedMap<ConnectionNumber, StatusClient>()
    private var calls = SortedMap<UInt64, Call>()
    private var announcements: [Announcement] = []
    private var nextCall: UInt64 = 1
    private var nextConnection: ConnectionNumber = 2
    /// Which of `ExecutorService.update` the host knows, as far as that was found out.
    private var updateService = 0
    /// What nobody has taken yet.
    private var prints: [UInt8] = []

    /// In which a host has to connect; go-plugin's own limit for the whole start.
    static let patience = Duration.seconds(60)
    /// A host that connects again is waited for so long.
    static let absence = Duration.seconds(1)
    /// Hosts kill after 2 s.
    static let farewell = Duration.milliseconds(1_500)
    /// Bytes of prints that are kept for a host that has not asked for them yet.
    private static let mostPrints = 64 << 10
    private static let mostAnnouncements = 1_024
    private static let mostConnections = 16

    /// - Parameter takesErrors: the host survives a processor's refusal.
    package init(_ kind: PluginKind, takesErrors: Bool, at now: Instant) {
        self.kind = kind
        self.takesErrors = takesErrors
        phase = .waiting(until: now + Self.patience)
    }

    package var nextDeadline: Instant? {
        var earliest: Instant? =
            switch phase {
            case .waiting(let end), .stopping(let end): end
            case .serving(let abandoned): abandoned.map { $0 + Self.absence }
            case .over: nil
            }
        func consider(_ time: Instant?) {
            if let time { earliest = min(earliest ?? .distantFuture, time) }
        }
        for (_, link) in links { consider(link.deadline) }
        for (_, updater) in updaters { consider(updater.deadline) }
        return earliest
    }

    /// Calls under way.
    package var callCount: Int { calls.count }

    // MARK: Events

    package mutating func take(
        _ event: PluginServerEvent, at now: Instant, into actions: inout [PluginServerAction]
    ) {
        if case .over = phase { return }
        switch event {
        case .accepted(let number): accepted(number, at: now, into: &actions)
        case .opened(let number):
            updaters.update(number) { $0.opened(at: now) }
            drainUpdates(number, at: now, into: &actions)
        case .wrote(let number, let count):
            pass(number, at: now, into: &actions) {
                $0.wrote(count, at: now)
            } updates: {
                $0.wrote(count, at: now)
            }
        case .received(let number, let bytes):
            pass(number, at: now, into: &actions) {
                $0.received(bytes, at: now)
            } updates: {
                $0.received(bytes, at: now)
            }
        case .receivedEnd(let number):
            pass(number, at: now, into: &actions) {
                $0.receivedEnd(at: now)
            } updates: {
                $0.fail("the host closed the connection")
            }
        case .failed(let number, let reason):
            pass(number, at: now, into: &actions) {
                $0.failed(reason)
            } updates: {
                $0.fail(reason)
            }
        case .printed(let bytes):
            prints += bytes.prefix(max(0, Self.mostPrints - prints.count))
            relayPrints(at: now, into: &actions)
        case .output(let number, let bytes, let isError):
            calls.update(number) { $0.output.append(bytes) }
            guard let updates = calls[number]?.updates else { break }
            updaters.update(updates) { $0.tell(bytes, isError: isError, at: now) }
            drainUpdates(updates, at: now, into: &actions)
        case .finished(let number, let result):
            finish(number, result, at: now, into: &actions)
        case .stop(let reason): stop(reason, at: now, into: &actions)
        }
        endIfDone(into: &actions)
    }

    /// Does what is due. Early, late and repeated calls are harmless.
    package mutating func expire(at now: Instant, into actions: inout [PluginServerAction]) {
        if case .over = phase { return }
        for number in links.map(\.key) {
            guard let due = links[number]?.deadline, due <= now else { continue }
            links.update(number) { $0.expire(at: now) }
            drain(number, at: now, into: &actions)
        }
        for number in updaters.map(\.key) {
            guard let due = updaters[number]?.deadline, due <= now else { continue }
            updaters.update(number) { $0.expire(at: now) }
            drainUpdates(number, at: now, into: &actions)
        }
        switch phase {
        case .waiting(let end) where end <= now:
            stop("no host has connected", at: now, into: &actions)
        case .serving(let abandoned?) where abandoned + Self.absence <= now:
            stop("the host has closed its connection", at: now, into: &actions)
        case .stopping(let end) where end <= now: exit(into: &actions)
        default: break
        }
        endIfDone(into: &actions)
    }

    private mutating func pass(
        _ number: ConnectionNumber, at now: Instant, into actions: inout [PluginServerAction],
        _ host: (inout any PluginServerLink) -> Void, updates: (inout StatusClient) -> Void
    ) {
        if links.contains(number) {
            links.update(number, host)
            drain(number, at: now, into: &actions)
        } else if updaters.contains(number) {
            updaters.update(number, updates)
            drainUpdates(number, at: now, into: &actions)
        }
    }

    private mutating func accepted(
        _ number: ConnectionNumber, at now: Instant, into actions: inout [PluginServerAction]
    ) {
        switch phase {
        case .waiting, .serving: break
        case .stopping, .over: return actions.append(.close(number))
        }
        guard links.count < Self.mostConnections else { return actions.append(.close(number)) }
        phase = .serving(abandoned: nil)
        switch kind {
        case .executor: links[number] = ExecutorServerLink(at: now)
        case .processor: links[number] = ProcessorServerLink(at: now)
        }
        drain(number, at: now, into: &actions)
    }

    // MARK: Hosts

    private mutating func drain(
        _ number: ConnectionNumber, at now: Instant, into actions: inout [PluginServerAction]
    ) {
        var news: [PluginServerNews] = []
        links.update(number) { $0.drain(at: now, &news) }
        for entry in news { take(entry, of: number, at: now, into: &actions) }
        flush(number, into: &actions)
        relayPrints(at: now, into: &actions)
    }

    private mutating func flush(
        _ number: ConnectionNumber, into actions: inout [PluginServerAction]
    ) {
        if let bytes = links.update(number, { $0.takeOutgoing() }) ?? nil {
            actions.append(.send(number, bytes))
        }
    }

    private mutating func take(
        _ news: PluginServerNews, of number: ConnectionNumber, at now: Instant,
        into actions: inout [PluginServerAction]
    ) {
        switch news {
        case .begin(let token, let work, let service):
            begin(token, work, service, of: number, at: now, into: &actions)
        case .cancel(let token):
            for (call, entry) in calls where entry.connection == number && entry.token == token {
                remove(call, into: &actions)
                actions.append(.cancel(call))
            }
        case .announced(let service, let address):
            announced(service, address, of: number, at: now, into: &actions)
        case .stop: stop("the host has asked for it", at: now, into: &actions)
        case .lost(let reason): lose(number, reason, at: now, into: &actions)
        }
    }

    private mutating func begin(
        _ token: UInt64, _ work: PluginServerCall.Work, _ service: UInt32,
        of connection: ConnectionNumber, at now: Instant,
        into actions: inout [PluginServerAction]
    ) {
        let number = nextCall
        nextCall += 1
        var execution: PluginExecution?
        if case .process(let value, _) = work { execution = value }
        calls[number] = Call(
            connection: connection, token: token, service: service, execution: execution)
        let place = announcements.firstIndex {
            $0.connection == connection && $0.service == service
        }
        if let place, service != 0 {
            let found = announcements.remove(at: place)
            connect(number, found.address, at: now, into: &actions)
        }
        actions.append(.begin(PluginServerCall(number: number, work: work)))
        if case .stopping = phase { actions.append(.cancel(number)) }
    }

    /// It may be told before or after the call that asks for it.
    private mutating func announced(
        _ service: UInt32, _ address: PluginAddress, of connection: ConnectionNumber,
        at now: Instant, into actions: inout [PluginServerAction]
    ) {
        let waiting = calls.first { _, call in
            call.connection == connection && call.service == service && call.updates == nil
        }
        if let waiting { return connect(waiting.key, address, at: now, into: &actions) }
        if announcements.count == Self.mostAnnouncements { announcements.removeFirst() }
        announcements.append(
            Announcement(connection: connection, service: service, address: address))
    }

    private mutating func connect(
        _ call: UInt64, _ address: PluginAddress, at now: Instant,
        into actions: inout [PluginServerAction]
    ) {
        let number = nextConnection
        nextConnection += 2
        var updater = StatusClient(service: updateService, at: now)
        if let output = calls[call]?.output.bytes, !output.isEmpty {
            updater.tell(Array(output), isError: false, at: now)
        }
        updaters[number] = updater
        calls.update(call) { $0.updates = number }
        actions.append(.connect(number, address))
    }

    private mutating func lose(
        _ number: ConnectionNumber, _ reason: String, at now: Instant,
        into actions: inout [PluginServerAction]
    ) {
        links.remove(number)
        announcements.removeAll { $0.connection == number }
        actions.append(.close(number))
        for call in calls.filter({ $0.value.connection == number }).map(\.key) {
            remove(call, into: &actions)
            actions.append(.cancel(call))
        }
        if !reason.isEmpty {
            actions.append(.log(LogRecord(.warning, "the connection with the host: \(reason)")))
        }
        if case .serving = phase, links.isEmpty { phase = .serving(abandoned: now) }
    }

    // MARK: Calls

    private mutating func finish(
        _ number: UInt64, _ result: PluginServerResult, at now: Instant,
        into actions: inout [PluginServerAction]
    ) {
        guard let call = calls[number] else { return }
        remove(number, into: &actions)
        var result = result
        if case .refused(let reason) = result, !takesErrors, let execution = call.execution {
            // Dkron's own servers end when a processor refuses.
            actions.append(
                .log(
                    LogRecord(
                        .error, "the processor could not do its work: \(reason)",
                        [LogRecord.Field("job", execution.job)])))
            result = .processed(execution)
        }
        links.update(call.connection) {
            $0.answer(call.token, result, output: call.output.bytes, at: now)
        }
        drain(call.connection, at: now, into: &actions)
    }

    private mutating func remove(_ number: UInt64, into actions: inout [PluginServerAction]) {
        guard let call = calls.remove(number) else { return }
        if let updates = call.updates, updaters.remove(updates) != nil {
            actions.append(.close(updates))
        }
    }

    private mutating func drainUpdates(
        _ number: ConnectionNumber, at now: Instant, into actions: inout [PluginServerAction]
    ) {
        guard var updater = updaters[number] else { return }
        updater.drain(at: now)
        updateService = updater.service
        if let bytes = updater.takeOutgoing() { actions.append(.send(number, bytes)) }
        guard updater.isOver else {
            updaters[number] = updater
            return
        }
        // The answer has all of the output.
        updaters.remove(number)
        actions.append(.close(number))
    }

    private mutating func relayPrints(
        at now: Instant, into actions: inout [PluginServerAction]
    ) {
        guard !prints.isEmpty else { return }
        for number in links.map(\.key) {
            let bytes = prints
            guard links.update(number, { $0.print(bytes, at: now) }) == true else { continue }
            prints = []
            return flush(number, into: &actions)
        }
    }

    // MARK: The end

    private mutating func stop(
        _ reason: String, at now: Instant, into actions: inout [PluginServerAction]
    ) {
        switch phase {
        case .waiting, .serving: break
        case .stopping, .over: return
        }
        phase = .stopping(until: now + Self.farewell)
        actions.append(.log(LogRecord(.debug, "the plugin ends: \(reason)")))
        for number in calls.map(\.key) { actions.append(.cancel(number)) }
    }

    private mutating func endIfDone(into actions: inout [PluginServerAction]) {
        guard case .stopping = phase, calls.isEmpty, !links.contains(where: { $0.value.isSending })
        else { return }
        exit(into: &actions)
    }

    private mutating func exit(into actions: inout [PluginServerAction]) {
        phase = .over
        actions.append(.exit)
    }
}

/// A host's connection in the protocol of a kind, for the server.
protocol PluginServerLink: Sendable {
    var deadline: Instant? { get }
    /// Something has not left yet.
    var isSending: Bool { get }

    mutating func received(_ bytes: [UInt8], at now: Instant)
    mutating func receivedEnd(at now: Instant)
    mutating func failed(_ reason: String)
    mutating func wrote(_ count: Int, at now: Instant)
    mutating func expire(at now: Instant)
    /// Answers a call; one that is gone is passed over.
    mutating func answer(
        _ token: UInt64, _ result: PluginServerResult, output: ArraySlice<UInt8>, at now: Instant)
    /// Passes on what the process has printed; false if the host has not asked for it yet.
    mutating func print(_ bytes: [UInt8], at now: Instant) -> Bool
    /// What came of everything before. Call it after each of the functions above.
    mutating func drain(at now: Instant, _ news: inout [PluginServerNews])
    /// The next bytes for the socket; nil while those before are on their way.
    mutating func takeOutgoing() -> [UInt8]?
}

/// What comes of a host's connection.
enum PluginServerNews {
    case begin(token: UInt64, PluginServerCall.Work, service: UInt32)
    case cancel(token: UInt64)
    /// Where updates are taken.
    case announced(service: UInt32, PluginAddress)
    /// The host asks the plugin to end.
    case stop
    /// The connection is over; why, if that was not to be expected.
    case lost(String)
}

/// The end of what a call has printed, which its answer carries.
struct PluginOutputTail: Sendable {
    private var kept: [UInt8] = []

    /// A little more than hosts keep, so that they see that something is missing.
    static let limit = 256 << 10

    var bytes: ArraySlice<UInt8> { kept.suffix(Self.limit) }

    mutating func append(_ bytes: [UInt8]) {
        kept += bytes.suffix(Self.limit)
        if kept.count > 2 * Self.limit { kept.removeFirst(kept.count - Self.limit) }
    }
}
