// The simulator as a program: the only file of this target that touches the machine it runs on.

import Core
import Glibc

func say(_ text: String, to descriptor: Int32 = 1) {
    var bytes = Array((text + "\n").utf8)[...]
    while !bytes.isEmpty {
        let written = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        guard written > 0 else { return }
        bytes = bytes.dropFirst(written)
    }
}

func contents(of path: String) -> String? {
    let descriptor = open(path, O_RDONLY)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = read(descriptor, &chunk, chunk.count)
        guard count > 0 else { break }
        bytes += chunk[..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
}

func monotonicSeconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec)
}

/// Runs one plan with everything that was asked to be shown.
func runOne(_ plan: Plan, _ options: Options) -> Int32 {
    // A trap in the core kills this process: what was running must be known already.
    say("running \(plan.name)", to: 2)
    let runOptions = RunOptions(
        keepsCheckpoints: options.hashes, lines: options.trace ? options.lines : 0,
        samplesReplay: options.replay || plan.seed % 16 == 0)
    let result = Running.run(plan, runOptions, canary: options.canary)
    for line in result.lines.suffix(options.lines) { say(line) }
    for (index, hash) in result.checkpoints.enumerated() {
        say("\((index + 1) * 1_000) \(String(hash, radix: 16))")
    }
    say(result.line)
    if options.stats {
        var tally = Tally()
        _ = tally.take(result.record, from: 0)
        say(tally.summary(seconds: 0))
        say("peers and plugins: \(tally.reachedPeerMarks.joined(separator: " "))")
    }
    guard result.violation != nil else { return 0 }
    if options.shrink { shrink(plan, options) }
    return 1
}

func shrink(_ plan: Plan, _ options: Options) {
    let end = monotonicSeconds() + 120
    guard
        var shrinker = Shrinker(
            plan,
            run: { candidate in
                Running.run(candidate, RunOptions(), canary: options.canary).violation.map {
                    ($0.id.rawValue, $0.time)
                }
            }, mayGoOn: { monotonicSeconds() < end })
    else { return say("does not fail when run again", to: 2) }
    let small = shrinker.shrink()
    say("shrunk from \(plan.items.count) to \(small.items.count) items", to: 2)
    say(small.text)
}

/// Runs some seeds in this process, telling the parent of each.
func runSlice(_ seeds: ClosedRange<UInt64>, _ options: Options) -> Int32 {
    for seed in seeds {
        say("B \(seed)")
        let plan = PlanGenerator.plan(
            seed: seed, isCluster: options.cluster, nodes: options.nodes)
        let runOptions = RunOptions(samplesReplay: options.replay || seed % 16 == 0)
        say(Running.run(plan, runOptions, canary: options.canary).record)
    }
    return 0
}

// MARK: Sweeps

/// One child process and what it has said so far.
struct Child {
    var process: pid_t
    var output: Int32
    var buffered: [UInt8] = []
    var seeds: ClosedRange<UInt64>
}

func spawnSlice(_ seeds: ClosedRange<UInt64>, _ options: Options) -> Child? {
    // Outputs and files come and go by the megabyte; giving their pages back to the system each
    // time costs more than the work on them.
    setenv("MALLOC_MMAP_THRESHOLD_", "33554432", 0)
    setenv("MALLOC_TRIM_THRESHOLD_", "1000000000", 0)
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else { return nil }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
    posix_spawn_file_actions_addclose(&actions, ends[0])
    posix_spawn_file_actions_addclose(&actions, ends[1])
    var words = ["Simulator", "--seeds", "\(seeds.lowerBound)..\(seeds.upperBound)", "--slice"]
    if options.canary { words.append("--canary") }
    if options.cluster { words.append("--cluster") }
    if let nodes = options.nodes { words += ["--nodes", "\(nodes)"] }
    if options.replay { words.append("--replay") }
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
    arguments.append(nil)
    defer { for argument in arguments { free(argument) } }
    var process: pid_t = 0
    let status = posix_spawn(&process, "/proc/self/exe", &actions, nil, arguments, environ)
    close(ends[1])
    guard status == 0 else {
        close(ends[0])
        return nil
    }
    return Child(process: process, output: ends[0], seeds: seeds)
}

/// Runs all seeds in child processes; a child that traps is replaced by one for the seeds after.
func sweep(_ seeds: ClosedRange<UInt64>, _ options: Options) -> Tally {
    var tally = Tally()
    var slices = slices(of: seeds, options)
    var children: [Int: Child] = [:]
    var nextChild = 0
    while !slices.isEmpty || !children.isEmpty {
        while children.count < max(1, options.jobs), let slice = slices.popLast() {
            guard let child = spawnSlice(slice, options) else { exit(2) }
            children[nextChild] = child
            nextChild += 1
        }
        if tally.hasFailed(options.until) {
            for child in children.values { end(child) }
            return tally
        }
        for key in children.keys.sorted() {
            if pump(&children[key]!, key, &tally) { continue }
            let child = children.removeValue(forKey: key)!
            var status: Int32 = 0
            waitpid(child.process, &status, 0)
            close(child.output)
            guard let seed = tally.begun[key] else { continue }
            tally.begun[key] = nil
            let line = "FAIL trap: seed \(seed) ended with status \(status & 0x7f)"
            tally.failures.append(line)
            say(line)
            if seed < child.seeds.upperBound {
                slices.append(seed + 1...child.seeds.upperBound)
            }
        }
    }
    return tally
}

