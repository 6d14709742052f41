// Speed, measured and printed; no figure makes this fail. `Benchmarks` runs every group,
// `Benchmarks cron http` those named, `Benchmarks --list` tells what there is.

import Glibc

let isLarge = CommandLine.arguments.contains("--large")
let sizes = [10_000, 100_000] + (isLarge ? [1_000_000] : [])

let groups: [(name: String, about: String, run: () throws -> Void)] = [
    ("cron", "next and previous ticks of schedules", { cronBenchmarks() }),
    ("json", "a job's JSON read and written", { jsonBenchmarks() }),
    ("http", "requests parsed, whole exchanges", { httpBenchmarks() }),
    ("write", "jobs saved durably, beside append and fdatasync", writeBenchmark),
    ("run", "commands end to end, beside posix_spawn and waitpid", runBenchmark),
    ("read", "short answers over 32 connections, beside nginx", readBenchmark),
    ("burst", "10,000 jobs due in the same second, commands and requests", burstBenchmark),
    (
        "size", "memory, restart and patience with 100,000 jobs; --large: 1,000,000",
        { try sizeBenchmark(sizes) }
    ),
]
/// Those that start the server's own binary.
let wholeServer = ["write", "run", "read", "burst", "size"]

let wanted = CommandLine.arguments.dropFirst().filter { $0 != "--large" }
if wanted.contains("--list") {
    for group in groups { print("\(group.name): \(group.about)") }
    exit(0)
}
let unknown = wanted.filter { name in !groups.contains { $0.name == name } }
guard unknown.isEmpty else {
    let known = groups.map(\.name).joined(separator: ", ")
    print("no benchmark is called \(unknown.joined(separator: ", ")); there are: \(known)")
    exit(1)
}
Cleanup.shared.watchSignals()
let chosen = groups.filter { wanted.isEmpty || wanted.contains($0.name) }
if chosen.contains(where: { wholeServer.contains($0.name) }) {
    guard access(Server.binary, X_OK) == 0 else {
        print("there is no server at \(Server.binary): swift build -c release makes it")
        exit(1)
    }
    print("the client and the ceilings share \(sysconf(Int32(_SC_NPROCESSORS_ONLN))) processors")
    print("with the server, and with whatever else runs: compare ratios, not rates")
}
var failures = 0
for group in chosen {
    print("== \(group.name)")
    fflush(nil)
    do {
        try group.run()
    } catch {
        failures += 1
        print("  could not be measured: \(error)")
    }
}
exit(failures == 0 ? 0 : 1)
