// Speed, measured and printed; nothing here passes or fails. `Benchmarks` runs every group,
// `Benchmarks cron http` those named.

import Glibc

let groups: [(name: String, run: () -> Void)] = [
    ("cron", { cronBenchmarks() }),
    ("json", { jsonBenchmarks() }),
    ("http", { httpBenchmarks() }),
]

let wanted = CommandLine.arguments.dropFirst()
let unknown = wanted.filter { name in !groups.contains { $0.name == name } }
guard unknown.isEmpty else {
    let known = groups.map(\.name).joined(separator: ", ")
    print("no benchmark is called \(unknown.joined(separator: ", ")); there are: \(known)")
    exit(1)
}
for group in groups where wanted.isEmpty || wanted.contains(group.name) {
    print("== \(group.name)")
    group.run()
}
