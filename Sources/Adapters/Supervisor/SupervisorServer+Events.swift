internal import CSystem
internal import Core
internal import Glibc

extension SupervisorServer {
    /// What a descriptor in the poll set is. Kept with the event as kind and number.
    enum Source: UInt8 {
        case signals, timer, listener, agent, launches
        /// With the run's number.
        case output, input
        /// With the descriptor itself.
        case drain
    }

    func watch(_ descriptor: Int32, _ source: Source, number: UInt64 = 0, writing: Bool = false) {
        var event = epoll_event()
        event.events = writing ? EPOLLOUT.rawValue : EPOLLIN.rawValue
        event.data.u64 = UInt64(source.rawValue) << 56 | number
        if epoll_ctl(poll, EPOLL_CTL_ADD, descriptor, &event) != 0 {
            log.write(.error, "supervisor: cannot watch a descriptor: \(errorText(errno))")
        }
    }

    /// Changes whether a watched descriptor waits for room to write, too.
    func rewatch(_ descriptor: Int32, _ source: Source, alsoWriting: Bool) {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue | (alsoWriting ? EPOLLOUT.rawValue : 0)
        event.data.u64 = UInt64(source.rawValue) << 56
        _ = epoll_ctl(poll, EPOLL_CTL_MOD, descriptor, &event)
    }

    /// Closes a watched descriptor. To close it is not enough: a child that is just being started
    /// has a copy of it for a moment, and as long as that lasts it would be reported as ready.
    func closeWatched(_ descriptor: inout Int32) {
        guard descriptor >= 0 else { return }
        _ = epoll_ctl(poll, EPOLL_CTL_DEL, descriptor, nil)
        close(descriptor)
        descriptor = -1
    }

    func handle(_ event: epoll_event) {
        let number = event.data.u64 & (1 << 56 - 1)
        switch Source(rawValue: UInt8(event.data.u64 >> 56)) {
        case .signals:
            dkron_drain_descriptor(signals)
            collectChildren()
        case .timer:
            dkron_drain_descriptor(timer)
            armed = -1
        case .listener: isKnocked = true
        case .agent: readAgent()
        case .launches:
            takeLaunches()
            // One of them may have ended already.
            collectChildren()
        case .output: if let run = runsByNumber[number] { readOutput(run) }
        case .input: if let run = runsByNumber[number] { feed(run) }
        case .drain: drain(Int32(truncatingIfNeeded: number))
        case nil: invariant(false, "every watched descriptor has a kind")
        }
    }

    // MARK: Children

    private func collectChildren() {
        var ended = dkron_exit()
        while true {
            let process = dkron_ended_child()
            guard process > 0 else { return }
            if runsByProcess[process] == nil,
                launching.values.contains(where: { $0.processID == process })
            {
                // Its launch is about to be told, and it must not be collected before: its number
                // would be free for another.
                takeLaunches()
                guard runsByProcess[process] != nil else { return }
            }
            guard dkron_reap_one(process, &ended) == 1 else { return }
            // Orphans that fell to this process are collected too, and nobody misses them.
            guard let run = runsByProcess.removeValue(forKey: process) else { continue }
            run.exit = ended
            touch(run)
            // What it wrote last may not have been read yet.
            readOutput(run)
            closeInput(run)
        }
    }

    // MARK: Pipes

    /// Reads a bounded piece, so that a chatty run leaves others their turn; all that is there once
    /// the process has ended.
    private func readOutput(_ run: SupervisedRun) {
        touch(run)
        var budget = run.exit == nil ? 2 : 64
        while run.output >= 0, budget > 0 {
            let count = read(run.output, scratch.baseAddress, scratch.count)
            if count > 0 {
                run.ring.append(UnsafeRawBufferPointer(rebasing: scratch[..<count]))
                budget -= 1
            } else if count < 0, errno == EINTR {
                continue
            } else if count < 0, errno == EAGAIN {
                return
            } else {
                closeWatched(&run.output)
            }
        }
    }

    /// Feeds the payload. A program that does not want it is no error.
    func feed(_ run: SupervisedRun) {
        while run.input >= 0 {
            guard run.fed < run.payload.count else { return closeInput(run) }
            let count = run.payload.withUnsafeBytes {
                write(run.input, $0.baseAddress! + run.fed, $0.count - run.fed)
            }
            if count > 0 {
                run.fed += count
            } else if count < 0, errno == EINTR {
                continue
            } else if count < 0, errno == EAGAIN {
                return
            } else {
                return closeInput(run)
            }
        }
    }

    func closeInput(_ run: SupervisedRun) {
        run.payload = []
        closeWatched(&run.input)
    }

    func closePipes(_ run: SupervisedRun) {
        closeInput(run)
        closeWatched(&run.output)
    }

    // MARK: Outputs of ended runs

    /// Goes on reading for descendants that outlive their run. The oldest is given up when there
    /// are too many.
    func keepDraining(_ run: SupervisedRun) {
        guard run.output >= 0 else { return }
        if drains.count >= Self.mostDrains {
            var oldest = drains.removeFirst()
            closeWatched(&oldest)
        }
        _ = epoll_ctl(poll, EPOLL_CTL_DEL, run.output, nil)
        watch(run.output, .drain, number: UInt64(run.output))
        drains.append(run.output)
        run.output = -1
    }

    private func drain(_ descriptor: Int32) {
        // Closed already, within the same round of events.
        guard let place = drains.firstIndex(of: descriptor) else { return }
        let count = read(descriptor, scratch.baseAddress, scratch.count)
        if count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR)) { return }
        var closing = drains.remove(at: place)
        closeWatched(&closing)
    }

    private static let mostDrains = 1024
}
