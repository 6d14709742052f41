// What time does to executions that have not ended: messages are sent again, leases end.

extension Dispatcher {
    mutating func deadline(_ store: Store, at now: Instant, into actions: inout [Action]) {
        while let first = retries.first, first.due <= now {
            _ = retries.popFirst()
            actions.append(.retry(first.retry))
        }
        guard now >= nextCheck else { return }
        for (node, _) in contacts
        where now - (heardAt[node] ?? .zero) >= Self.contactLife { contacts.remove(node) }
        checkOutstanding(at: now, into: &actions)
        for (node, _) in waiting where !hasContact(node) {
            checkWaiting(for: node, store, at: now, into: &actions)
        }
        let isIdle = outstanding.isEmpty && waiting.isEmpty && contacts.isEmpty
        nextCheck = isIdle ? .distantFuture : now + Self.checkInterval
    }

    func hasContact(_ node: NodeName) -> Bool {
        node == own.name || contacts.contains(node)
    }

    mutating func checkOutstanding(
        at now: Instant, into actions: inout [Action]
    ) {
        unanswered.removeAll(keepingCapacity: true)
        for (key, execution) in outstanding {
            if let orphanedAt = execution.orphanedAt {
                guard now - orphanedAt >= execution.lostAfter else { continue }
                let reason = "the agent came back without its data directory"
                lose(key, execution, reason, into: &actions)
                continue
            }
            // Whoever is heard may hold an order that it still obeys, so it is given up only when
            // the last one is as old as a lease: it may be heard and hear nothing. An agent without
            // work is silent, so its last word may be older than the run.
            let heard = max(heardAt[execution.node] ?? execution.sentAt, execution.sentAt)
            let waitsForLease = execution.mayBeOlder || execution.isFenced
            if !execution.isAccepted, !waitsForLease, now - heard >= Self.acceptTimeout {
                lose(key, execution, "the agent did not answer for 60 s", into: &actions)
            } else if now - heard >= execution.lostAfter {
                let time = DurationText.print(execution.lostAfter)
                lose(key, execution, "the agent was not heard of for \(time)", into: &actions)
            } else if execution.isWithdrawn(at: now),
                now - execution.orderedAt >= execution.lostAfter
            {
                let reason = "the agent is heard, but has not taken the execution"
                lose(key, execution, reason, into: &actions)
            } else {
                tellAgain(key, execution, at: now, into: &actions)
            }
        }
    }

    /// Messages may be lost.
    mutating func tellAgain(
        _ key: ExecutionKey, _ execution: Outstanding, at now: Instant,
        into actions: inout [Action]
    ) {
        guard hasContact(execution.node) else { return }
        if execution.isKillRequested || execution.isWithdrawn(at: now) {
            actions.append(.send(execution.node, .kill(key)))
        }
        let age = now - execution.sentAt
        // The agent's word that it has begun is said once: one that has it is asked twice a minute.
        let isSilent =
            !execution.isStarted
            && age.nanoseconds / Self.resendTime.nanoseconds
                != (age - Self.checkInterval).nanoseconds / Self.resendTime.nanoseconds
        guard age >= Self.checkInterval, isSilent || !execution.isAccepted
        else { return }
        unanswered.append(
            Waiting(
                key: key, job: execution.job, since: now, mayBeOlder: execution.mayBeOlder))
    }

    /// Gives up what waits for an agent that nobody hears.
    mutating func checkWaiting(
        for node: NodeName, _ store: Store, at now: Instant, into actions: inout [Action]
    ) {
        while let first = waiting[node]?.first {
            let known = store.execution(first.key)
            let lostAfter = known?.lostAfter ?? store.cluster.settings.lostAfterFenced
            guard now - first.since >= (first.mayBeOlder ? lostAfter : Self.acceptTimeout) else {
                return
            }
            waiting.update(node) { _ = $0.popFirst() }
            if waiting[node]?.isEmpty ?? true { waiting.remove(node) }
            let time = DurationText.print(lostAfter)
            let reason =
                first.mayBeOlder
                ? "the agent was not heard of for \(time)"
                : "the node could not be reached for 60 s"
            give(up: first, reason, store, into: &actions)
        }
    }

    /// What waits for an agent does not wait any longer.
    func give(
        up waiting: Waiting, _ reason: String, _ store: Store, into actions: inout [Action]
    ) {
        guard let known = store.execution(waiting.key), !known.state.isEnded else { return }
        let news: Report.News =
            waiting.mayBeOlder
            ? .lost(reason: reason)
            : .ended(
                ExecutionResult(
                    state: .failed, startedAt: nil, finishedAt: store.cluster.lastStamp,
                    error: reason))
        actions.append(.mark(waiting.mayBeOlder ? .leaseExpired : .agentUnreachable))
        actions.append(.report(Report(job: waiting.job, key: waiting.key, news: news)))
    }

    mutating func lose(
        _ key: ExecutionKey, _ execution: Outstanding, _ reason: String,
        into actions: inout [Action]
    ) {
        ended(key)
        actions.append(.mark(.leaseExpired))
        // What nobody accepted must not start after it was given up.
        if !execution.isAccepted, execution.orphanedAt == nil {
            actions.append(.send(execution.node, .kill(key)))
        }
        actions.append(
            .report(Report(job: execution.job, key: key, news: .lost(reason: reason))))
    }
}
