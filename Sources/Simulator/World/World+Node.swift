// The life of one node: starting, stepping, performing what it wants, dying.

import Core

extension World {
    // MARK: Starting

    mutating func start(_ index: Int) {
        guard !nodes[index].isRunning, !nodes[index].isBanned else { return }
        nodes[index].incarnation += 1
        nodes[index].life = .running
        nodes[index].startedAt = time
        nodes[index].busyUntil = time
        nodes[index].pausedUntil = .zero
        nodes[index].inbox.removeAll()
        nodes[index].followed = 0
        nodes[index].isWakeScheduled = false
        nodes[index].armedDeadline = nil
        nodes[index].requests.removeAll()
        nodes[index].peers.restart()
        nodes[index].exchanges.removeAll()
        let life = nodes[index].incarnation
        trace.note(time, nodes[index].name, "starts, life \(life)")
        trace.absorb(0x5747 &+ life)
        var seeds = draws.stream("node/\(index + 1)/incarnation/\(life)")
        let seed = seeds.next()
        let configuration = configuration(of: index)
        let now = nodes[index].clock.now(at: time)
        checkers.beginLife(of: nodes[index], configuration, seed: seed, now: now, at: time)
        out.clear()
        nodes[index].core = VirtualNode.Core(
            Node(configuration, seed: seed, at: now, into: &out))
        afterStep(index, nil)
        if nodes[index].isRunning, nodes[index].incarnation == life { startPlugins(index) }
    }

    func configuration(of index: Int) -> Config {
        var config = ownConfiguration(of: index)
        guard nodes.count > 1, !parameters.gossips else { return config }
        config.firstServers = servers.map { nodes[$0].identity }
        config.otherMembers = nodes.indices.filter { $0 != index }.map {
            let other = ownConfiguration(of: $0)
            return Member(other, tags: other.tags)
        }
        return config
    }

    private func ownConfiguration(of index: Int) -> Config {
        var config = Config(
            nodeName: NodeName(nodes[index].name), dataID: nodes[index].identity,
            incarnation: nodes[index].incarnation, version: "0.0.0-simulated")
        config.defaultZone = parameters.defaultZone
        config.startPaused = parameters.startPaused && nodes[index].incarnation == 1
        if parameters.gossips { setGossip(of: index, &config) }
        config.isServer = servers.contains(index)
        config.featureLevel = plan.featureLevel(
            of: nodes[index].name, life: nodes[index].incarnation)
        if parameters.plugins != nil { config.executors.plugins = PluginModel.Manner.names }
        let tags =
            nodes[index].tags
            ?? parameters.tags.map {
                TagEntry(name: String($0.name.dropFirst(4)), value: $0.value)
            }
        config.tags = tags + fixedTags(of: index)
        TunableNames.apply(parameters.tunables, to: &config)
        return config
    }

    /// Without those that a node gives itself.
    func fixedTags(of index: Int) -> [TagEntry] {
        agents.contains(index)
            ? plan.fixedTags(of: index).map { TagEntry(name: $0.name, value: $0.value) } : []
    }

    // MARK: Stepping

    /// Hands an input over, or puts it behind what already waits.
    mutating func offer(_ input: Input, to index: Int, life: UInt64) {
        guard nodes[index].isRunning, nodes[index].incarnation == life else { return }
        if time < nodes[index].busyUntil || !nodes[index].inbox.isEmpty {
            nodes[index].inbox.append(input)
            scheduleWake(index)
            return
        }
        step(index, input)
    }

    mutating func wake(_ index: Int, life: UInt64) {
        guard nodes[index].isRunning, nodes[index].incarnation == life else { return }
        nodes[index].isWakeScheduled = false
        guard time >= nodes[index].busyUntil else { return scheduleWake(index) }
        guard let input = nodes[index].inbox.popFirst() else { return }
        nodes[index].followed += 1
        let isFollowed = !nodes[index].inbox.isEmpty && nodes[index].followed < Self.together
        if !isFollowed { nodes[index].followed = 0 }
        step(index, input, isFollowed: isFollowed)
        if nodes[index].isRunning, !nodes[index].inbox.isEmpty { scheduleWake(index) }
    }

