/// Runs a container by the Docker Engine's API and watches it to its end.
///
///     image there? ─► pull ─► create ─► start ─► follow the output ─► look at the exit status
///                                                    ▲                   │
///                                                    └── still running ──┤
///      an end from outside, anywhere ─► stop ─► the rest of the output ─►└─► remove ─► ended
///
/// The container's name is made of the execution's id: whatever is asked twice is asked of the same
/// container, so that an execution never has two. What an earlier life of the agent began is looked
/// for by that name, and watched on.
struct DockerDialogue: HTTPDialogue {
    private enum State {
        /// Looks for what an earlier life of the agent began.
        case finding
        case checking
        case pulling
        case creating
        /// Whether it was created after all, although this was the answer.
        case verifying(String)
        case starting
        case following
        /// How it ended, if it has.
        case looking
        case stopping
        /// What it printed while it was stopped.
        case gathering
        case removing
    }

    private let requests: DockerRequests
    private let isResumed: Bool
    let server: ConversationServer?
    /// Why nobody can be asked.
    private let mistake: String
    private var state: State
    private var stream = DockerLogStream()
    private var progress = DockerProgress()
    /// Its output can't be read, and this was told.
    private var isMute = false
    /// The output was told to its end the last time that it was asked for, which was so often.
    private var isComplete = false
    private var readings = 0
    /// Why it was not.
    private var interruption = ""
    /// When the last output is waited for no longer.
    private var gathersUntil: Instant?
    /// Of the state: attempts in vain, and looks at a container that goes on.
    private var tries = 0
    /// Since when the engine can't be asked about a container that runs.
    private var blindSince: Instant?
    /// It was ended from outside.
    private var isCut = false
    private var isStopped = false

    static let pullSilence = Duration.minutes(10)
    /// A container that prints nothing is looked at so often.
    private static let logSilence = Duration.minutes(10)
    /// How long the engine may be away while a container runs: it may be replaced meanwhile.
    private static let mostBlindness = Duration.minutes(2)
    private static let mostTries = 4
    private static let mostReadings = 3
    /// What the last output of a container that was stopped may take.
    private static let gatherTime = Duration.seconds(5)

    init(_ job: DockerJob, _ attempt: ConversationCall, on host: any ExecutorHost) {
        requests = DockerRequests(
            job: job, execution: attempt.execution, identity: attempt.identity)
        isResumed = attempt.isResumed
        state =
            switch job.pull {
            case _ where isResumed: .finding
            case .always: .pulling
            case .missing: .checking
            case .never: .creating
            }
        do throws(ExecutorHostError) {
            if let place = job.host {
                server = place.server(job.tls)
            } else {
                let found = try DockerHost.find(on: host)
                server = found.host.server(job.tls == TLSSettings() ? found.tls : job.tls)
            }
            mistake = ""
        } catch {
            server = nil
            mistake = error.description
        }
    }

    var farewell: Duration { requests.job.grace + .seconds(20) }

    var pending: String? {
        switch state {
        case .pulling: "the image \(requests.job.image) was not pulled"
        case .following, .looking: "the container did not end"
        case .finding, .checking, .creating, .verifying, .starting, .stopping, .gathering,
            .removing:
            nil
        }
    }

    var remains: String {
        "the container \(requests.name) may be left: \(server?.name ?? "the engine") did not "
            + "remove it in time"
    }

    // MARK: Steps

    mutating func next(at now: Now) -> HTTPDialogueStep {
        mistake.isEmpty ? request : .fail(mistake)
    }

    private var request: HTTPDialogueStep {
        switch state {
        case .finding, .looking, .verifying: return requests.inspect
        case .checking: return requests.findImage
        case .pulling: return requests.pull
        case .creating: return requests.create
        case .starting: return requests.start
        case .following: return requests.logs(follow: true)
        case .stopping: return requests.stop
        case .gathering: return requests.logs(follow: false)
        case .removing: return requests.remove
        }
    }

