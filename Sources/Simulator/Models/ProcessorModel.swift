// Processors of a node: they work, fail, hang, put other outputs in the place of what they were
// given, and overrule successes, as the settings in their job's document say. What is at work when
// the node dies never answers; one that was given up may still answer.

import Core

enum ProcessorModel {
    struct Answer {
        var outcome: ProcessorOutcome
        var after: Duration
    }

    static func name(of work: ProcessorTask.Work) -> String {
        switch work {
        case .log: "log"
        case .files: "files"
        case .syslog: "syslog"
        case .email: "email"
        case .webhook: "webhook"
        case .plugin(let name, _): name
        }
    }

    /// Nil if it hangs.
    static func answer(to run: ProcessorRun, _ stream: DrawStream) -> Answer? {
        var draws = stream
        let quick = draws.exponential(.milliseconds(20))
        guard case .plugin(_, let settings) = run.task.work else {
            if draws.chance(1, 8) {
                return Answer(outcome: .failed("the disk is gone"), after: quick)
            }
            return Answer(outcome: .done(output: nil), after: quick)
        }
        let does = settings.first { $0.name == "does" }?.value ?? "nothing"
        let slow = draws.exponential(.seconds(2))
        switch does {
        case "fails": return Answer(outcome: .failed("no such luck"), after: quick)
        case "hangs":
            return draws.chance(1, 2) ? nil : Answer(outcome: .done(output: nil), after: slow)
        case "overrules":
            return Answer(
                outcome: .done(output: nil, failure: draws.chance(1, 2) ? "not good enough" : nil),
                after: slow)
        case "replaces":
            let count = draws.element([0, 1, 100, 70_000, 300_000])
            let bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: draws.next()), count: count)
            return Answer(outcome: .done(output: bytes), after: quick)
        case "appends":
            return Answer(
                outcome: .done(output: run.output + "seen by \(run.execution.reportingNode)".utf8),
                after: slow)
        default: return Answer(outcome: .done(output: nil), after: quick)
        }
    }
}