    private mutating func scheduleWake(_ index: Int) {
        guard !nodes[index].isWakeScheduled else { return }
        nodes[index].isWakeScheduled = true
        queue.push(
            .wake(node: index, life: nodes[index].incarnation),
            at: max(time, nodes[index].busyUntil), lane: Lane.node(index))
    }

    /// How many inputs a node takes in before it writes, as in production.
    private static let together = 32

    private mutating func step(_ index: Int, _ input: Input, isFollowed: Bool = false) {
        let now = nodes[index].clock.now(at: time)
        absorb(input)
        if trace.keepsText { trace.note(time, nodes[index].name, "← \(describe(input))") }
        if case .requestAbandoned(let id) = input { nodes[index].requests[id] = nil }
        checkers.willStep(index, input, isFollowed: isFollowed, now: now, at: time)
        out.clear()
        nodes[index].core!.node.step(
            input, isFollowed: isFollowed, at: now, into: &out)
        afterStep(index, input)
    }

    private mutating func afterStep(_ index: Int, _ input: Input?) {
        statistics.steps += 1
        statistics.marks |= out.marks
        let life = nodes[index].incarnation
        let cost = nodes[index].cpu.exponential(parameters.cpuMean)
        nodes[index].busyUntil = max(time + cost, nodes[index].pausedUntil)
        checkers.didEmit(nodes[index].core!, index, out.effects, runLog, at: time)
        loneHeads.removeAll(keepingCapacity: true)
        // Effects are performed one by one, and a crash can fall between any two.
        var position = 0
        while position < out.effects.count {
            let effect = out.effects[position]
            position += 1
            absorb(effect)
            if trace.keepsText { trace.note(time, nodes[index].name, "→ \(describe(effect))") }
            checkers.willPerform(effect, nodes[index], runLog, at: time)
            let kind = EffectKind(effect)
            nodes[index].effectCounts[kind.position] += 1
            perform(effect, of: index)
            guard nodes[index].isRunning, nodes[index].incarnation == life else { return }
            if let item = triggered(kind, nodes[index].effectCounts[kind.position], by: index) {
                act(plan.items[item].action)
                guard nodes[index].isRunning, nodes[index].incarnation == life else { return }
            }
        }
        drainLoneHeads(index)
        checkers.didStep(nodes[index], among: nodes, at: time)
        rearm(index)
    }

    private mutating func triggered(_ kind: EffectKind, _ count: Int, by index: Int) -> Int? {
        guard !faultsAreOver, let first = nodes[index].triggers[kind]?.first, first.count <= count
        else { return nil }
        nodes[index].triggers[kind]!.removeFirst()
        return first.item
    }

    /// One timer per node; older ones find that their generation is over.
    private mutating func rearm(_ index: Int) {
        let deadline = nodes[index].core!.node.nextDeadline
        guard deadline != nodes[index].armedDeadline else { return }
        nodes[index].armedDeadline = deadline
        nodes[index].timerGeneration += 1
        guard let deadline else { return }
        let due = max(time, nodes[index].clock.trueTime(of: deadline))
        queue.push(
            .timer(
                node: index, life: nodes[index].incarnation,
                generation: nodes[index].timerGeneration),
            at: due, lane: Lane.node(index))
    }

    // MARK: Performing

