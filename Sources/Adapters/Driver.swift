package import Core

/// Runs a node in this process: wait, step, perform. The simulator's `World` is its counterpart.
///
/// Everything happens on the calling thread but for the storage's workers; nothing here decides
/// anything. Effects are performed in the order in which they were emitted.
package final class Driver {
    private var node: Node
    private var out: Outbox
    private let loop: EventLoop
    private let listener: HTTPListener
    private let storage: FileStorage
    private let supervisor: SupervisorClient
    private let requests: Outbound<HTTPCalls>
    private let conversations: Outbound<Conversations>
    /// Nil if there is none.
    private let plugins: Plugins?
    private let processors: ProcessorHost
    private let cluster: ClusterSockets
    private let resolver: Resolver
    private let handshakes: TLSHandshakes
    private let signals: Signals
    private let log: LogWriter
    private let reloader: Reloader
    private let secrets: SecretFiles
    private let manager: ServiceManager?
    /// Held for its lock.
    private let directory: DataDirectory

    private var inbox: [Input] = []
    private var events: [EventLoop.Event] = []
    /// When to give back what only the start, or a large request, has needed.
    private var trimAt: Instant?
    /// Large requests without an answer.
    private var largeRequests: Set<RequestID> = []
    /// Children have ended that are not collected yet.
    private var areChildrenLeft = false
    private var isDetaching = false
    private var isReadyTold = false
    private var end: End?

    private enum End {
        case exit
        case halt(String)
    }

    package init(
        config: Config, directory: DataDirectory, loop: EventLoop, listener: HTTPListener,
        storage: FileStorage, supervisor: SupervisorClient, requests: Outbound<HTTPCalls>,
        conversations: Outbound<Conversations>, plugins: Plugins?, processors: ProcessorHost,
        cluster: ClusterSockets, resolver: Resolver, handshakes: TLSHandshakes,
        signals: Signals, log: LogWriter, reloader: Reloader, secrets: SecretFiles,
        manager: ServiceManager?
    ) {
        out = Outbox()
        node = Node(config, seed: Entropy.number(), at: Clocks.now(), into: &out)
        self.directory = directory
        self.loop = loop
        self.listener = listener
        self.storage = storage
        self.supervisor = supervisor
        self.requests = requests
        self.conversations = conversations
        self.plugins = plugins
        self.processors = processors
        self.cluster = cluster
        self.resolver = resolver
        self.handshakes = handshakes
        self.signals = signals
        self.log = log
        self.reloader = reloader
        self.secrets = secrets
        self.manager = manager
        loop.watch(signals.fileDescriptor, for: .read, as: .init(.signals))
        loop.watch(storage.fileDescriptor, for: .read, as: .init(.storage))
        loop.watch(supervisor.fileDescriptor, for: .read, as: .init(.supervisor))
        loop.watch(resolver.fileDescriptor, for: .read, as: .init(.names))
        loop.watch(handshakes.fileDescriptor, for: .read, as: .init(.handshakes))
    }

    /// Runs until the node has stopped. Returns the status for the process: 0 after a stop, 2 when
    /// the node could not go on.
    package func run() -> Int32 {
        perform(at: Clocks.now())
        plugins?.start(at: Clocks.now(), into: &inbox)
        while end == nil {
            settle()
            wait()
            collect()
            step()
        }
        return close()
    }

    // MARK: Wait

    /// Lets what the last round left behind leave together.
    private func settle() {
        listener.flush(at: Clocks.now(), into: &inbox)
        cluster.flush(at: Clocks.monotonic())
        supervisor.flush()
        writeSupervisorLog()
        if !isReadyTold, node.isReady {
            isReadyTold = true
            trimSoon()
            manager?.tell(.ready)
        }
    }

    private func wait() {
        let now = Clocks.monotonic()
        var deadline = node.nextDeadline ?? .distantFuture
        deadline = min(deadline, listener.nextDeadline ?? .distantFuture)
        deadline = min(deadline, trimAt ?? .distantFuture)
        deadline = min(deadline, requests.nextDeadline ?? .distantFuture)
        deadline = min(deadline, conversations.nextDeadline ?? .distantFuture)
        deadline = min(deadline, plugins?.nextDeadline ?? .distantFuture)
        deadline = min(deadline, processors.nextDeadline ?? .distantFuture)
        deadline = min(deadline, cluster.nextDeadline ?? .distantFuture)
        deadline = min(deadline, supervisor.nextDeadline(now: now) ?? .distantFuture)
        let rest = inbox.isEmpty ? deadline - now : .zero
        loop.wait(milliseconds: Self.milliseconds(rest), into: &events)
    }

    /// Rounded up: a wait that ends a moment early would be followed by many short ones.
    static func milliseconds(_ duration: Duration) -> Int32 {
        guard duration > .zero else { return 0 }
        let rounded = (duration + .nanoseconds(999_999)).wholeMilliseconds
        return Int32(min(rounded, longestWait.wholeMilliseconds))
    }

    /// Turns what is ready, and what is due, into inputs.
    private func collect() {
        let now = Clocks.now()
        for event in events {
            switch event.token.owner {
            case .signals: receiveSignals()
            case .storage:
                for (ticket, result) in storage.receive() { inbox.append(.storage(ticket, result)) }
            case .supervisor:
                for (id, event) in supervisor.receive() { inbox.append(.run(id, event)) }
            case .names: receiveNames(at: now)
            case .handshakes: receiveHandshakes(at: now)
            case .outbound: requests.handle(event, at: now, into: &inbox)
            case .conversations: conversations.handle(event, at: now, into: &inbox)
            case .plugins:
                plugins?.handle(event, at: now, into: &inbox)
                if areChildrenLeft { collectChildren() }
            case .processors, .processorCalls, .processorConversations:
                processors.handle(event, at: now, into: &inbox)
            case .listener, .connection: listener.handle(event, at: now, into: &inbox)
            case .gossip, .peers: cluster.handle(event, at: now.monotonic, into: &inbox)
            }
        }
        if isDue(listener.nextDeadline, now) { listener.expire(at: now, into: &inbox) }
        if isDue(requests.nextDeadline, now) { requests.expire(at: now, into: &inbox) }
        if isDue(conversations.nextDeadline, now) {
            conversations.expire(at: now, into: &inbox)
        }
        if isDue(plugins?.nextDeadline, now) { plugins?.expire(at: now, into: &inbox) }
        processors.takeAnswers(into: &inbox)
        if isDue(processors.nextDeadline, now) { processors.expire(at: now, into: &inbox) }
        if isDue(cluster.nextDeadline, now) { cluster.expire(at: now.monotonic) }
        if isDue(supervisor.nextDeadline(now: now.monotonic), now) {
            for (id, event) in supervisor.tick(now: now.monotonic) { inbox.append(.run(id, event)) }
        }
        if isDue(node.nextDeadline, now) { inbox.append(.deadline) }
        if isDue(trimAt, now) {
            trimAt = nil
            HostProcess.trimMemory()
        }
    }

    private func receiveNames(at now: Now) {
        for answer in resolver.receive() {
            switch answer.asker {
            case .calls: requests.resolved(answer, at: now, into: &inbox)
            case .conversations: conversations.resolved(answer, at: now, into: &inbox)
            case .processorCalls, .processorConversations:
                processors.resolved(answer, at: now, into: &inbox)
            case .node: inbox.append(answer.input)
            }
        }
    }

    private func receiveHandshakes(at now: Now) {
        for answer in handshakes.receive() {
            switch answer.token.owner {
            case .outbound: requests.advanced(answer, at: now, into: &inbox)
            case .conversations: conversations.advanced(answer, at: now, into: &inbox)
            case .processorCalls, .processorConversations:
                processors.advanced(answer, at: now, into: &inbox)
            default: listener.advanced(answer, at: now, into: &inbox)
            }
        }
    }

    /// A moment later: what was just freed is often needed again at once.
    private func trimSoon() { trimAt = Clocks.monotonic() + Self.trimDelay }

    private func isDue(_ deadline: Instant?, _ now: Now) -> Bool {
        deadline.map { $0 <= now.monotonic } ?? false
    }

    private func receiveSignals() {
        for news in signals.receive() {
            switch news {
            case .stop: stop(.stop)
            case .stopNow: stop(.stopNow)
            case .detach:
                isDetaching = true
                log.write(.info, "agent: stopping at once, running commands go on without it")
                stop(.detach)
            case .reload: reload()
            case .childEnded: collectChildren()
            }
        }
    }

    /// Collects plugins, supervisors and orphans. A plugin that ended before its start was heard of
    /// waits for that, and those behind it wait with it.
    private func collectChildren() {
        plugins?.collectChildren(at: Clocks.now(), into: &inbox)
        areChildrenLeft = false
        while let process = HostProcess.endedChild {
            areChildrenLeft = plugins?.holds(process) == true
            guard !areChildrenLeft, HostProcess.collect(process) else { return }
            supervisor.childEnded(process)
        }
    }

    private func stop(_ control: Control) {
        manager?.tell(.stopping)
        inbox.append(.control(control))
    }

    /// Zone files and certificates are read again even if the configuration can't be.
    private func reload() {
        manager?.tell(.reloading(since: Clocks.monotonic()))
        let reloaded = reloader.reload(log)
        listener.renewCertificate()
        inbox.append(
            .control(
                .reload(tags: reloaded?.tags, notifications: reloaded?.notifications)))
        if isReadyTold { manager?.tell(.ready) }
    }

    // MARK: Step and perform

    private func step() {
        let batch = inbox
        inbox.removeAll(keepingCapacity: true)
        for (position, input) in batch.enumerated() where end == nil {
            let place = position + 1
            let now = Clocks.now()
            if case .request(let id, let request) = input,
                request.body.count >= Self.largeRequest
            {
                largeRequests.insert(id)
            }
            if case .requestAbandoned(let id) = input { finish(id) }
            out.clear()
            let isFollowed = place < batch.count && !place.isMultiple(of: Self.together)
            node.step(input, isFollowed: isFollowed, at: now, into: &out)
            perform(at: now)
        }
    }

    private func perform(at now: Now) {
        defer { storage.wake() }
        for effect in out.effects {
            guard end == nil else { return }
            switch effect {
            case .respond(let id, let response):
                listener.respond(id, response, at: now)
                finish(id)
            case .respondChunk(let id, let piece, let last):
                listener.respondChunk(id, piece, last: last, at: now)
            case .abort(let id):
                listener.abort(id)
                finish(id)
            case .send, .reach, .belong, .packet, .exchange, .closeExchange, .answerExchange,
                .changeKeys, .resolve:
                speak(effect, at: now.monotonic)
            case .store(let ticket, let operation): storage.ask(ticket, operation)
            case .start(let spec): supervisor.start(spec)
            case .adopt(let id, let identity): supervisor.adopt(id, identity)
            case .stop(let id): supervisor.stop(id)
            case .release(let id): supervisor.release(id)
            case .call(let call): requests.begin(call, at: now, into: &inbox)
            case .converse(let call): conversations.begin(call, at: now, into: &inbox)
            case .execute(let call): plugins?.begin(call, at: now, into: &inbox)
            case .process(let run): processors.begin(run, at: now, into: &inbox)
            case .abandonProcessor(let run): processors.abandon(run, at: now, into: &inbox)
            case .hangUp(let id):
                plugins?.hangUp(id, at: now, into: &inbox)
                requests.hangUp(id, at: now, into: &inbox)
                conversations.hangUp(id, at: now, into: &inbox)
            case .renewFences(let ago):
                supervisor.renewFences(ago: ago)
                requests.renewFences(ago: ago, at: now)
                conversations.renewFences(ago: ago, at: now)
                plugins?.renewFences(ago: ago, at: now)
            case .measureDisk:
                if let space = directory.space { inbox.append(.disk(space)) }
            case .readSecrets(let id, let names):
                inbox.append(.secrets(id, secrets.read(names)))
            case .loadZone(let name): inbox.append(.zone(name, ZoneFiles.load(name)))
            case .log(let record): log.write(record, at: now.wall)
            case .exit: end = .exit
            case .halt(let reason): end = .halt(reason)
            }
        }
    }

    /// Performs what concerns other nodes.
    private func speak(_ effect: Effect, at now: Instant) {
        switch effect {
        case .send(let id, let message): cluster.send(message, to: id, at: now)
        case .reach(let id, let address): cluster.reach(id, at: address, now: now)
        case .belong(let name): cluster.belong(to: name, at: now)
        case .packet(let address, let bytes): cluster.packet(bytes, to: address, at: now)
        case .exchange(let exchange, let address, let message):
            cluster.exchange(exchange, with: address, message, into: &inbox)
        case .closeExchange(let exchange): cluster.close(exchange)
        case .answerExchange(let request, let message):
            cluster.answer(request, message, into: &inbox)
        case .changeKeys(let request): cluster.changeKeys(request, at: now, into: &inbox)
        case .resolve(let host): cluster.resolve(host)
        default: break
        }
    }

    private func finish(_ id: RequestID) {
        if !largeRequests.isEmpty, largeRequests.remove(id) != nil { trimSoon() }
    }

    // MARK: End

    private func close() -> Int32 {
        switch end {
        case .halt(let reason):
            log.write(.error, "node: halted", [.init("error", reason)])
            // As after a crash: what runs is left for the next life to take up.
            supervisor.detach()
            listener.flush(at: Clocks.now(), into: &inbox)
            return 2
        case .exit, nil:
            cluster.flush(at: Clocks.monotonic())
            sendAnswers()
            endPlugins()
            if isDetaching { supervisor.detach() } else { supervisor.endAll() }
            supervisor.flush()
            writeSupervisorLog()
            storage.close()
            return 0
        }
    }

    /// Gives clients a moment to take the answers that are on their way.
    private func sendAnswers() {
        let start = Clocks.now()
        listener.beginClosing(at: start)
        listener.flush(at: start, into: &inbox)
        while !listener.isSent, Clocks.monotonic() - start.monotonic < Self.farewell {
            loop.wait(milliseconds: 50, into: &events)
            let now = Clocks.now()
            for event in events where event.token.owner == .connection {
                listener.handle(event, at: now, into: &inbox)
            }
        }
    }

    /// Asks plugins to end, and ends those that do not.
    private func endPlugins() {
        guard let plugins else { return }
        plugins.stop(at: Clocks.now(), into: &inbox)
        let start = Clocks.monotonic()
        while !plugins.isStopped, Clocks.monotonic() - start < Self.pluginsFarewell {
            loop.wait(milliseconds: 50, into: &events)
            let now = Clocks.now()
            for event in events {
                if event.token.owner == .plugins { plugins.handle(event, at: now, into: &inbox) }
            }
            // Whether or not the signal has come.
            plugins.collectChildren(at: now, into: &inbox)
            plugins.expire(at: now, into: &inbox)
        }
        plugins.close()
    }

    private func writeSupervisorLog() {
        for record in supervisor.takeLog() { log.write(record, at: Clocks.wall()) }
    }

    private static let longestWait = Duration.seconds(60)
    /// How many inputs share what they write: few enough that the disk does not wait for long.
    private static let together = 32
    private static let trimDelay = Duration.seconds(2)
    /// Bytes of a body that takes a multiple of its size until it is answered.
    private static let largeRequest = 1 << 20
    private static let farewell = Duration.seconds(1)
    /// More than plugins have to end by themselves, and not for ever.
    private static let pluginsFarewell = Duration.seconds(5)
}
