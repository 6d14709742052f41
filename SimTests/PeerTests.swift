// What peers of conversations and plugins do, one manner after the other: whatever it is, each call
// ends once, nothing is claimed that was not acknowledged, and each manner comes up.

import Core
import Testing

@testable import Simulator

/// What one agent reaches, under a clock of its own.
struct OutsideFixture {
    var outside: Outside
    private var queue = EventQueue<OutsideStep>(ties: Draws(seed: 1).stream("order"))
    private var out = OutsideOutput()
    private var log = RunLog()
    private var time = TrueTime.seconds(1)
    private(set) var news: [(execution: ExecutionID, event: CallEvent)] = []
    private(set) var complaints: [String] = []
    private(set) var marks: Set<PeerMark> = []

    init(seed: UInt64, bad: String? = nil) {
        outside = Outside(
            node: 0, draws: Draws(seed: seed), latency: .milliseconds(1),
            plugins: bad.flatMap { Ratio($0) }.map { PluginModel.Manner(bad: $0) })
        outside.plugins.start(moment, log: &log, into: &out)
        flush()
    }

    private var moment: Moment {
        let now = Now(
            monotonic: Instant(nanoseconds: time.nanoseconds),
            wall: WallTime(nanoseconds: time.nanoseconds))
        return Moment(time: time, now: now, agentLife: 1)
    }

    mutating func perform(_ effect: Effect) {
        outside.perform(effect, moment, log: &log, into: &out)
        flush()
    }

    mutating func run(for length: Duration) {
        let end = time + length
        while let next = queue.nextTime, next <= end, let (at, step) = queue.pop() {
            time = at
            outside.step(step, moment, log: &log, into: &out)
            flush()
        }
        time = end
    }

    mutating func kill() {
        outside.agentDied(at: time, log: &log, into: &out)
        flush()
    }

    private mutating func flush() {
        for later in out.later { queue.push(later.step, at: later.time, lane: 1) }
        news += out.news
        complaints += out.complaints.map { "\($0.id): \($0.words)" }
        for mark in PeerMark.allCases where out.marks & (1 << UInt64(mark.rawValue)) != 0 {
            marks.insert(mark)
        }
        out.clear()
        for (at, step) in outside.newDeadlines() {
            queue.push(step, at: max(time, .nanoseconds(at.nanoseconds)), lane: 1)
        }
    }

    /// How an execution's call ended, as often as it was told.
    func ends(of id: ExecutionID) -> [CallEnd] {
        news.compactMap {
            guard $0.execution == id, case .ended(let end) = $0.event else { return nil }
            return end
        }
    }

    var run: RealRun? { log.runs.first }
}

@Suite("Peers and plugins")
struct PeerTests {
    static let id = ExecutionID("7-n")

    static func talk(_ words: String, stream: Bool) throws -> Effect {
        let job = try NATSJob.parse([
            (key: "url", value: "nats://peer.sim"), (key: "subject", value: "orders"),
            (key: "message", value: "sim \(words)"),
            (key: "jetstream", value: stream ? "true" : "false"),
        ])
        return .converse(ConversationCall(execution: id, task: .nats(job), fence: nil))
    }

    @Test("a server that behaves has the message, and the run is as good as it says")
    func plain() throws {
        for stream in [false, true] {
            var world = OutsideFixture(seed: 1)
            world.perform(try Self.talk("", stream: stream))
            world.run(for: .seconds(40))
            #expect(world.ends(of: Self.id).map(\.error) == [""])
            #expect(world.run?.isSuccess == true)
            #expect(world.marks.contains(.peerKept))
            #expect(world.complaints.isEmpty)
        }
    }

