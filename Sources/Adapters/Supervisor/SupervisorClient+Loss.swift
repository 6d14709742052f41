// What happens when the supervisor is gone: nobody owns the children any more, nobody would ever
// collect their results or enforce their deadlines. So what is left of them is ended, the runs are
// reported as vanished, and another supervisor is started.

internal import CSystem
internal import Core
internal import Glibc

extension SupervisorClient {
    /// Takes the present supervisor for lost, whatever the reason.
    func lose(_ reason: String, now: Instant) {
        guard let lost = connection else { return }
        disconnect()
        guard !isLeaving else { return collectChildren() }
        // It may only hang. Two owners of the same runs must not be.
        if let process = lost.processID, isStillSupervisor(process) { kill(process, SIGKILL) }
        collectChildren()
        var words = "supervisor: \(reason)"
        if lost.isWelcome {
            words += vanishRuns(reason)
        }
        log.append(LogRecord(.error, words))
        postpone(reason, now: now)
    }

    func disconnect() {
        guard let connection else { return }
        close(connection.descriptor)
        self.connection = nil
    }

    /// A number may have been given to a stranger since the supervisor told us.
    private func isStillSupervisor(_ process: pid_t) -> Bool {
        if children.contains(process) { return true }
        guard let line = ProcFile.read("/proc/\(process)/cmdline", atMost: 65_536) else {
            return false
        }
        let arguments = line.split(separator: 0)
        return arguments.count == 3 && arguments[1].elementsEqual("supervisor".utf8)
    }

    /// Ends what is left of every run in progress. Returns what the log should add.
    private func vanishRuns(_ reason: String) -> String {
        // Ended ones were reported; unsent ones go to the next supervisor.
        let lost = known.filter { $0.value.isSent && !$0.value.isOver }
            .sorted { $0.key < $1.key }
        let count = TreeKiller.killLeftovers(
            of: lost.map { ($0.key, $0.value.identity) }, isRecent: true)
        for (id, _) in lost {
            known[id]?.isOver = true
            pending.append((id, .vanished("\(reason); what was left of the run was ended")))
        }
        return lost.isEmpty ? "" : "; \(lost.count) runs lost, \(count) processes ended"
    }

    // MARK: Trying again

    /// Arms the next attempt: at once at first, then with growing distance.
    func postpone(_ reason: String, now: Instant) {
        guard !isLeaving else { return }
        retry.reason = reason
        let distance = min(
            Duration.milliseconds(50) * Int64(1 << min(retry.failures, 7)), .seconds(5))
        retry.at = retry.failures == 0 ? now : now + distance
        retry.failures += 1
        if retry.failures > Self.patientFailures { refuseWaiting() }
    }

    func reconnect(now: Instant) {
        do throws(SupervisorError) {
            try connect(now: now)
        } catch {
            if retry.reason != error.description {
                log.append(LogRecord(.error, "supervisor: \(error)"))
            }
            postpone(error.description, now: now)
        }
    }

    /// Answers what has waited too long. A run that an earlier supervisor may have left behind
    /// must not go on while it counts as lost.
    private func refuseWaiting() {
        let queue = waiting
        waiting = []
        for entry in queue {
            guard let id = entry.id, let run = known[id], !run.isOver else { continue }
            known[id]?.isOver = true
            if let identity = run.identity {
                TreeKiller.killLeftovers(of: [(id, identity)], isRecent: false)
                pending.append((id, .vanished("no supervisor: \(retry.reason)")))
            } else {
                pending.append((id, .refused("no supervisor: \(retry.reason)")))
            }
        }
    }

    private static let patientFailures = 8
}
