import Testing

@testable import Core

/// Which outcome each due tick gets. Times are seconds after the job's cursor at 1,000,000.
@Suite struct DeciderTests {
    private static let base: Int64 = 1_000_000

    private static func at(_ seconds: Int64) -> WallTime { WallTime(seconds: base + seconds) }

    fileprivate struct Case {
        var document: JobDocument
        var state: JobState
        var cluster = ClusterState()

        init(_ schedule: String, _ change: (inout JobDocument) -> Void = { _ in }) {
            document = JobDocument(name: JobName("a"))
            document.schedule = schedule
            change(&document)
            state = JobState(generation: 1, stamp: at(0))
        }

        func decide(at stamp: Int64, isFinal: Bool = false, targets: Int = 1) -> [String] {
            guard
                case .ready(let plan) = TickPlan.resolve(document, state, cluster, ZoneTable())
            else { return ["idle"] }
            var decider = Decider(
                document: document, state: state, cluster: cluster, plan: plan,
                stamp: DeciderTests.at(stamp), isFinal: isFinal)
            let nodes = (0..<targets).map { NodeName("n\($0)") }
            return (decider.decide { nodes }?.ticks ?? []).map { ticks in
                let from = ticks.from.seconds - base
                let to = ticks.to.seconds - base
                let range = from == to ? "\(from)" : "\(from)-\(to)"
                switch ticks.verdict {
                case .run: return "\(range) run"
                case .skip(let reason): return "\(range) \(reason.text)"
                case .miss(let reason): return "\(range) \(reason.text)"
                }
            }
        }
    }

    @Test func nothingIsDueBeforeTheFirstTick() {
        #expect(Case("@every 10s").decide(at: 9) == [])
    }

