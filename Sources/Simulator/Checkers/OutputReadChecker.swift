// What readers are shown of an output, against what was really printed.

import Core

enum OutputReadChecker {
    /// Judges the whole answer to one reader.
    /// - Parameters:
    ///   - isProcessed: processors may have put another output in the place of this one.
    ///   - isSuccess: the run is known to have succeeded.
    static func judge(
        _ operation: Operation, _ reply: Reply, _ log: RunLog,
        isProcessed: (Int64) -> Bool, isSuccess: (Int64) -> Bool,
        into verdict: inout Verdict
    ) {
        let path = operation.target.prefix { $0 != "?" }.split(separator: "/").map(String.init)
        guard operation.draft.method == "GET", reply.status == 200, path.last == "output",
            path.count == 6,
            let number = path[4].split(separator: "-").first.flatMap({ Int64($0) }),
            let run = log.runs(of: path[4]).last, !run.isOutputUnknown, !isProcessed(number),
            // Where it begins is not told.
            reply.headers["X-Dkron-Output-Truncated"] == nil,
            find(Runner.withheldNotice.suffix(16), in: reply.body[...]) == nil
        else { return }
        // How much of an answer was put out before it was cut, only the client knows.
        if case .answered(_, whole: false) = run.ending { return }
        var place = 0
        for part in parts(reply.body) {
            switch part {
            case .shown(let bytes):
                let end = place + bytes.count
                verdict.require(
                    end <= run.outputLength
                        && run.output(place..<min(end, run.outputLength)).elementsEqual(bytes), .A9,
                    "\(operation.target) shows \(bytes.count) bytes at \(place) that were not "
                        + "printed there; it printed \(run.outputLength)")
                place = end
            case .skipped(let count): place += count
            // All that is kept follows, wherever it begins, or nothing.
            case .note: return
            }
        }
        // Who waited for the end has seen everything.
        guard operation.target.contains("follow"), run.endedAt != nil, isSuccess(number) else {
            return
        }
        verdict.require(
            place == run.outputLength, .A9,
            "\(operation.target) ended after \(place) bytes of \(run.outputLength)")
    }

    private enum Part {
        case shown(ArraySlice<UInt8>)
        case skipped(Int)
        case note
    }

    /// The answer without its notes, and what those say.
    private static func parts(_ body: [UInt8]) -> [Part] {
        var parts: [Part] = []
        var rest = body[...]
        let (head, tail) = (Array("\n[dkron: ".utf8)[...], Array("]\n".utf8)[...])
        while let open = find(head, in: rest),
            let close = find(tail, in: rest[open...])
        {
            if open > rest.startIndex { parts.append(.shown(rest[..<open])) }
            let words = String(decoding: rest[(open + head.count)..<close], as: UTF8.self)
                .split(separator: " ")
            if words.contains("skipped:"), let count = words.first.flatMap({ Int($0) }) {
                parts.append(.skipped(count))
            } else {
                parts.append(.note)
            }
            rest = rest[(close + 2)...]
        }
        if !rest.isEmpty { parts.append(.shown(rest)) }
        return parts
    }

    private static func find(_ wanted: ArraySlice<UInt8>, in bytes: ArraySlice<UInt8>) -> Int? {
        guard let first = wanted.first, bytes.count >= wanted.count else { return nil }
        for start in bytes.startIndex...(bytes.endIndex - wanted.count)
        where bytes[start] == first && bytes[start...].starts(with: wanted) {
            return start
        }
        return nil
    }
}
