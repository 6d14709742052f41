// Secrets of executions: read on this machine when they are needed, never written down, and hidden
// in what is printed.

/// What an execution's settings name, in this life of the agent.
enum RunSecrets {
    /// Nothing was asked for.
    case none
    case asked
    case read([Setting], SecretMask)
    /// It ran before, and what is to be hidden can't be read any more: nothing of its output is
    /// shown.
    case unknown

    func hide(in text: String) -> String {
        if case .read(_, let mask) = self { mask.hide(in: text) } else { text }
    }
}

extension Runner.Run {
    /// The settings of its executor, with secrets in the place of their names.
    func settings() throws(ExecutorSettingError) -> [(key: String, value: String)] {
        var values: [Setting] = []
        if case .read(let read, _) = secrets { values = read }
        return try SecretReference.fill(assignment.config, values).map { ($0.name, $0.value) }
    }

    /// Takes what it has printed.
    mutating func print(_ bytes: [UInt8], skipped: UInt64 = 0) {
        switch secrets {
        case .none, .asked: tail.append(bytes, skipped: skipped)
        case .read(let values, var mask):
            // The values have nothing to do with what came before a gap.
            if skipped > 0 { tail.append(mask.finish()) }
            tail.append(mask.take(bytes), skipped: skipped)
            secrets = .read(values, mask)
        case .unknown: break
        }
    }

    /// - Parameter isOver: whether nothing more comes.
    mutating func endPrinting(isOver: Bool = true) {
        switch secrets {
        case .none, .asked: break
        case .read(let values, var mask):
            tail.append(mask.finish())
            secrets = .read(isOver ? [] : values, mask)
        case .unknown:
            tail.append(Runner.withheldNotice)
        }
    }
}

extension Runner {
    /// Stands for an output that may hold secrets which are not known any more.
    package static let withheldNotice = Array(
        ("(the output is withheld: the secrets of the job can't be read any more, so they can't "
            + "be hidden in it)\n").utf8)

    /// Asks for the secrets of an execution.
    /// - Returns: whether it has what it needs.
    mutating func hasSecrets(
        _ key: ExecutionKey, _ run: Run, into actions: inout [Action]
    ) -> Bool {
        switch run.secrets {
        case .asked: return false
        case .read, .unknown: return true
        case .none:
            let names = SecretReference.names(in: run.assignment.config)
            guard !names.isEmpty else { return true }
            runs.update(key) { $0.secrets = .asked }
            if case .queued = run.phase { awaitingSecrets[key] = true }
            actions.append(.readSecrets(run.assignment.id, names))
            return false
        }
    }

    /// The answer to `readSecrets` came.
    mutating func secrets(
        _ id: ExecutionID, _ answer: SecretsAnswer, at now: Now, into actions: inout [Action]
    ) {
        guard let key = key(of: id), let run = runs[key], case .asked = run.secrets else { return }
        awaitingSecrets.remove(key)
        switch (run.phase, answer) {
        case (.queued, .read(let values)):
            runs.update(key) { $0.secrets = .read(values, SecretMask(values)) }
            queue.append(key)
            startQueued(at: now, into: &actions)
        case (.queued, .failed(let reason)):
            finish(key, unstarted(run, .failed, reason, now.wall), into: &actions)
        case (.running, .read(let values)):
            runs.update(key) { $0.secrets = .read(values, SecretMask(values)) }
            takeUp(key, at: now, into: &actions)
        case (.running, .failed):
            runs.update(key) { $0.secrets = .unknown }
            takeUp(key, at: now, into: &actions)
        case (.accepting, _), (.finishing, _), (.finished, _): break
        }
    }
}