    private mutating func go(_ next: State) -> HTTPDialogueStep {
        state = next
        tries = 0
        return request
    }

    mutating func streams(_ head: HTTPResponseHead) -> Duration? {
        guard head.status == 200 else { return nil }
        switch state {
        case .pulling:
            progress = DockerProgress()
            return Self.pullSilence
        case .following:
            stream.restart()
            return Self.logSilence
        case .gathering:
            stream.restart()
            return Self.gatherTime
        default: return nil
        }
    }

    mutating func took(_ piece: [UInt8], at now: Now) -> HTTPDialogueStep {
        guard case .pulling = state else {
            blindSince = nil
            if case .gathering = state {
                let end = gathersUntil ?? now.monotonic + Self.gatherTime
                gathersUntil = end
                guard now.monotonic < end else { return remove() }
            }
            do throws(DockerStreamError) {
                return .print(try stream.take(piece), then: .goOn)
            } catch {
                return mute("what answers sends it in no form of Docker's")
            }
        }
        progress.take(piece)
        return progress.error.map { .fail(failure("pull", $0)) } ?? .goOn
    }

    mutating func answered(
        _ head: HTTPResponseHead, _ body: [UInt8], at now: Now
    ) -> HTTPDialogueStep {
        let isDone = (200...299).contains(head.status) || head.status == 304
        let reason = isDone ? "" : Self.reason(head, body)
        switch state {
        case .finding: return found(head, body)
        case .checking:
            if isDone { return go(.creating) }
            return head.status == 404 ? go(.pulling) : .fail(failure("look for", reason))
        case .pulling:
            progress.finish()
            let error = progress.error ?? reason
            return error.isEmpty ? go(.creating) : .fail(failure("pull", error))
        case .creating:
            if isDone { return isCut ? remove() : go(.starting) }
            // Perhaps because an answer of before was lost.
            return head.status == 404 ? .fail(uncreated(reason)) : go(.verifying(reason))
        case .verifying(let before): return verified(head, body, before)
        case .starting:
            if isCut { return stop() }
            if isDone { return go(.following) }
            return .conclude(
                error: "the container can't be started: \(reason)", exitCode: nil, then: remove())
        case .following:
            if !isDone { return mute(reason) }
            guard stream.isWhole else { return failed("it broke off", at: now) }
            isComplete = true
            return go(.looking)
        case .looking: return looked(head, body, at: now)
        case .stopping where head.status == 404:
            return .end(output: [], error: "the container is not there any more")
        case .stopping: return go(.gathering)
        case .gathering: return remove()
        case .removing:
            if isDone || head.status == 404 { return end(wasThere: isDone) }
            return failed(reason, at: now)
        }
    }

    mutating func failed(_ reason: String, at now: Now) -> HTTPDialogueStep {
        tries += 1
        let pause = HTTPDialogueStep.wait(.milliseconds(250) * Int64(1 << min(tries - 1, 4)))
        switch state {
        case .finding, .following, .looking:
            if case .following = state {
                state = .looking
                (isComplete, interruption) = (false, reason)
            }
            let since = blindSince ?? now.monotonic
            blindSince = since
            guard now.monotonic - since < Self.mostBlindness else {
                return .fail("\(reason); the container \(requests.name) may still run")
            }
            return pause
        case .checking, .pulling: return tries < Self.mostTries ? pause : .fail(reason)
        case .creating, .verifying:
            if isCut { return remove() }
            guard tries < Self.mostTries else { return .fail(uncreated(reason)) }
            state = .verifying(reason)
            return pause
        case .starting:
            if isCut { return remove() }
            guard tries >= Self.mostTries else { return pause }
            return .conclude(
                error: "the container can't be started: \(reason)", exitCode: nil, then: remove())
        case .stopping, .gathering: return remove()
        case .removing:
            guard tries >= Self.mostTries else { return pause }
            return .end(
                output: [], error: "the container \(requests.name) was not removed: \(reason)")
        }
    }

