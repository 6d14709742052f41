// The output of a run, followed from another node while it is printed.
//
// A server asks the run's node for what comes after a place. The answer is one piece, at once or as
// soon as there is something, and asks for the next: so a slow link or reader costs one piece in
// flight, and what the run's node has not kept meanwhile is left out. A question is repeated every
// two seconds, so nothing that is lost stops it, and lapses where it is not.

/// A piece of what a run has printed.
package struct PrintedOutput: Hashable, Sendable {
    package var key: ExecutionKey
    /// Bytes printed so far, counted from the first ever printed.
    package var total: UInt64
    /// The place of the first byte.
    package var start: UInt64
    /// None when only the total is told.
    package var bytes: [UInt8]

    package init(key: ExecutionKey, total: UInt64, start: UInt64, bytes: [UInt8]) {
        self.key = key
        self.total = total
        self.start = start
        self.bytes = bytes
    }
}

/// Who asked a node for the outputs of its runs.
struct OutputWatchers {
    struct Watcher: Comparable {
        var key: ExecutionKey
        var server: DataID

        static func < (a: Self, b: Self) -> Bool { (a.key, a.server) < (b.key, b.server) }
    }

    private struct Question {
        /// What the server has.
        var place: UInt64
        /// It was not answered with anything yet.
        var isOpen: Bool
        var until: Instant
    }

    /// How long a question holds that is not repeated.
    static let patience = Duration.seconds(10)
    /// The most bytes in one piece.
    static let pieceSize = 64 << 10
    /// Questions beyond these are not heard.
    static let limit = 1_024

    private var questions = SortedMap<Watcher, Question>()

    /// A server asks for what comes after a place. O(log n).
    mutating func ask(_ key: ExecutionKey, from place: UInt64, by server: DataID, at now: Instant) {
        if questions.count >= Self.limit {
            for (watcher, question) in questions where question.until <= now {
                questions.remove(watcher)
            }
        }
        let watcher = Watcher(key: key, server: server)
        guard questions.count < Self.limit || questions.contains(watcher) else { return }
        questions[watcher] = Question(place: place, isOpen: true, until: now + Self.patience)
    }

    /// Answers to those who ask for the output of `key`, of which this is there. O(asking).
    /// - Parameters:
    ///   - isEnd: nothing follows; everybody hears how much it was.
    ///   - asker: is answered even if there is nothing yet.
    mutating func answers(
        _ key: ExecutionKey, _ tail: OutputTail, isEnd: Bool, to asker: DataID?, at now: Instant
    ) -> [(server: DataID, piece: PrintedOutput)] {
        var answers: [(server: DataID, piece: PrintedOutput)] = []
        var next = questions.first(atOrAfter: Watcher(key: key, server: 0))
        while let (watcher, question) = next, watcher.key == key {
            defer { next = questions.next(after: watcher) }
            guard question.until > now else {
                questions.remove(watcher)
                continue
            }
            var piece = PrintedOutput(
                key: key, total: tail.totalBytes, start: tail.totalBytes, bytes: [])
            if question.isOpen, question.place < tail.totalBytes {
                piece.start = max(question.place, tail.start)
                piece.bytes = Array(tail.bytes(from: piece.start, limit: Self.pieceSize))
            }
            guard isEnd || asker == watcher.server || !piece.bytes.isEmpty else { continue }
            if !piece.bytes.isEmpty { questions.update(watcher) { $0.isOpen = false } }
            answers.append((watcher.server, piece))
        }
        return answers
    }

    var isEmpty: Bool { questions.isEmpty }
}

/// What a server has of the output of a run elsewhere, while somebody reads it here.
package struct OutputMirror: Sendable {
    /// As the tail that the run's node keeps.
    package private(set) var tail: OutputTail
    /// How much was printed, as far as the run's node told.
    package private(set) var total: UInt64 = 0
    /// Everything is there that was there when it was asked for first, or nobody answers.
    package private(set) var isWhole = false
    /// What was there then.
    private var goal: UInt64?
    var askedLast: Instant

    package init(limit: Int, at now: Instant) {
        tail = OutputTail(limit: limit)
        askedLast = now
    }

    /// Returns whether the piece brings anything, so that the next one is to be asked for.
    package mutating func take(_ piece: PrintedOutput) -> Bool {
        let before = tail.totalBytes
        total = max(total, piece.total)
        let (end, overflow) = piece.start.addingReportingOverflow(UInt64(piece.bytes.count))
        if !piece.bytes.isEmpty, !overflow, end > before {
            let known = Int(clamping: before - min(before, piece.start))
            tail.append(
                Array(piece.bytes.dropFirst(known)), skipped: piece.start - min(piece.start, before)
            )
        }
        let goal = goal ?? piece.total
        self.goal = goal
        if tail.totalBytes >= goal { isWhole = true }
        return tail.totalBytes > before
    }

    /// Who waits for it is shown what there is.
    mutating func giveUp() { isWhole = true }
}
