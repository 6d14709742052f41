// Plans as text, their generator, and the shrinker.

import Core
import Testing

@testable import Simulator

@Suite("Plans")
struct PlanTests {
    @Test("what is printed is read back", arguments: UInt64(1)...60)
    func roundTrip(seed: UInt64) throws {
        let plan = PlanGenerator.plan(seed: seed, isCluster: seed % 2 == 0)
        var read = try Plan(parsing: plan.text, name: plan.name)
        read.name = plan.name
        #expect(read == plan)
        #expect(read.text == plan.text)
    }

    @Test("a seed always stands for the same plan")
    func sameSeed() {
        #expect(PlanGenerator.plan(seed: 7) == PlanGenerator.plan(seed: 7))
        #expect(PlanGenerator.plan(seed: 7) != PlanGenerator.plan(seed: 8))
    }

    @Test(
        "mistakes are told with their line",
        arguments: [
            ("plan v1 seed=1\nat soon crash s1 power", 2), ("plan v1\n\non sync crash s1 power", 3),
            ("at 1s note x", 1), ("plan v1 seed=x", 1), ("plan v1\nat 1s crash s1 gently", 2),
            ("plan v1\nat 1s partition {s1} rest for 2s", 2),
            ("plan v1\nat 1s partition {s1} from rest oneway=up for 2s", 2),
            ("plan v1\nat 1s clog s1 to follower#0 for 2s", 2),
            ("plan v1\nat 1s disk s1 melt", 2), ("plan v1\nat 1s clock s0 right", 2),
        ])
    func mistakes(text: String, line: Int) {
        #expect {
            try Plan(parsing: text, name: "x")
        } throws: {
            ($0 as? PlanError)?.line == line
        }
    }

    @Test("durations")
    func durations() {
        for (text, nanoseconds) in [
            ("1.5s", 1_500_000_000), ("0s", 0), ("-3m", -180_000_000_000), ("250us", 250_000),
            ("2d", 172_800_000_000_000),
        ] as [(String, Int64)] {
            #expect(parseDuration(text) == .nanoseconds(nanoseconds))
            #expect(
                parseDuration(durationText(.nanoseconds(nanoseconds))) == .nanoseconds(nanoseconds))
        }
        for text in ["", "5", "s", "1.x s", "9999999999999d"] {
            #expect(parseDuration(text) == nil)
        }
    }

    @Test("the shrinker keeps what the failure needs, and no more")
    func shrinker() throws {
        var plan = PlanGenerator.plan(seed: 3)
        let crash = Plan.Item(
            when: .at(.milliseconds(1_234)),
            action: .crash(.server(0), .power, tear: .subset, restartAfter: .seconds(1)))
        plan.items.insert(crash, at: plan.items.count / 2)
        // Fails when a power cut and at least one toggle are there.
        func run(_ plan: Plan) -> (id: String, time: TrueTime)? {
            let hasCrash = plan.items.contains {
                if case .crash(_, .power, _, _) = $0.action { true } else { false }
            }
            return hasCrash && plan.items.count >= 2 ? ("X2", .hours(100)) : nil
        }
        var shrinker = try #require(Shrinker(plan, run: run, mayGoOn: { true }))
        let small = shrinker.shrink()
        #expect(small.items.count == 2)
        #expect(run(small) != nil)
    }

    @Test("options")
    func options() throws {
        let options = try Options(["--seeds", "3..9", "--jobs", "2", "--twice"])
        #expect(options.mode == .seeds(3...9))
        #expect(options.jobs == 2 && options.twice)
        for wrong in [["--seeds", "9..3"], ["--seed"], ["--seed", "x"], ["--nonsense"]] {
            #expect(throws: Options.Problem.self) { try Options(wrong) }
        }
    }
}
