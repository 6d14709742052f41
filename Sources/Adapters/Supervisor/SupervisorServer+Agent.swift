internal import CSystem
internal import Core
internal import Glibc

/// The one connection to an agent.
struct AgentConnection {
    var descriptor: Int32
    var incoming = FrameReader()
    var outgoing = WriteQueue()
    /// It said `hello`.
    var isGreeted = false
    var waitsForRoom = false
}

extension SupervisorServer {
    /// Takes a new connection as the agent's.
    func accept(_ descriptor: Int32) {
        agent = AgentConnection(descriptor: descriptor)
        watch(descriptor, .agent)
    }

    /// Lets the first in if there is no agent, and tells the others that there is one.
    func answerKnocks() {
        isKnocked = false
        while true {
            let descriptor = dkron_unix_accept(listener)
            if descriptor < 0 {
                if errno == EINTR || errno == ECONNABORTED { continue }
                return
            }
            var user: uid_t = 0
            var process: pid_t = 0
            let known = dkron_peer(descriptor, &user, &process) == 0
            guard known, user == geteuid() || user == 0 else {
                log.write(.warning, "supervisor: refused a connection of user \(user)")
                close(descriptor)
                continue
            }
            guard agent == nil else {
                let frame = SupervisorWire.frame(SupervisorNews.busy)
                _ = frame.withUnsafeBytes { dkron_send(descriptor, $0.baseAddress!, $0.count) }
                close(descriptor)
                continue
            }
            accept(descriptor)
            log.write(.info, "supervisor: an agent (process \(process)) took over")
        }
    }

    func readAgent() {
        for _ in 0..<16 {
            // Only the number: a copy of the whole would make every append copy the buffer.
            guard let descriptor = agent?.descriptor else { return }
            let count = read(descriptor, scratch.baseAddress, scratch.count)
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN { return }
            guard count > 0 else { return loseAgent() }
            agent?.incoming.append(UnsafeRawBufferPointer(rebasing: scratch[..<count]))
            do {
                while let body = try agent?.incoming.next() {
                    perform(try SupervisorWire.request(body))
                }
            } catch {
                log.write(.error, "supervisor: the agent sent damaged data: \(error)")
                return loseAgent()
            }
        }
    }

    /// Plain runs go on; fenced ones end at their deadline unless an agent comes back. All of a
    /// bound agent end.
    func loseAgent() {
        guard var connection = agent else { return }
        closeWatched(&connection.descriptor)
        agent = nil
        for run in runs { run.told = nil }
        hasUnsentNews = false
        let active = runs.count { !$0.isOver }
        if isBound { return endAll() }
        if active > 0 {
            log.write(.warning, "supervisor: the agent is gone, \(active) runs go on")
        }
    }

    func flushAgent() {
        guard var connection = agent else { return }
        var isBroken = false
        // Taken out meanwhile, so that the queue has one owner and is not copied.
        agent = nil
        connection.outgoing.drain { bytes in
            while true {
                let count = dkron_send(connection.descriptor, bytes.baseAddress!, bytes.count)
                if count >= 0 { return count }
                if errno == EINTR { continue }
                isBroken = errno != EAGAIN
                return nil
            }
        }
        if connection.waitsForRoom != !connection.outgoing.isEmpty {
            connection.waitsForRoom.toggle()
            rewatch(connection.descriptor, .agent, alsoWriting: connection.waitsForRoom)
        }
        agent = connection
        if isBroken { loseAgent() }
    }

    func send(_ news: SupervisorNews) { agent?.outgoing.append(SupervisorWire.frame(news)) }

    // MARK: Requests

    private func perform(_ request: SupervisorRequest) {
        switch request {
        case .hello(let version, let environment):
            send(.welcome(version: SupervisorWire.version, processID: processID))
            guard version == SupervisorWire.version else { return }
            agent?.isGreeted = true
            // Its predecessor asked for the end; this one has need of us.
            isEnding = false
            launcher.environment = environment
            touchAll()
        case .start(let spec): start(spec)
        case .adopt(let id, let identity): adopt(id, identity)
        case .stop(let id):
            if let run = runsByID[id] { beginEnding(run, .stopped, now: BootClock.now()) }
        case .release(let id): release(id)
        case .renewFences(let ago): renewFences(ago: ago)
        case .endAll: endAll()
        case .bind: isBound = true
        }
    }

    private func endAll() {
        isEnding = true
        let now = BootClock.now()
        for run in runs { beginEnding(run, .stopped, now: now) }
    }

    private func adopt(_ id: ExecutionID, _ identity: ProcessIdentity?) {
        if let run = runsByID[id] {
            run.told = SupervisedRun.Told()
            run.isReleased = false
            touch(run)
            return
        }
        let count = TreeKiller.killLeftovers(of: [(id, identity)], isRecent: false)
        let rest = count == 0 ? "" : "; \(count) processes that were left of it have been ended"
        send(.event(id, .vanished("the supervisor of this run is gone\(rest)")))
    }

    private func release(_ id: ExecutionID) {
        guard let run = runsByID[id] else { return }
        run.isReleased = true
        if run.isOver { forget(run) }
    }

    private func renewFences(ago: Duration) {
        let base = saturatingDifference(BootClock.now(), max(ago, .zero).nanoseconds)
        for run in runs where run.spec.fence != nil && base > run.fenceBase {
            run.fenceBase = base
            run.isFenceAnnounced = false
        }
        touchAll()
    }
}
