// What an agent that comes back shows of a run that was given secrets by an earlier life.

import Testing

@testable import Core

@Suite("Secrets of a run over a restart")
struct RunnerSecretTests {
    private static let withheld = String(decoding: Runner.withheldNotice, as: UTF8.self)

    private static func assignment(executor: String) -> Assignment {
        var assignment = RunnerFixture.assignment(1, executor: executor)
        assignment.config.append(Setting(name: "env", value: "T=${secret:token}"))
        return assignment
    }

    private static func answer(
        _ value: String, _ fixture: inout RunnerFixture
    ) -> [String] {
        let read = SecretsAnswer.read([Setting(name: "token", value: value)])
        fixture.runner.secrets(
            RunnerFixture.id(1), read, at: fixture.now, into: &fixture.actions)
        return fixture.take()
    }

    /// Run 1 was given `old word` and has begun, or is just about to.
    private static func begun(
        executor: String = "shell", isStarted: Bool = true
    ) -> RunnerFixture {
        var fixture = RunnerFixture()
        fixture.runner.assign(
            assignment(executor: executor),
            after: Heartbeat(incarnation: 1, sentAt: fixture.now.monotonic), at: fixture.now,
            into: &fixture.actions)
        same(fixture.take(), ["journal accepted"])
        same(fixture.sync(), ["accepted 1", "read token 1"])
        let verb = executor == "docker" ? "converse" : "start"
        same(answer("old word", &fixture), ["\(verb) 1", "heartbeat"])
        guard isStarted else { return fixture }
        let start =
            executor == "docker"
            ? fixture.call(1, .started(at: WallTime(seconds: 1_000_000)))
            : fixture.event(1, RunnerFixture.started)
        #expect(start == ["journal started", "told started 1"])
        return fixture
    }

    /// Another life, which reads `value` and hears what the command has printed from its beginning.
    private static func shown(
        _ fixture: inout RunnerFixture, reading value: String, printed: String = "an old word\n"
    ) -> String? {
        same(fixture.restart(), ["read token 1"])
        same(answer(value, &fixture), ["adopt 1"])
        _ = fixture.event(1, RunnerFixture.started)
        if !printed.isEmpty {
            _ = fixture.event(1, .output(Array(printed.utf8), skipped: 0))
        }
        _ = fixture.event(1, RunnerFixture.ended())
        let tail = fixture.runner.liveTail(of: RunnerFixture.key(1))
        return tail.map { String(decoding: $0.bytes, as: UTF8.self) }
    }

    @Test("the same value is hidden as before")
    func unchanged() {
        var fixture = Self.begun()
        #expect(Self.shown(&fixture, reading: "old word") == "an ***\n")
    }

    @Test("of a run whose secret was exchanged meanwhile nothing is shown")
    func exchanged() {
        var fixture = Self.begun()
        #expect(Self.shown(&fixture, reading: "new word") == Self.withheld)
    }

    @Test("what was given is remembered over further lives and a rewritten journal")
    func remembered() {
        for (value, expected) in [("old word", "an ***\n"), ("new word", Self.withheld)] {
            var fixture = Self.begun()
            same(fixture.restart(), ["read token 1"])
            same(Self.answer("new word", &fixture), ["adopt 1"])
            _ = fixture.event(1, RunnerFixture.started)
            fixture.journal = fixture.runner.liveRecords()
            #expect(Self.shown(&fixture, reading: value) == expected)
        }
    }

    @Test("where the journal does not say what was given, only silence is shown")
    func unwritten() {
        // The agent ended before the start was safe, and began another life after that.
        var fixture = Self.begun(isStarted: false)
        same(fixture.restart(), ["read token 1"])
        same(Self.answer("new word", &fixture), ["adopt 1"])
        same(fixture.event(1, RunnerFixture.started), ["journal started", "told started 1"])
        #expect(Self.shown(&fixture, reading: "new word") == Self.withheld)

        fixture = Self.begun(isStarted: false)
        #expect(Self.shown(&fixture, reading: "old word", printed: "") == "")
    }

    @Test("older programs' records of a start are read, and tell nothing of secrets")
    func olderRecord() {
        var fixture = Self.begun()
        let identity = ProcessIdentity(processID: 5, startTicks: 6, boot: "b")
        let old = Runner.encode(identity, startedAt: WallTime(seconds: 1_000_000), nil)
        let new = fixture.journal[1].payload
        #expect(Array(new.dropLast(2)) == old, "behind all that older programs read")
        fixture.journal[1].payload = old
        #expect(Self.shown(&fixture, reading: "old word") == Self.withheld)

        var plain = RunnerFixture()
        plain.bring(to: "running")
        _ = plain.event(1, RunnerFixture.started)
        #expect(plain.journal[1].payload == old, "without secrets nothing is added")
    }

    @Test("a container is watched on with what is read now, and its output withheld")
    func container() throws {
        for value in ["old word", "new word"] {
            var fixture = Self.begun(executor: "docker")
            fixture.journal = [fixture.journal[0], fixture.runner.liveRecords()[1]]
            same(fixture.restart(), ["read token 1"])
            let read = SecretsAnswer.read([Setting(name: "token", value: value)])
            fixture.runner.secrets(
                RunnerFixture.id(1), read, at: fixture.now, into: &fixture.actions)
            var variables: [EnvironmentEntry] = []
            for case .converse(let call) in fixture.actions {
                if case .docker(let job) = call.task { variables = job.environment }
            }
            #expect(variables == [EnvironmentEntry(name: "T", value: value)])
            same(fixture.take(), ["converse 1 again"])
            same(fixture.call(1, .started(at: fixture.now.wall)), ["told started 1"])
            _ = fixture.call(1, .output(Array("an old word\n".utf8)))
            _ = fixture.call(1, .ended(CallEnd(cause: .finished, at: fixture.now.wall)))
            let tail = try #require(fixture.runner.liveTail(of: RunnerFixture.key(1)))
            let expected = value == "old word" ? "an ***\n" : Self.withheld
            #expect(String(decoding: tail.bytes, as: UTF8.self) == expected)
        }
    }

    @Test("the digest depends on every name, value and directory, and not on the run")
    func digest() {
        func of(_ values: (String, String)..., directory: DataID = 7) -> UInt16 {
            SecretDigest.of(
                values.map { Setting(name: $0.0, value: $0.1) }, in: directory)
        }
        let digests = [
            of(("a", "bc")), of(("ab", "c")), of(("a", "b")), of(("a", "bc"), ("d", "")),
            of(("d", ""), ("a", "bc")), of(("a", "bc"), directory: 8),
            of(("a", "bc"), directory: 7 | 1 << 64),
        ]
        #expect(Set(digests).count == digests.count)
        #expect(of(("a", "bc")) == digests[0])
    }
}
