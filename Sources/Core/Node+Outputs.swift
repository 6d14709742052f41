// Outputs that are read at one server and printed at another node.

/// What this server has of the runs of other nodes that somebody reads here.
struct OutputMirrors {
    /// Between two questions without an answer, and how long a first answer is waited for.
    static let interval = Duration.seconds(2)

    var runs = SortedMap<ExecutionKey, OutputMirror>()
    /// When those are looked after.
    var nextLook: Instant?
}

extension Node {
    // MARK: At the run's node

    /// A server asks for what a run prints.
    mutating func watchOutput(
        _ key: ExecutionKey, from place: UInt64, for server: ServerID, _ out: inout Outbox
    ) {
        watchers.ask(key, from: place, by: server, at: now.monotonic)
        tellWatchers(key, isEnd: false, to: server, &out)
    }

    /// Answers those who asked for more than there was.
    /// - Parameter server: hears from this node in any case; nil if nobody has to.
    private mutating func tellWatchers(
        _ key: ExecutionKey, isEnd: Bool, to server: ServerID? = nil, _ out: inout Outbox
    ) {
        let tail = runner.liveTail(of: key) ?? OutputTail(limit: 0)
        let answers = watchers.answers(key, tail, isEnd: isEnd, to: server, at: now.monotonic)
        for answer in answers { send(.printed(answer.piece), to: answer.server, &out) }
    }

    /// A run of this node has printed something.
    mutating func runPrinted(_ key: ExecutionKey, _ out: inout Outbox) {
        outputChanged(key, &out)
        if !watchers.isEmpty { tellWatchers(key, isEnd: false, &out) }
    }

    /// A run of this node is over: whoever has read along hears how much it was before anybody
    /// hears of its end, so that what is stored can be laid on what was read.
    mutating func runEnded(_ key: ExecutionKey, _ out: inout Outbox) {
        if !watchers.isEmpty { tellWatchers(key, isEnd: true, &out) }
    }

    // MARK: At the reader's server

    /// Somebody reads here what runs elsewhere.
    mutating func mirrorOutput(_ key: ExecutionKey, _ out: inout Outbox) {
        guard !mirrors.runs.contains(key) else { return }
        mirrors.runs[key] = OutputMirror(limit: config.tunables.outputLimit, at: now.monotonic)
        if mirrors.nextLook == nil { mirrors.nextLook = now.monotonic + OutputMirrors.interval }
        askForOutput(key, &out)
    }

    /// Asks the run's node for what comes after what is there. One that is not there now, or whose
    /// program does not know the question, is not asked.
    private mutating func askForOutput(_ key: ExecutionKey, _ out: inout Outbox) {
        let place: UInt64? = mirrors.runs.update(key) {
            $0.askedLast = now.monotonic
            return $0.tail.totalBytes
        }
        guard let place, let node = store.execution(key)?.node, let member = member(named: node),
            let id = member.id, id != config.dataID, member.featureLevel >= FeatureLevel.fifth
        else { return }
        send(.watchOutput(key, from: place), to: id, &out)
    }

    /// A piece of a run elsewhere. It asks for the next one, if it is not one that came before.
    mutating func printed(_ piece: PrintedOutput, _ out: inout Outbox) {
        guard let isNew = mirrors.runs.update(piece.key, { $0.take(piece) }) else { return }
        out.mark(.outputMirrored)
        outputChanged(piece.key, &out)
        if isNew { askForOutput(piece.key, &out) }
    }

    /// Asks again where nothing came, and forgets what nobody reads any more.
    mutating func lookAfterMirrors(_ out: inout Outbox) {
        guard let due = mirrors.nextLook, due <= now.monotonic else { return }
        for (key, mirror) in mirrors.runs {
            guard api.isFollowed(key) else {
                mirrors.runs.remove(key)
                continue
            }
            guard store.execution(key)?.state.isEnded == false else {
                // Of one that was deleted nobody else tells.
                mirrors.runs.remove(key)
                outputChanged(key, &out)
                continue
            }
            if now.monotonic - mirror.askedLast >= OutputMirrors.interval {
                askForOutput(key, &out)
            }
            guard !mirror.isWhole else { continue }
            mirrors.runs.update(key) { $0.giveUp() }
            outputChanged(key, &out)
        }
        mirrors.nextLook = mirrors.runs.isEmpty ? nil : now.monotonic + OutputMirrors.interval
    }
}
