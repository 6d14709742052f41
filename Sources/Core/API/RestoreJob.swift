// One restore under way: reads the file in slices, checks each job, and keeps what the answer will
// tell.

struct RestoreJob {
    enum Step {
        /// Its share of this step is used up.
        case again
        /// So many jobs are read that they make a part.
        case part([RestoredJob])
        case needsZone(String)
        /// The whole file is read; these are the last jobs.
        case finished([RestoredJob])
    }

    struct Options {
        /// Refuse the file instead of importing broken jobs disabled.
        var isStrict: Bool
        var isDryRun: Bool
        /// Five fields are a crontab line, as everywhere else.
        var takesCrontab: Bool
        /// Come up with ticks stopped.
        var isPaused: Bool
        /// Answer an object instead of Dkron's text.
        var isPlain: Bool

        init(_ call: Call) {
            isStrict = call.query.contains("strict")
            isDryRun = call.query.contains("dry_run")
            takesCrontab = call.query["fields"] == "crontab"
            isPaused = call.query.contains("paused")
            isPlain = call.request.headers.list("Accept") == ["application/json"]
        }
    }

    /// Bytes of JSON in one part, about, and in one slice.
    static let partSize = 128 << 10
    static let sliceSize = 96 << 10
    /// Parts on their way through the log.
    static let pipeline = 4

    let call: Call
    /// Names the parts in the log.
    let id: UInt64
    let options: Options
    var parts: UInt32 = 0
    var inFlight = 0
    var awaitedZone: String?
    var isRead = false
    var isCommitting = false
    /// The pause that `?paused` asks for has been proposed, by us.
    var hasPaused = false

    private let file: Range<Int>
    private var splitter: ArraySplitter
    private var batch: [RestoredJob] = []
    private var batchSize = 0
    /// An element that waits for a zone.
    private var held: Range<Int>?

    /// Jobs of the file so far.
    private(set) var count = 0
    private(set) var created = 0
    private(set) var updated = 0
    private(set) var unchanged = 0
    /// Jobs imported disabled, and why.
    private(set) var invalid: [(name: JobName, reason: String)] = []
    /// Jobs whose schedule has a `~`.
    private(set) var spread: [(name: JobName, schedule: String)] = []
    private(set) var names: [JobName] = []
    /// Parents by child, for the check of a dry run.
    private var parents = SortedMap<JobName, JobName?>()

    init(_ call: Call, id: UInt64) throws(APIError) {
        self.call = call
        self.id = id
        options = Options(call)
        file = try RestoreFile.range(in: call.request)
        splitter = ArraySplitter(file)
    }

    // MARK: Reading

    /// Reads on in the file. Throws why the file is refused.
    mutating func advance(_ context: APIContext) throws(APIError) -> Step {
        var budget = Self.sliceSize
        while true {
            let range: Range<Int>
            if let waiting = held {
                held = nil
                range = waiting
            } else {
                switch try split(&budget) {
                case .again: return .again
                case .end(let offset):
                    let rest = call.request.body[offset..<file.upperBound]
                    guard rest.allSatisfy(ArraySplitter.isSpace) else {
                        throw malformed("something follows the array of jobs")
                    }
                    isRead = true
                    return .finished(takeBatch())
                case .element(let found): range = found
                }
            }
            if let zone = try take(range, context) {
                held = range
                awaitedZone = zone
                return .needsZone(zone)
            }
            if batchSize >= Self.partSize { return .part(takeBatch()) }
        }
    }

    private mutating func split(_ budget: inout Int) throws(APIError) -> ArraySplitter.Step {
        do throws(TextError) {
            return try splitter.next(in: call.request.body, budget: &budget)
        } catch {
            throw malformed(error.message)
        }
    }

    private mutating func takeBatch() -> [RestoredJob] {
        defer {
            batch = []
            batchSize = 0
        }
        return batch
    }