func end(_ child: Child) {
    kill(child.process, SIGKILL)
    var status: Int32 = 0
    waitpid(child.process, &status, 0)
    close(child.output)
}

func slices(of seeds: ClosedRange<UInt64>, _ options: Options) -> [ClosedRange<UInt64>] {
    let count = seeds.upperBound - seeds.lowerBound + 1
    let size = max(1, min(50, count / UInt64(max(1, options.jobs))))
    var slices: [ClosedRange<UInt64>] = []
    var start = seeds.lowerBound
    while start <= seeds.upperBound {
        let end = min(seeds.upperBound, start + size - 1)
        slices.append(start...end)
        if end == .max { break }
        start = end + 1
    }
    return slices.reversed()
}

/// Reads what a child says, waiting a little. False at the end of its output.
func pump(_ child: inout Child, _ key: Int, _ tally: inout Tally) -> Bool {
    var descriptor = pollfd(fd: child.output, events: Int16(POLLIN), revents: 0)
    guard poll(&descriptor, 1, 50) != 0 else { return true }
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    let count = read(child.output, &chunk, chunk.count)
    guard count > 0 else { return false }
    child.buffered += chunk[..<count]
    while let end = child.buffered.firstIndex(of: 0x0a) {
        let line = String(decoding: child.buffered[..<end], as: UTF8.self)
        child.buffered.removeSubrange(...end)
        if let failure = tally.take(line, from: key) { say(failure) }
    }
    return true
}

func runSweep(_ seeds: ClosedRange<UInt64>, _ options: Options) -> Int32 {
    say("sweeping seeds \(seeds.lowerBound)..\(seeds.upperBound)", to: 2)
    let start = monotonicSeconds()
    var tally = sweep(seeds, options)
    if options.twice {
        let second = sweep(seeds, options)
        for (seed, hash) in tally.hashes.sorted(by: { $0.key < $1.key })
        where second.hashes[seed] != hash {
            let line = "FAIL T1: seed \(seed) gives two traces in two processes"
            tally.failures.append(line)
            say(line)
        }
    }
    say(tally.summary(seconds: monotonicSeconds() - start))
    say("peers and plugins: \(tally.reachedPeerMarks.joined(separator: " "))")
    let missing = tally.missingMarks
    if !missing.isEmpty { say("marks never reached: \(missing.joined(separator: " "))") }
    if tally.excused * 100 > tally.runs {
        say("FAIL: more than one run in a hundred was not judged")
        return 1
    }
    if options.requireMarks, !missing.isEmpty { return 1 }
    return tally.failures.isEmpty ? 0 : 1
}

/// Runs the consensus alone on each seed.
func runRaft(_ seeds: ClosedRange<UInt64>, _ options: Options) -> Int32 {
    say("sweeping seeds \(seeds.lowerBound)..\(seeds.upperBound) of the consensus alone", to: 2)
    var totals = (runs: 0, steps: 0, elections: 0, reads: 0, committed: 0, snapshots: 0)
    var failures = 0
    for seed in seeds {
        let run = RaftRun(seed: seed)
        totals.runs += 1
        totals.steps += run.steps
        totals.elections += run.elections
        totals.reads += run.readsAnswered
        totals.committed += run.committed
        totals.snapshots += run.snapshots
        guard let violation = run.violation else { continue }
        say(run.line)
        failures += 1
        if options.untilFailure || options.until.contains(violation.id.rawValue) { break }
    }
    say(
        "\(totals.runs) runs, \(failures) failed; \(totals.steps) steps, "
            + "\(totals.elections) elections, \(totals.committed) entries committed, "
            + "\(totals.reads) reads, \(totals.snapshots) snapshots installed")
    return failures == 0 ? 0 : 1
}

func main() -> Int32 {
    let options: Options
    do throws(Options.Problem) {
        options = try Options(Array(CommandLine.arguments.dropFirst()))
    } catch {
        say("Simulator: \(error.message)\n\n\(Options.usage)", to: 2)
        return 2
    }
    switch options.mode {
    case .help:
        say(Options.usage)
        return 0
    case .seed(let seed):
        let plan = PlanGenerator.plan(
            seed: seed, isCluster: options.cluster, nodes: options.nodes)
        if options.printPlan {
            say(plan.text)
            return 0
        }
        return runOne(plan, options)
    case .plan(let path):
        guard let text = contents(of: path) else {
            say("Simulator: can't read \(path)", to: 2)
            return 2
        }
        do throws(PlanError) {
            return runOne(try Plan(parsing: text, name: path), options)
        } catch {
            say("Simulator: \(path), \(error)", to: 2)
            return 2
        }
    case .seeds(let seeds):
        if options.raft { return runRaft(seeds, options) }
        if options.isSlice { return runSlice(seeds, options) }
        guard options.untilFailure else { return runSweep(seeds, options) }
        var range = seeds
        while true {
            let status = runSweep(range, options)
            if status != 0 { return status }
            let count = range.upperBound - range.lowerBound + 1
            range = range.upperBound + 1...range.upperBound + count
        }
    }
}

exit(main())
