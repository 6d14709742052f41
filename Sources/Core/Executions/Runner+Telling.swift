// What the leader is told again until it settles it: ever more rarely, and at once where what was
// told may have been lost.

extension Runner {
    /// Tells again what is known of an execution.
    func answer(_ key: ExecutionKey, _ run: Run, into actions: inout [Action]) {
        switch run.phase {
        case .accepting: break
        case .queued: actions.append(.report(.accepted(key)))
        case .running, .finishing:
            actions.append(.report(.accepted(key)))
            if let at = run.startedAt { tell(run, .started(at: at), into: &actions) }
        case .finished: tellResult(run, into: &actions)
        }
    }

    /// Somebody else leads: what the leader before was told may be lost.
    mutating func leaderChanged(at now: Instant, into actions: inout [Action]) {
        for (key, run) in runs {
            switch run.phase {
            case .queued, .running, .finishing: answer(key, run, into: &actions)
            case .accepting, .finished: break
            }
        }
        tellAllAgain(at: now)
        if nextHeartbeat != .distantFuture { nextHeartbeat = now }
    }

    /// There is work from an earlier life: tell the leader, and go on telling.
    mutating func resume(at now: Instant) {
        nextHeartbeat = now
        for (key, run) in runs {
            guard case .finished = run.phase else { continue }
            tellAgainLater(key, at: now)
        }
    }

    /// Tells every result again now.
    mutating func tellAllAgain(at now: Instant) {
        for (key, run) in runs {
            guard case .finished = run.phase else { continue }
            runs.update(key) { ($0.tellAgainAt, $0.tellings) = (now, 0) }
            nextResend = now
        }
        toldAgain.removeAll()
    }

    /// The leader has taken a result: it hears this agent and has room, perhaps for two more. So a
    /// load that it could not take at once goes over as fast as it can, not at the pace of those
    /// who are not heard. O(log n).
    mutating func hurry(at now: Instant, into actions: inout [Action]) {
        for _ in 1...2 {
            let next = lastHurried.flatMap { toldAgain.next(after: $0) } ?? toldAgain.first
            guard let key = next?.key, let run = runs[key], now >= run.mayHurryAt else { return }
            runs.update(key) { $0.mayHurryAt = now + Self.hurryInterval }
            lastHurried = key
            tellResult(run, into: &actions)
            tellAgainLater(key, at: now)
        }
    }

    /// Tells the results whose time has come.
    mutating func tellAgain(at now: Instant, into actions: inout [Action]) {
        nextResend = .distantFuture
        for (key, run) in runs {
            guard case .finished = run.phase else { continue }
            if run.tellAgainAt <= now {
                tellResult(run, into: &actions)
                tellAgainLater(key, at: now)
            } else {
                nextResend = min(nextResend, run.tellAgainAt)
            }
        }
    }

    mutating func tellAgainLater(_ key: ExecutionKey, at now: Instant) {
        let isClosed = isClosed
        let next: Instant? = runs.update(key) { run in
            let factor = Int64(1) << min(Int64(run.tellings), 10)
            let limit = isClosed ? Self.resendInterval : Self.resendLimit
            run.tellAgainAt = now + min(Self.resendInterval * factor, limit)
            run.tellings += 1
            return run.tellAgainAt
        }
        if let next { nextResend = min(nextResend, next) }
        if runs[key]?.tellings ?? 0 > 1 { toldAgain[key] = true }
    }
}