    /// Reads and checks one job. Returns the zone that it needs read first, if so.
    private mutating func take(
        _ range: Range<Int>, _ context: APIContext
    ) throws(APIError) -> String? {
        var input = try read(range)
        let name = input.document.name
        let stored = context.store.document(name)
        switch JobCheck.check(input.document, stored: stored, acceptsPast: true, context) {
        case .needsZone(let zone): return zone
        case .checked(let violations, _): input.violations += violations
        }
        let schedule = try? Schedule.parse(input.document.schedule, jobName: name)
        if let schedule, schedule.isCrontabForm, isDoubtful(input, stored) {
            input.violations.append(fiveFields(input.document.schedule))
        }
        if let first = input.violations.first {
            if options.isStrict { throw refused(first, name) }
            let reason = JobReader.reason(of: input.violations)
            input.document.isDisabled = true
            input.document.invalidReason = reason
            invalid.append((name, reason))
        }
        if schedule?.usesName == true, !input.isOurs, stored?.schedule != input.document.schedule {
            spread.append((name, input.document.schedule))
        }
        count += 1
        names.append(name)
        note(input.document, stored)
        batch.append(
            RestoredJob(
                document: input.document, successCount: input.successCount,
                errorCount: input.errorCount, lastSuccess: input.lastSuccess,
                lastError: input.lastError, everyAnchor: input.everyAnchor))
        // A job of few fields is longer in the log than in the file.
        batchSize += range.count + 128
        return nil
    }

    /// Whether five fields may mean something else than a line of a crontab: not in a job that we
    /// wrote, nor where the same text is in force here, unless they were in doubt there already.
    private func isDoubtful(_ input: JobInput, _ stored: JobDocument?) -> Bool {
        if options.takesCrontab || input.isOurs && !input.wasInvalid { return false }
        guard let stored, stored.schedule == input.document.schedule else { return true }
        return stored.invalidReason != nil
    }

    private func read(_ range: Range<Int>) throws(APIError) -> JobInput {
        let json: JSONDocument
        do throws(JSONError) {
            json = try JSONDocument(Array(call.request.body[range]))
        } catch {
            throw malformed(
                "job number \(count + 1) can't be read (counted from its start): \(error)")
        }
        do throws(JobError) {
            let input = try JobReader.read(json.root, of: json, from: .export)
            guard !input.document.name.text.isEmpty else {
                throw JobError(.invalidField, "name", "A job needs a name.")
            }
            return input
        } catch {
            throw APIError(
                400, error.code.rawValue, "Job number \(count + 1) of the file: \(error.message)",
                field: error.field.isEmpty ? nil : error.field)
        }
    }

    private mutating func note(_ document: JobDocument, _ stored: JobDocument?) {
        if stored == nil {
            created += 1
        } else if stored == document {
            unchanged += 1
        } else {
            updated += 1
        }
        if options.isDryRun { parents[document.name] = .some(document.parent) }
    }

    // MARK: Refusals

    private func malformed(_ message: String) -> APIError {
        APIError(400, "malformed_file", "The file is not a JSON array of jobs: \(message).")
    }

    private func refused(_ violation: JobError, _ name: JobName) -> APIError {
        APIError(
            400, violation.code.rawValue,
            "The job \"\(name)\" (number \(count + 1) of the file): \(violation.message)",
            field: violation.field)
    }

    private func fiveFields(_ schedule: String) -> JobError {
        JobError(
            .invalidField, "schedule",
            "The schedule \"\(schedule)\" has five fields. As a crontab line it means"
                + " \"0 \(schedule)\"; Dkron 1 read it as \"\(schedule) *\", the first field being"
                + " seconds. Write six fields, or restore with ?fields=crontab.")
    }

    /// What the commit of a dry run would find wrong with the parents. O(jobs · depth).
    func checkParents(_ context: APIContext) throws(APIError) {
        for name in names {
            var ancestor = parents[name].flatMap { $0 }
            while let current = ancestor {
                if current == name {
                    throw APIError(.parentCycle(current), job: name).asRestoreError
                }
                if let known = parents[current] {
                    ancestor = known
                } else if let stored = context.store.document(current) {
                    ancestor = stored.parent
                } else {
                    throw APIError(.unknownParent(current), job: name).asRestoreError
                }
            }
        }
    }
}

extension APIError {
    /// A file whose jobs don't fit together is malformed, whatever the code would be elsewhere.
    var asRestoreError: APIError {
        var error = self
        if error.status == 404 || error.status == 409 { error.status = 400 }
        return error
    }
}
