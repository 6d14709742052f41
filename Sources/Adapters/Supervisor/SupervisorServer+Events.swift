internal import CSystem
internal import Core
internal import Glibc

extension SupervisorServer {
    /// What a descriptor in the poll set is. Kept with the event as kind and number.
    enum Source: UInt8 {
        case signals, timer, listener, agent
        /// With the run's number.
        case output, input, report
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

    func handle(_ event: epoll_event) {
        let number = event.data.u64 & (1 << 56 - 1)
        switch Source(rawValue: UInt8(event.data.u64 >> 56)) {
        case .signals:
            dkron_drain_descriptor(signals)
            collectChildren()
        case .timer: dkron_drain_descriptor(timer)
        case .listener: isKnocked = true
        case .agent: readAgent()
        case .output: if let run = runsByNumber[number] { readOutput(run) }
        case .input: if let run = runsByNumber[number] { feed(run) }
        case .report: if let run = runsByNumber[number] { readReport(run) }
        case .drain: drain(Int32(truncatingIfNeeded: number))
        case nil: invariant(false, "every watched descriptor has a kind")
        }
    }

    // MARK: Children

    private func collectChildren() {
        var ended = dkron_exit()
        // Orphans that fell to this process are collected too, and nobody misses them.
        while dkron_reap(&ended) == 1 {
            guard let run = runsByProcess.removeValue(forKey: ended.process) else { continue }
            run.exit = ended
            // What it wrote last may not have been read yet.
            readReport(run)
            readOutput(run)
            closeInput(run)
        }
    }

    // MARK: Pipes

    /// Learns whether the program was started: silence and the end of the pipe mean yes.
    private func readReport(_ run: SupervisedRun) {
        guard run.report >= 0 else { return }
        var failure = dkron_spawn_failure()
        let size = MemoryLayout<dkron_spawn_failure>.size
        let count = retryingInterrupted { read(run.report, &failure, size) }
        if count < 0, errno == EAGAIN { return }
        close(run.report)
        run.report = -1
        if count == size {
            run.result = .refused(ProcessLauncher.reason(failure, run.spec.command))
            closePipes(run)
        } else {
            run.isRunning = true
        }
    }

    /// Reads a bounded piece, so that a chatty run leaves others their turn; all that is there once
    /// the process has ended.
    private func readOutput(_ run: SupervisedRun) {
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
                close(run.output)
                run.output = -1
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
        guard run.input >= 0 else { return }
        close(run.input)
        run.input = -1
    }

    func closePipes(_ run: SupervisedRun) {
        closeInput(run)
        for descriptor in [run.output, run.report] where descriptor >= 0 { close(descriptor) }
        run.output = -1
        run.report = -1
    }

    // MARK: Outputs of ended runs

    /// Goes on reading for descendants that outlive their run. The oldest is given up when there
    /// are too many.
    func keepDraining(_ run: SupervisedRun) {
        guard run.output >= 0 else { return }
        if drains.count >= Self.mostDrains { close(drains.removeFirst()) }
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
        close(descriptor)
        drains.remove(at: place)
    }

    private static let mostDrains = 1024
}
