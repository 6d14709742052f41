// What processors left of outcomes and outputs, against what they really answered.

import Core

struct ProcessorChecker {
    /// One way through the processors of an execution, under one leader.
    private struct Pass {
        let node: Int
        let life: UInt64
        let term: UInt64
        var stages: [Stage] = []
    }

    private struct Stage {
        let run: ProcessorRunID
        let name: String
        let input: [UInt8]
        /// What it leaves if it says nothing.
        let replacement: [UInt8]?
        /// Nil while it works; given up counts as failed.
        var outcome: ProcessorOutcome?
    }

    /// What a whole pass comes to.
    private struct Result {
        var output: [UInt8]?
        var failure: String?
        var failures = 0
    }

    private var passes: [String: [Pass]] = [:]
    /// The lists of processors that each job's documents have named.
    private var lists: [Generation: Set<[String]>] = [:]
    private var finished: Set<Int64> = []
    private var places: [Place: String] = [:]
    private let outputLimit: Int

    private struct Place: Hashable {
        var node: Int
        var life: UInt64
        var run: ProcessorRunID
    }

    init(outputLimit: Int) { self.outputLimit = outputLimit }

    mutating func noticed(_ document: JobDocument, of generation: Generation) {
        lists[generation, default: []].insert(document.processors.map(\.name))
    }

    // MARK: Runs

    mutating func willProcess(
        _ run: ProcessorRun, on node: Int, life: UInt64, term: UInt64,
        into verdict: inout Verdict
    ) {
        let key = run.execution.id.text
        let name = ProcessorModel.name(of: run.task.work)
        places[Place(node: node, life: life, run: run.id)] = key
        var all = passes[key] ?? []
        var pass = Pass(node: node, life: life, term: term)
        if let index = all.firstIndex(where: { $0.node == node && $0.term == term }) {
            pass = all.remove(at: index)
        }
        if let before = pass.stages.last {
            let expected = Self.output(of: before) ?? before.input
            verdict.require(
                run.output == Array(expected.suffix(outputLimit)), .X19,
                "processor \(name) of \(key) was given another output than \(before.name) left")
        }
        pass.stages.append(
            Stage(
                run: run.id, name: name, input: run.output,
                replacement: run.task.replacement(for: run.execution.id)))
        all.append(pass)
        passes[key] = all
    }

    mutating func ended(
        _ run: ProcessorRunID, _ outcome: ProcessorOutcome, on node: Int, life: UInt64
    ) {
        guard let key = places[Place(node: node, life: life, run: run)] else { return }
        for index in passes[key, default: []].indices {
            guard passes[key]![index].node == node, passes[key]![index].life == life,
                let stage = passes[key]![index].stages.firstIndex(where: { $0.run == run }),
                passes[key]![index].stages[stage].outcome == nil
            else { continue }
            passes[key]![index].stages[stage].outcome = outcome
        }
    }

    private static func output(of stage: Stage) -> [UInt8]? {
        guard case .done(let output, _) = stage.outcome else { return nil }
        return output ?? stage.replacement
    }

    // MARK: Records

    /// An execution whose processors were to run, as it was recorded and as they left it.
    mutating func judge(
        _ before: Execution, _ after: Execution, of group: GroupSight, into verdict: inout Verdict
    ) {
        let name = "\(after.id) of \(group.job)"
        verdict.require(
            finished.insert(after.number).inserted, .X19, "\(name) was processed twice")
        let lists = lists[group.generation] ?? []
        let all = passes.removeValue(forKey: after.id.text) ?? []
        var results = all.filter { lists.contains($0.stages.map(\.name)) }.compactMap(result)
        if lists.contains([]) { results.append(Result()) }
        let isRight = results.contains { result in
            let isOverruled = before.state == .success && result.failure != nil
            guard after.state == (isOverruled ? .failed : before.state),
                after.notes.count >= min(result.failures, Processed.noteLimit)
            else { return false }
            guard let output = result.output else {
                return !after.hasProcessedOutput && after.outputDigest == before.outputDigest
                    && after.outputLength == before.outputLength
            }
            return after.hasProcessedOutput && after.outputLength == UInt64(output.count)
                && after.outputDigest == Checksum.crc32c(output)
        }
        verdict.require(
            isRight, .X19,
            "\(name) is \(after.state) with \(after.outputLength) bytes and the notes "
                + "\(after.notes), which is what no pass of its processors came to")
    }

    /// Nil if something of it is still at work.
    private func result(of pass: Pass) -> Result? {
        var result = Result()
        for stage in pass.stages {
            switch stage.outcome {
            case nil: return nil
            case .failed: result.failures += 1
            case .done(_, let failure):
                if let output = Self.output(of: stage) {
                    result.output = Array(output.suffix(outputLimit))
                }
                result.failure = result.failure ?? failure
            }
        }
        return result
    }
}