    mutating func interrupted(_ cause: CallEnd.Cause, at now: Now) -> HTTPDialogueStep {
        isCut = true
        switch state {
        case .checking, .pulling: return .end(output: [], error: "no container was created")
        // The answer tells what there is to be removed.
        case .creating, .verifying, .starting: return cause == .fenced ? remove() : .goOn
        case .finding, .following, .looking: return cause == .fenced ? remove() : stop()
        case .stopping, .gathering, .removing: return .goOn
        }
    }

    // MARK: Answers

    /// What an earlier life of the agent has left.
    private mutating func found(_ head: HTTPResponseHead, _ body: [UInt8]) -> HTTPDialogueStep {
        guard head.status == 200, let container = DockerState(body) else {
            let reason =
                head.status == 404
                ? "the container is not there any more" : Self.reason(head, body)
            return .fail(
                "the agent ended while this was under way, and how far it got is not known: "
                    + reason)
        }
        guard container.label == requests.execution.text else { return .fail(stranger) }
        guard container.isNew else { return go(.following) }
        return .conclude(
            error: "the agent ended before the container was started", exitCode: nil,
            then: remove())
    }

    /// Whether a container is there although its creation was answered otherwise.
    private mutating func verified(
        _ head: HTTPResponseHead, _ body: [UInt8], _ before: String
    ) -> HTTPDialogueStep {
        guard head.status == 200, let container = DockerState(body) else {
            return .fail(uncreated(before))
        }
        guard container.label == requests.execution.text else { return .fail(stranger) }
        return isCut ? remove() : go(.starting)
    }

    private mutating func looked(
        _ head: HTTPResponseHead, _ body: [UInt8], at now: Now
    ) -> HTTPDialogueStep {
        if head.status == 404 {
            return .fail("the container was removed by somebody else before it ended")
        }
        guard head.status == 200, let container = DockerState(body) else {
            return failed(Self.reason(head, body), at: now)
        }
        blindSince = nil
        guard container.isRunning || container.isNew else {
            if isComplete || isMute {
                return .conclude(
                    error: container.verdict, exitCode: container.exitCode, then: remove())
            }
            readings += 1
            return readings < Self.mostReadings ? go(.following) : mute(interruption)
        }
        // The end of its output is told a little earlier than its own.
        tries += 1
        if isMute { return .wait(.seconds(1)) }
        return tries <= 5 ? .wait(.milliseconds(100)) : go(.following)
    }

    /// Its output can't be read, but its end can be seen.
    private mutating func mute(_ reason: String) -> HTTPDialogueStep {
        if case .gathering = state { return remove() }
        isMute = true
        let note = "(the output of the container can't be read: \(reason))\n"
        return .print(Array(note.utf8), then: go(.looking))
    }

    private mutating func stop() -> HTTPDialogueStep {
        isStopped = true
        return go(.stopping)
    }

    private mutating func remove() -> HTTPDialogueStep { go(.removing) }

    private func end(wasThere: Bool) -> HTTPDialogueStep {
        guard isCut else { return .end(output: [], error: "") }
        if !wasThere { return .end(output: [], error: "there was no container to be removed") }
        let what = isStopped ? "the container was stopped and removed" : "the container was removed"
        return .end(output: [], error: what)
    }

    // MARK: Words

    private func failure(_ action: String, _ reason: String) -> String {
        "can't \(action) the image \(requests.job.image): \(reason.prefix(400))"
    }

    private func uncreated(_ reason: String) -> String {
        "the container can't be created: \(reason)"
    }

    private var stranger: String {
        "there is a container \(requests.name) that is not of this execution"
    }

    /// What the engine says of a failure.
    private static func reason(_ head: HTTPResponseHead, _ body: [UInt8]) -> String {
        let status = "status \(head.status)"
        guard let document = try? JSONDocument(body),
            let text = document.text("message", of: document.root), !text.isEmpty
        else { return head.status == 200 ? "the answer is in no form of Docker's" : status }
        return "\(text.prefix(400)) (\(status))"
    }
}
