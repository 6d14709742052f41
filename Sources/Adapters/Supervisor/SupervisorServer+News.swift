internal import Core

extension SupervisorServer {
    /// Tells the agent what is new about the runs that it started or adopted, within the room that
    /// the connection has. Output that found no room in time is lost from its beginning: a slow
    /// agent never makes a job wait, and the ring bounds what is held for it.
    func sendNews(of concerned: [SupervisedRun], now: Int64) {
        guard agent?.isGreeted == true else { return flushAgent() }
        for record in log.takeForAgent() { send(.log(record)) }
        let count = concerned.count
        for step in 0..<count {
            let run = concerned[(newsStart + step) % count]
            guard run.told != nil, run.told?.result == false else { continue }
            guard hasRoom else {
                newsStart = (newsStart + step) % count
                break
            }
            sendNews(of: run, now: now)
        }
        hasUnsentNews = !hasRoom
        flushAgent()
        // Sent at once, so nothing will tell that there is room again.
        if hasUnsentNews, hasRoom { touchAll() }
    }

    private func sendNews(of run: SupervisedRun, now: Int64) {
        guard var told = run.told else { return }
        defer { run.told = told }
        guard let identity = run.identity else {
            // It never became a process.
            if let result = run.result {
                send(.event(run.id, result))
                told.result = true
            }
            return
        }
        if !told.start {
            send(.event(run.id, .started(identity, at: run.startedAt)))
            told.start = true
        }
        if told.offset < run.ring.end, run.isOver || now >= told.nextOutput {
            while told.offset < run.ring.end {
                guard hasRoom else { return }
                let start = max(told.offset, run.ring.start)
                let bytes = run.ring.copy(from: start, count: Self.longestPiece)
                send(.event(run.id, .output(bytes, skipped: start - told.offset)))
                told.offset = start + UInt64(bytes.count)
            }
            told.nextOutput = saturatingSum(now, Self.outputDistance)
        }
        if let result = run.result, told.offset == run.ring.end {
            send(.event(run.id, result))
            told.result = true
        }
    }

    /// The connection takes more news.
    var hasRoom: Bool { (agent?.outgoing.count ?? 0) < Self.mostUnsent }

    private static let longestPiece = 32_768
    private static let mostUnsent = 262_144
    private static let outputDistance: Int64 = 100_000_000
}

extension SupervisedRun {
    /// When output that waits for its turn may go.
    var nextNewsTime: Int64? {
        guard let told, !told.result, told.start, told.offset < ring.end else { return nil }
        return told.nextOutput
    }
}
