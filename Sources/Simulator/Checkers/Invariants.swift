// What must hold. Each invariant has an id, which plans, mutants and reports name, and a sentence.

// The ids are those that people use for them.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import Core

enum InvariantID: String, CaseIterable, Sendable {
    case T1, T2, T3, T4
    case D1, D2, D3, D4, D5
    case R1, R3, R4, R5, R6, R8, R9, R10, R11, R12, R13
    case G1, G2, G3, G5, G6, G8
    case S1, S2, S3, S4, S5, S6, S7, S8, S9, S10, S11
    case X1, X2, X3, X4, X5, X6, X7, X8, X9, X10, X11, X12, X13, X14, X15, X16, X17, X18, X19
    case X20, X21, X22, X23
    case A1, A2, A3, A4, A5, A6, A7, A8, A9
    case B1, B2, B3, B4, B5
    case L1, L2, L3, L4, L5, L6, L8, L9
    /// Not an invariant: `--canary` fails on purpose, to test the reporting.
    case canary

    var sentence: String {
        switch self {
        case .T1: "The same plan and seed give the same trace in any process."
        case .T2: "Replaying a node's inputs into a fresh node gives the same effects."
        case .T3: "The state hash at an index is the same whenever that index is reached again."
        case .T4: "A snapshot and the log after it give the state that the log alone gives."
        case .D1: "Nothing leaves a node before what it asserts is on the platter."
        case .D2: "Recovery keeps everything that was synced, or the node refuses to start."
        case .D3: "Damaged synced data is never served: the node stops."
        case .D5: "A backup holds the state of its moment, with every output."
        case .D4: "After a failed sync the node does nothing more than stop."
        case .R1: "A term has one leader."
        case .R3: "Logs with an entry of the same index and term are the same up to it."
        case .R4: "What is committed is in the log of every later leader."
        case .R5: "No two servers apply different entries at an index, none twice or out of order."
        case .R6: "A server votes once in a term, and its term never decreases."
        case .R8: "One membership change at a time."
        case .R9: "A read sees everything that was committed before it began."
        case .R10: "A leader without a majority gives up."
        case .R11: "A server that comes back does not depose a leader whom the others hear."
        case .R12: "There is one cluster."
        case .R13: "In peace every server votes, and nobody who is gone."
        case .G1: "A node's incarnation is raised by itself only."
        case .G2: "Older news of a member never overrides newer."
        case .G3: "A node that does not answer is found to have failed."
        case .G5: "In peace all nodes come to know each other as each says of itself, and stay so."
        case .G6: "Who leaves has left, and has not failed."
        case .G8: "Who has failed is forgotten after its time, and stays so."
        case .S1: "Each tick is decided at most once."
        case .S2: "Every tick in force is decided."
        case .S3: "Only ticks that the oracle confirms are decided, with the right verdict."
        case .S4: "The cursor only grows within a revision."
        case .S5: "Nothing starts before its tick."
        case .S6: "In calm weather a run starts within a second of its tick."
        case .S7: "After a gap only what the catch-up policy allows is run late."
        case .S8: "Steps of the wall clock neither repeat a tick nor run a storm of late ones."
        case .S9: "A committed edit is obeyed by every later decision."
        case .S10: "`@every` keeps its phase."
        case .S11: "Nothing is stamped ahead of what most clocks show."
        case .X1: "Nothing is started that is not committed."
        case .X2: "Each execution is started at most once."
        case .X3: "Every execution starts as soon as there is room for it."
        case .X4: "A recorded result is what really happened."
        case .X5: "A result is released only after it was committed."
        case .X6: "Repeated and late results change nothing twice."
        case .X7: "At most retries + 1 attempts, each after a failure, not before its back-off."
        case .X8: "A group runs on as many distinct nodes with its tags as it asks for."
        case .X9: "Runs of different groups of a forbid or replace job never overlap."
        case .X10: "Forbid is not for ever."
        case .X11: "A successful parent group starts each child once, any other none."
        case .X12: "An ephemeral job goes at its first success, not before."
        case .X13: "Counters equal the fold over the results."
        case .X14: "Retention removes the oldest ended groups only."
        case .X15: "A job's status is that of its last ended group."
        case .X16: "The recorded output is the tail of the real one."
        case .X17:
            "A run ends within its time-out and grace, and a held pipe does not keep it open."
        case .X18:
            "An HTTP request says which attempt it is, and tells its credentials nobody else."
        case .X19:
            "What processors leave is recorded once, and a broken one changes nothing of it."
        case .X20:
            "Who is owed news of an outcome is told it, or it is given up; nobody else, no sooner."
        case .X21:
            "What an executor calls a success its peer has kept once, and said so."
        case .X22:
            "A plugin is one process, started again after a pause, and its end ends its calls."
        case .X23:
            "Nothing is decided to run on a drained node, once whoever decides can know of it."
        case .A1: "Writes are linearizable, and reads see them."
        case .A2: "An acknowledged write survives."
        case .A3: "A refused write leaves no trace; nothing changes that nobody asked for."
        case .A4: "What was deleted stays deleted."
        case .A5: "A write is answered in bounded time."
        case .A6: "There is one answer to each request, and it is that request's."
        case .A7: "Reads never go backwards within one life."
        case .A8: "No bytes of a client stop a node, and a bad request is told so."
        case .A9: "A reader of an output is shown what was printed, in order, every gap named."
        case .B1: "The log's files stay below their bound."
        case .B2: "Every queue and table stays below its bound."
        case .B3: "No effect and no step exceeds its size."
        case .B4: "Time passes: no spinning, no run without end."
        case .B5: "After the drain nothing is left open."
        case .L1: "In peace somebody leads, and commits."
        case .L8: "In peace the leader stays."
        case .L2: "After recovery the state is served again."
        case .L3: "Every client operation is answered."
        case .L4: "No tick stays undecided in a healthy cluster."
        case .L5: "No execution stays without result in a healthy cluster."
        case .L6: "The agent's results are all delivered."
        case .L9: "A job created now fires at its next tick."
        case .canary: "This seed fails on purpose."
        }
    }
}

struct Violation: Sendable {
    var id: InvariantID
    var message: String
    var time: TrueTime
}

/// Keeps the first violation; everything after it is a consequence.
struct Verdict: Sendable {
    private(set) var violation: Violation?
    var time = TrueTime.zero

    mutating func fail(_ id: InvariantID, _ message: @autoclosure () -> String) {
        guard violation == nil else { return }
        violation = Violation(id: id, message: message(), time: time)
    }

    mutating func require(
        _ condition: Bool, _ id: InvariantID, _ message: @autoclosure () -> String
    ) {
        if !condition { fail(id, message()) }
    }
}