    private mutating func perform(_ effect: Effect, of index: Int) {
        let life = nodes[index].incarnation
        switch effect {
        case .respond(let id, let response): respond(index, id, response)
        case .respondChunk(let id, let bytes, let last): respond(index, id, bytes, last: last)
        case .abort(let id): abort(index, id)
        case .send(let id, let bytes): transmit(bytes, from: index, to: id)
        case .reach, .belong, .packet, .exchange, .closeExchange, .answerExchange, .changeKeys,
            .resolve:
            gossip(effect, of: index)
        case .store(let ticket, let operation):
            let at = nodes[index].disk.performanceTime(of: operation, asked: time)
            queue.push(
                .disk(node: index, life: life, ticket, operation), at: at,
                lane: Lane.disk(index, operation.directory))
        case .start(let spec):
            statistics.runs += 1
            nodes[index].supervisor.start(spec, at: time, into: &supervisorOut)
            flushSupervisor(index)
        case .adopt(let execution, _):
            nodes[index].supervisor.adopt(execution, at: time, into: &supervisorOut)
            flushSupervisor(index)
        case .stop(let execution):
            nodes[index].supervisor.stop(execution, at: time, into: &supervisorOut)
            flushSupervisor(index)
        case .release(let execution): nodes[index].supervisor.release(execution)
        case .call, .converse, .execute:
            statistics.runs += 1
            performOutside(effect, of: index)
        case .process, .abandonProcessor, .readSecrets, .loadZone, .measureDisk:
            answer(effect, of: index, life)
        case .hangUp: performOutside(effect, of: index)
        case .renewFences(let ago):
            nodes[index].supervisor.renewFences(ago: ago, at: time)
            performOutside(effect, of: index)
        case .log: break
        case .exit: end(index, .stopped)
        case .halt(let reason): end(index, .halted(reason: reason))
        }
    }

    /// What the machine itself answers after a while.
    private mutating func answer(_ effect: Effect, of index: Int, _ life: UInt64) {
        let input: Input
        let delay: Duration
        switch effect {
        case .process(let run):
            let stream = draws.stream("node/\(index + 1)/life/\(life)/processor/\(run.id)")
            if NotificationSender.owns(run.id) { return receive(run, of: index, life, stream) }
            guard let answer = ProcessorModel.answer(to: run, stream) else { return }
            input = .processed(run.id, answer.outcome)
            delay = answer.after
        case .readSecrets(let execution, let names):
            input = .secrets(execution, secrets(names, of: index))
            delay = nodes[index].cpu.exponential(.milliseconds(1))
        case .loadZone(let name):
            input = .zone(name, zoneFolder.load(name))
            delay = nodes[index].cpu.exponential(.milliseconds(1))
        case .measureDisk:
            input = .disk(nodes[index].disk.space)
            delay = nodes[index].cpu.exponential(.microseconds(20))
        default: return
        }
        queue.push(
            .input(node: index, life: life, input), at: time + delay, lane: Lane.node(index))
    }

    /// What becomes of a notification that was sent.
    private mutating func receive(
        _ run: ProcessorRun, of index: Int, _ life: UInt64, _ stream: DrawStream
    ) {
        let answer = ReceiverModel.answer(to: run, isHealthy: faultsAreOver, stream)
        if answer.isDelivered { checkers.didDeliver(run) }
        guard let outcome = answer.outcome else { return }
        queue.push(
            .input(node: index, life: life, .processed(run.id, outcome)),
            at: time + answer.after, lane: Lane.node(index))
    }

    /// Every machine has the same ones, but one is not to be had every now and then.
    private mutating func secrets(_ names: [String], of index: Int) -> SecretsAnswer {
        if names.contains("rare"), nodes[index].cpu.chance(1, 4) {
            return .failed("the secret \"rare\" is not on this node")
        }
        return .read(names.map { Setting(name: $0, value: "value-of-\($0)") })
    }

    mutating func performStorage(
        _ index: Int, _ life: UInt64, _ ticket: StorageTicket, _ operation: StorageOperation
    ) {
        // What a dead process had queued is never performed.
        guard nodes[index].isRunning, nodes[index].incarnation == life else { return }
        let result = nodes[index].disk.perform(operation)
        if case .sync = operation { statistics.syncs += 1 }
        checkers.didPerform(ticket, operation, result, nodes[index], at: time)
        let delay = nodes[index].cpu.exponential(.microseconds(15))
        queue.push(
            .input(node: index, life: life, .storage(ticket, result)), at: time + delay,
            lane: Lane.disk(index, operation.directory))
    }

