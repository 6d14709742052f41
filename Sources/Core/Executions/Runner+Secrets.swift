// Secrets of executions: read on this machine when they are needed, never written down, and hidden
// in what is printed.

/// What an execution's settings name, in this life of the agent.
enum RunSecrets {
    /// Nothing was asked for.
    case none
    case asked
    case read([Setting], SecretMask)
    /// It ran before, and what it was given is not known: it can't be read any more, or what is
    /// read now is something else. Nothing of its output is shown. What is read now serves for
    /// what is asked of others on its behalf, since keys are exchanged while containers run.
    case unknown([Setting], hasPrinted: Bool)

    /// The values that are known now.
    var values: [Setting] {
        switch self {
        case .none, .asked: []
        case .read(let values, _), .unknown(let values, _): values
        }
    }

    func hide(in text: String) -> String {
        switch self {
        case .none, .asked: text
        case .read(_, let mask): mask.hide(in: text)
        case .unknown(let values, _): SecretMask(values).hide(in: text)
        }
    }
}

/// Tells whether secrets are those that a run was given, when they are read again after a restart.
///
/// It lies in the journal, so it must be of little use to whoever gets hold of a copy of that,
/// even where the value is one that people think of. Hence it is short: of a million guesses
/// sixteen bits leave fifteen. One value passes for another once in 65,536 times, each of which
/// takes a crash and an exchange during one run. And hence its key is the directory's id and not a
/// new one for each run: the digests of a hundred runs tell no more than that of one, and yet
/// nothing can be computed ahead for all nodes.
enum SecretDigest {
    static func of(_ values: [Setting], in directory: DataID) -> UInt16 {
        var writer = ByteWriter(capacity: 256)
        for value in values {
            writer.string(value.name)
            writer.string(value.value)
        }
        let hash = SipHash.hash24(
            key0: UInt64(truncatingIfNeeded: directory),
            key1: UInt64(truncatingIfNeeded: directory >> 64), writer.output)
        return UInt16(truncatingIfNeeded: hash)
    }
}

extension Runner.Run {
    /// The settings of its executor, with secrets in the place of their names.
    func settings() throws(ExecutorSettingError) -> [(key: String, value: String)] {
        try SecretReference.fill(assignment.config, secrets.values).map { ($0.name, $0.value) }
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
        case .unknown(let values, let hasPrinted):
            let printsNow = skipped > 0 || !bytes.isEmpty
            secrets = .unknown(values, hasPrinted: hasPrinted || printsNow)
        }
    }

    /// - Parameter isOver: whether nothing more comes.
    mutating func endPrinting(isOver: Bool = true) {
        switch secrets {
        case .none, .asked: break
        case .read(let values, var mask):
            tail.append(mask.finish())
            secrets = .read(isOver ? [] : values, mask)
        case .unknown(let values, let hasPrinted):
            // Where nothing was printed nothing is kept from anybody.
            if hasPrinted { tail.append(Runner.withheldNotice) }
            secrets = .unknown(isOver ? [] : values, hasPrinted: false)
        }
    }
}

extension Runner {
    /// Stands for an output that may hold secrets which are not known any more.
    package static let withheldNotice = Array(
        ("(the output is withheld: the secrets that the job was given can't be read any more, so "
            + "they can't be hidden in it)\n").utf8)

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

    /// Notes what a run that begins was given; see `SecretDigest`. Only its first life knows.
    /// - Returns: whether there is something to be written down.
    mutating func noteSecrets(_ key: ExecutionKey) -> Bool {
        guard let run = runs[key], !run.isAdopted, !run.carrier.endsWithAgent,
            case .read(let values, _) = run.secrets
        else { return false }
        runs.update(key) { $0.secretDigest = SecretDigest.of(values, in: dataID) }
        return true
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
            // Without a digest the agent ended before it was written, or an older program began it.
            let isSame = run.secretDigest == SecretDigest.of(values, in: dataID)
            runs.update(key) {
                $0.secrets =
                    isSame
                    ? .read(values, SecretMask(values)) : .unknown(values, hasPrinted: false)
            }
            takeUp(key, at: now, into: &actions)
        case (.running, .failed):
            runs.update(key) { $0.secrets = .unknown([], hasPrinted: false) }
            takeUp(key, at: now, into: &actions)
        case (.accepting, _), (.finishing, _), (.finished, _): break
        }
    }
}