    @Test func everyTickOnTimeRuns() {
        #expect(
            Case("@every 2s").decide(at: 9) == ["2 run", "4 run", "6 run", "8 run"])
        #expect(Case("@every 10s").decide(at: 20) == ["10 run", "20 run"])
    }

    @Test func latestRunsTheYoungestLateTick() {
        #expect(
            Case("@every 30s").decide(at: 105)
                == ["30-60 superseded", "90 run"])
        #expect(
            Case("@every 300s").decide(at: 1_500)
                == ["300-600 window", "900 superseded", "1200 run", "1500 run"])
    }

    @Test func ticksOlderThanTheWindowAreMissed() {
        #expect(Case("@every 1000s").decide(at: 1_999) == ["1000 window"])
        #expect(
            Case("@every 1000s") { $0.catchUpWindow = .seconds(2_000) }.decide(at: 1_999)
                == ["1000 run"])
    }

    @Test func allRunsEachTickInsideTheWindow() {
        #expect(
            Case("@every 100s") {
                $0.catchUp = .all
                $0.catchUpWindow = .seconds(350)
            }.decide(at: 650) == ["100-200 window", "300 run", "400 run", "500 run", "600 run"])
    }

    @Test func noneRunsOnlyWhatIsOnTime() {
        #expect(
            Case("@every 5s") { $0.catchUp = .none }.decide(at: 31)
                == ["5-20 policy", "25 run", "30 run"])
    }

    @Test func atMostAThousandLaunchesForOneGap() {
        let rows = Case("@every 1s") {
            $0.catchUp = .all
            $0.catchUpWindow = .hours(1)
        }.decide(at: 3_600)
        // The last eleven are on time: those run, each one.
        #expect(rows.filter { $0.hasSuffix("run") }.count == 1_011)
        #expect(rows.filter { $0.hasSuffix("window") }.count <= 2)
    }

    @Test func ticksOfAPauseAreSkippedTogether() {
        var job = Case("@every 10s")
        job.cluster.pauses = [PauseInterval(from: Self.at(15), to: Self.at(45))]
        #expect(job.decide(at: 55) == ["10 run", "20-40 paused", "50 run"])
        #expect(job.decide(at: 65) == ["10 superseded", "20-40 paused", "50 run", "60 run"])
        #expect(job.decide(at: 16) == ["10 run"])
    }

    @Test func anOpenPauseIsDecidedOnlyByAnEdit() {
        var job = Case("@every 10s")
        job.cluster.pauses = [PauseInterval(from: Self.at(15), to: nil)]
        #expect(job.decide(at: 16) == ["10 run"])
        job.state.cursor = Self.at(10)
        #expect(job.decide(at: 45) == [])
        #expect(job.decide(at: 45, isFinal: true) == ["20-40 paused"])
    }

    @Test func noTargetIsAnOutcome() {
        #expect(Case("@every 10s").decide(at: 10, targets: 0) == ["10 no_target"])
    }

    @Test func underAllAForbidJobsTicksTakeTurns() {
        var job = Case("@every 10s") {
            $0.catchUp = .all
            $0.concurrency = .forbid
            $0.catchUpWindow = .seconds(100)
        }
        #expect(job.decide(at: 35) == ["10 run"])
        job.state.cursor = Self.at(10)
        job.state.activeGroups = 1
        #expect(job.decide(at: 35) == [])
        #expect(job.decide(at: 125) == ["20 window"])
        #expect(job.decide(at: 35, isFinal: true) == ["20 run", "30 run"])
        job.state.activeGroups = 0
        #expect(job.decide(at: 35) == ["20 run"])
    }

    @Test func thereAreNoTicksOutsideTheWindowOfValidity() {
        let job = Case("@every 10s") {
            $0.startsAt = DeciderTests.at(20)
            $0.expiresAt = DeciderTests.at(30)
        }
        #expect(job.decide(at: 35) == ["20 run", "30 run"])
        #expect(job.decide(at: 19) == [])
    }

    @Test func disabledJobsAndChildrenAreNeverDue() {
        #expect(Case("@every 1s") { $0.isDisabled = true }.decide(at: 5) == ["idle"])
        #expect(Case("@every 1s") { $0.parent = JobName("p") }.decide(at: 5) == ["idle"])
        #expect(Case("@manually").decide(at: 5) == ["idle"])
    }

    @Test func guardedForwardStepsAreBelievedAfterAMinute() {
        func now(_ monotonic: Int64, _ wall: Int64) -> Now {
            Now(
                monotonic: Instant(nanoseconds: monotonic * 1_000_000_000),
                wall: WallTime(seconds: wall))
        }
        var time = ClusterTime(at: now(0, 1_000))
        time.observe(now(10, 1_070))
        #expect(!time.isGuarding)
        #expect(time.time(at: now(10, 1_070)) == WallTime(seconds: 1_070))
        time.observe(now(20, 90_000))
        #expect(time.isGuarding)
        #expect(time.time(at: now(30, 90_010)) == WallTime(seconds: 1_090))
        // It goes away again: nothing happened.
        time.observe(now(40, 1_100))
        #expect(!time.isGuarding)
        time.observe(now(50, 90_030))
        time.observe(now(109, 90_089))
        #expect(time.isGuarding)
        time.observe(now(110, 90_090))
        #expect(!time.isGuarding)
        #expect(time.time(at: now(110, 90_090)) == WallTime(seconds: 90_090))
        // Backward steps are believed at once: nothing is decided twice, the cursor sees to that.
        time.observe(now(120, 50))
        #expect(time.time(at: now(120, 50)) == WallTime(seconds: 50))
    }
}

/// Where policies meet.
extension DeciderTests {
    @Test func aWindowShorterThanOnTimeDoesNotMissTicksThatAreOnTime() {
        let job = Case("@every 4s") {
            $0.catchUp = .all
            $0.concurrency = .forbid
            $0.catchUpWindow = .seconds(1)
        }
        #expect(job.decide(at: 11) == ["4 run"])
        #expect(job.decide(at: 25) == ["4-12 window", "16 run"])
    }

    @Test func aStepThatJumpsOnHasNotStood() {
        func now(_ monotonic: Int64, _ wall: Int64) -> Now {
            Now(
                monotonic: Instant(nanoseconds: monotonic * 1_000_000_000),
                wall: WallTime(seconds: wall))
        }
        var time = ClusterTime(at: now(0, 1_000))
        same(time.observe(now(1, 10_001)), true)
        same(time.observe(now(50, 90_050)), false)
        time.observe(now(61, 90_061))
        #expect(time.isGuarding, "the second jump is eleven seconds old")
        time.observe(now(110, 90_110))
        #expect(!time.isGuarding)
    }
}
