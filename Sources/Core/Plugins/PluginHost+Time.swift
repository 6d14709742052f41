// Deadlines of plugins, of their connections and of calls.

extension PluginHost {
    /// Linear in the number of calls and plugins, both of which are few.
    package var nextDeadline: Instant? {
        var soonest = Instant.distantFuture
        for plugin in plugins {
            soonest = min(soonest, plugin.phaseEndsAt, plugin.link?.deadline ?? .distantFuture)
        }
        for (_, attempt) in attempts { soonest = min(soonest, deadline(of: attempt)) }
        for (_, server) in statusServers {
            soonest = min(soonest, server.deadline ?? .distantFuture)
        }
        return soonest == .distantFuture ? nil : soonest
    }

    private func deadline(of attempt: Attempt) -> Instant {
        // One that runs, or waits for others to end, needs no patience.
        let isReady = attempt.isRunning || plugins[attempt.plugin].phase == .ready
        return min(
            isReady ? .distantFuture : attempt.patience, attempt.endsAt, fenceEnd(of: attempt))
    }

    private func fenceEnd(of attempt: Attempt) -> Instant {
        guard case .execute(let call) = attempt.order, let fence = call.fence else {
            return .distantFuture
        }
        return max(attempt.askedAt, fencesFrom) + fence
    }

    /// Does what is due. Early, late and repeated calls are harmless.
    package mutating func deadline(at now: Now, into out: inout PluginOutput) {
        for index in plugins.indices {
            if plugins[index].phaseEndsAt <= now.monotonic { expire(index, at: now, into: &out) }
            if let due = plugins[index].link?.deadline, due <= now.monotonic {
                plugins[index].link?.expire(at: now.monotonic)
                drain(index, at: now, into: &out)
            }
        }
        for (number, attempt) in attempts where deadline(of: attempt) <= now.monotonic {
            expire(number, attempt, at: now, into: &out)
        }
        for (connection, server) in statusServers {
            guard let due = server.deadline, due <= now.monotonic else { continue }
            statusServers.update(connection) { $0.expire(at: now.monotonic) }
            drainStatus(connection, at: now, into: &out)
        }
    }

    private mutating func expire(_ index: Int, at now: Now, into out: inout PluginOutput) {
        plugins[index].phaseEndsAt = .distantFuture
        switch plugins[index].phase {
        case .waiting: launch(index, at: now.monotonic, into: &out)
        case .launching, .greeting:
            let time = DurationText.print(limits.greeting)
            lose(index, "it printed no handshake within \(time)", at: now, into: &out)
        case .connecting, .opening:
            let time = DurationText.print(limits.opening)
            lose(
                index, "it listens, but says nothing in its protocol within \(time)", at: now,
                into: &out)
        case .leaving:
            plugins[index].phase = .ending(reason: "it did not end when it was asked to")
            out.actions.append(.kill(plugins[index].life))
        case .ready, .ending, .stopped: break
        }
    }

    private mutating func expire(
        _ number: UInt64, _ attempt: Attempt, at now: Now, into out: inout PluginOutput
    ) {
        let plugin = plugins[attempt.plugin]
        let name = plugin.file.name
        if now.monotonic >= fenceEnd(of: attempt) {
            return end(number, CallEnd(cause: .fenced, at: now.wall), at: now, into: &out)
        }
        guard attempt.isRunning || plugin.phase == .ready else {
            return fail(
                number, "the plugin \(name) is not running: \(plugin.reason)", at: now, into: &out)
        }
        let what: String
        switch attempt.order {
        case .execute(let call):
            let time = DurationText.print(call.timeout ?? .zero)
            what =
                "the plugin \(name) did not answer within \(time), its time-out and a grace; the "
                + "call was cancelled, but what the plugin has started may go on"
        case .process(let call):
            let time = DurationText.print(call.timeout)
            what = "the plugin \(name) did not answer within \(time)"
        }
        end(
            number, CallEnd(cause: .timedOut, error: what, at: now.wall), at: now, into: &out)
    }

    package mutating func renewFences(ago: Duration, at now: Now) {
        let from = now.monotonic.nanoseconds - ago.nanoseconds
        fencesFrom = max(fencesFrom, Instant(nanoseconds: from))
    }
}