    @Test("whatever a server does, the conversation ends once", arguments: PeerManner.allCases)
    func manners(_ manner: PeerManner) throws {
        var marks: Set<PeerMark> = []
        for stage in NATSPeer.Stage.allCases {
            for stream in [false, true] {
                for seed in UInt64(1)...8 {
                    var world = OutsideFixture(seed: seed)
                    let words = "\(manner.rawValue)=1 at=\(stage.rawValue)"
                    world.perform(try Self.talk(words, stream: stream))
                    world.run(for: .seconds(90))
                    #expect(world.ends(of: Self.id).count == 1, "\(words) of \(seed)")
                    #expect(world.complaints.isEmpty)
                    #expect(world.outside.talks.connectionCount == 0)
                    marks.formUnion(world.marks)
                }
            }
        }
        #expect(marks.contains(manner.mark))
    }

    @Test("what a server keeps and does not acknowledge is no success")
    func lost() throws {
        for manner in ["lose", "mute", "flood", "garbage"] {
            var world = OutsideFixture(seed: 3)
            world.perform(try Self.talk("\(manner)=1 at=publication", stream: true))
            world.run(for: .seconds(90))
            #expect(world.ends(of: Self.id).first?.error.isEmpty == false, "\(manner)")
            #expect(world.run?.isSuccess == false)
        }
    }

    static func order(_ does: String, timeout: String = "30") -> Effect {
        let call = PluginCall(
            execution: id, plugin: "tool", job: JobName("job"),
            config: [(key: "does", value: does), (key: "timeout", value: timeout)],
            identity: [EnvironmentEntry(name: "DKRON_EXECUTION_ID", value: id.text)],
            grace: .seconds(1), fence: nil)
        return .execute(call)
    }

    @Test(
        "whatever a plugin does with a call, it ends once",
        arguments: [
            ("run=1s", PeerMark.pluginAnswered), ("updates=3 out=3000", .pluginUpdated),
            ("updates=3 terse=1 out=3000", .pluginUpdated), ("fail=1", .pluginReady),
            ("crash=1", .pluginDiedRunning), ("hang=1", .pluginHung),
            ("refuse=1", .pluginRefusedCall), ("garbage=1", .pluginAnsweredGarbage),
            ("twice=1", .pluginAnsweredTwice), ("repeat=1", .pluginRepeatedBytes),
            ("flood=1", .pluginFlooded), ("run=100s", .pluginCallCancelled),
            ("out=300000", .pluginAnswered),
        ])
    func work(_ does: String, _ mark: PeerMark) {
        for seed in UInt64(1)...8 {
            var world = OutsideFixture(seed: seed, bad: "0")
            world.run(for: .seconds(2))
            world.perform(Self.order(does))
            world.run(for: .seconds(90))
            #expect(world.ends(of: Self.id).count == 1, "\(does) of \(seed)")
            #expect(world.complaints.isEmpty)
            #expect(world.marks.contains(mark), "\(does) of \(seed): \(world.marks)")
            #expect(world.outside.plugins.socketCount == 0)
            let claims = world.ends(of: Self.id).first?.error == ""
            let succeeds = [.pluginAnswered, .pluginUpdated, .pluginRepeatedBytes].contains(mark)
            #expect(claims == succeeds, "\(does): \(world.ends(of: Self.id))")
        }
    }

    @Test("a plugin that goes wrong in every way is started again, and calls do not hang")
    func natures() {
        var marks: Set<PeerMark> = []
        for seed in UInt64(1)...12 {
            var world = OutsideFixture(seed: seed, bad: "1")
            for _ in 0..<6 {
                let before = world.news.count
                world.perform(Self.order("run=3s updates=2 out=100", timeout: "10"))
                world.run(for: .seconds(61))
                let ends = world.news[before...].filter {
                    if case .ended = $0.event { true } else { false }
                }
                #expect(ends.count == 1)
            }
            world.kill()
            #expect(world.complaints.isEmpty, "seed \(seed): \(world.complaints)")
            marks.formUnion(world.marks)
        }
        let natures = PluginNature.allCases.compactMap(\.mark)
        #expect(marks.isSuperset(of: natures + [.pluginRestarted]), "\(marks)")
    }
}