    mutating func stepSupervisor(
        _ index: Int, _ life: UInt64, _ run: Int, _ step: SupervisorStep
    ) {
        guard nodes[index].supervisor.life == life else { return }
        nodes[index].supervisor.step(
            run, step, at: time, clock: nodes[index].clock, agentLife: nodes[index].incarnation,
            log: &runLog, into: &supervisorOut)
        flushSupervisor(index)
        checkers.didRun(runLog, at: time)
    }

    mutating func flushSupervisor(_ index: Int) {
        for later in supervisorOut.later {
            queue.push(
                .supervisor(
                    node: index, life: nodes[index].supervisor.life, run: later.run, later.step),
                at: later.time, lane: Lane.supervisor(index))
        }
        for news in supervisorOut.news where nodes[index].isRunning {
            queue.push(
                .input(
                    node: index, life: nodes[index].incarnation,
                    .run(news.execution, news.event)),
                at: time + news.delay + .microseconds(50), lane: Lane.supervisor(index))
        }
        supervisorOut.later.removeAll(keepingCapacity: true)
        supervisorOut.news.removeAll(keepingCapacity: true)
    }

    // MARK: Dying

    /// The process ends, by itself or by force; connections are reset.
    mutating func end(_ index: Int, _ life: VirtualNode.Life) {
        trace.note(time, nodes[index].name, "ends: \(life)")
        checkers.endLife(of: nodes[index], at: time)
        nodes[index].core = nil
        nodes[index].life = life
        nodes[index].disk.processDeath()
        nodes[index].supervisor.agentDied()
        nodes[index].outside.agentDied(at: time, log: &runLog, into: &outsideOut)
        nodes[index].heldSteps.removeAll()
        flushOutside(index)
        endAskers(of: index)
        let open = nodes[index].requests.sorted { $0.key < $1.key }
        nodes[index].requests.removeAll()
        for (_, request) in open {
            let attempt = operations[request.operation].attempts
            queue.push(
                .reply(
                    client: request.client, operation: request.operation, attempt: attempt, nil),
                at: time + parameters.clientLatency, lane: Lane.client(request.client))
        }
        if case .halted(let reason) = life {
            checkers.didHalt(nodes[index], reason: reason, at: time)
            if parameters.mustHalt { return finish() }
        }
        if life != .down {
            var pause = nodes[index].restartAfter
            // As service managers do it, lest a bad disk be read a hundred times a second.
            if case .halted = life { pause = max(pause, .seconds(1)) }
            queue.push(.start(node: index), at: time + pause, lane: Lane.node(index))
        }
    }

    mutating func crash(
        _ index: Int, _ kind: Plan.CrashKind, tear: TearMode?, restartAfter: Duration
    ) {
        statistics.crashes += 1
        if kind == .supervisor || kind == .both {
            nodes[index].supervisor.die(at: time, log: &runLog, into: &supervisorOut)
            checkers.didLoseSupervisor(at: time)
            flushSupervisor(index)
        }
        if kind == .supervisor { return }
        let wasRunning = nodes[index].isRunning
        if wasRunning { end(index, .down) }
        if kind == .power {
            nodes[index].disk.powerLoss(tear)
            nodes[index].supervisor.powerLoss(at: time, log: &runLog)
            nodes[index].clock.bootedAt = time + restartAfter
            checkers.didLosePower(nodes[index], at: time)
        }
        if kind == .wipe { replace(index) }
        guard wasRunning else { return }
        queue.push(
            .start(node: index), at: time + restartAfter, lane: Lane.node(index))
    }
}

extension EffectKind {
    var position: Int { Self.allCases.firstIndex(of: self)! }
}
