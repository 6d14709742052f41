// `dkron schedule next`: coming ticks without a server, by the code that decides them in one.

import Adapters
import Core
import Glibc

/// Runs `dkron schedule …`; the arguments are those after `schedule`. The result is the exit
/// status: 0, 1 when the schedule, the zone or a stream is at fault, 2 for wrong usage.
func runScheduleCommand(_ arguments: [String]) -> Int32 {
    do {
        guard let request = try ScheduleRequest(arguments) else {
            Stream.output.write(usage)
            return 0
        }
        var evaluator = ScheduleEvaluator(request: request)
        return request.isBatch ? runBatch(&evaluator) : try runOnce(&evaluator)
    } catch {
        switch error {
        case .usage(let message):
            Stream.error.write("dkron schedule: \(message)\n\n\(usage)")
            return 2
        case .failure(let message):
            Stream.error.write("dkron schedule: \(message)\n")
            return 1
        }
    }
}

private let usage = """
    usage: dkron schedule next '<schedule>' [options]
           dkron schedule next --batch [options]

      --timezone ZONE     the job's zone (default: this host's)
      --from TIME         list ticks after this RFC 3339 time (default: now)
      --count N           how many ticks (default: 5)
      --dst once|literal  what becomes of times that clock changes skip or repeat (default: once)
      --name JOB          the job's name, which decides the values of ~
      --batch             read lines "schedule<TAB>zone<TAB>from" and print each with its ticks in
                          UTC behind it, or with ERROR<TAB>message

    """

private enum ScheduleFailure: Error {
    case usage(String)
    case failure(String)
}

/// What the command line asks for.
private struct ScheduleRequest {
    var schedule: String?
    var timezone = ""
    var from: WallTime
    var count = 5
    var dst = DSTPolicy.once
    var name: JobName?
    var isBatch = false

    /// Nil when help was asked for.
    init?(_ arguments: [String]) throws(ScheduleFailure) {
        from = wallClock()
        var rest = arguments[...]
        guard let verb = rest.popFirst() else { throw .usage("\"next\" is missing") }
        if verb == "--help" || verb == "-h" { return nil }
        guard verb == "next" else { throw .usage("\"\(verb)\" is not known, only \"next\"") }
        var optionsEnded = false
        while let argument = rest.popFirst() {
            if optionsEnded || !argument.hasPrefix("-") {
                guard schedule == nil else {
                    throw .usage("\"\(argument)\" is one argument too many; quote the schedule")
                }
                schedule = argument
            } else if argument == "--" {
                optionsEnded = true
            } else if argument == "--help" || argument == "-h" {
                return nil
            } else {
                try option(argument, &rest)
            }
        }
        if schedule == nil, !isBatch { throw .usage("the schedule is missing") }
        if schedule != nil, isBatch { throw .usage("--batch reads schedules from its input") }
    }

    private mutating func option(
        _ argument: String, _ rest: inout ArraySlice<String>
    ) throws(ScheduleFailure) {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(parts[0])
        if name == "--batch" {
            guard parts.count == 1 else { throw .usage("--batch takes no value") }
            isBatch = true
            return
        }
        guard ["--timezone", "--from", "--count", "--dst", "--name"].contains(name) else {
            throw .usage("\(name) is not an option")
        }
        guard let value = parts.count == 2 ? String(parts[1]) : rest.popFirst() else {
            throw .usage("\(name) needs a value")
        }
        switch name {
        case "--timezone": timezone = value
        case "--from":
            do {
                from = try RFC3339.parse(value)
            } catch {
                throw .usage("--from \"\(value)\": \(error)")
            }
        case "--count":
            guard let number = Int(value), (1...1_000_000).contains(number) else {
                throw .usage("--count \"\(value)\": a whole number from 1 to 1000000 is needed")
            }
            count = number
        case "--dst":
            guard let policy = DSTPolicy(text: value) else {
                throw .usage("--dst \"\(value)\": once or literal is needed")
            }
            dst = policy
        default: self.name = JobName(value)
        }
    }
}

/// Finds ticks; reads each zone file once.
private struct ScheduleEvaluator {
    let request: ScheduleRequest
    private let hostZone = ZoneFiles.hostZone()
    private var zones: [String: ZoneRules] = [ZoneName.utc: .utc]

    init(request: ScheduleRequest) { self.request = request }

    /// The first ticks after an instant and the zone to show them in. `@every` counts from the
    /// instant.
    mutating func ticks(
        _ text: String, timezone: String, from: WallTime
    ) throws(ScheduleFailure) -> (ticks: [WallTime], zone: ZoneRules) {
        let schedule: Schedule
        do {
            schedule = try Schedule.parse(text, jobName: request.name ?? JobName(""))
        } catch {
            throw .failure("\(error)")
        }
        if schedule.usesName, request.name == nil {
            throw .failure("~ depends on the job's name; give it with --name")
        }
        let given = ZoneName.meansDefault(timezone) ? request.timezone : timezone
        let zone = try zone(schedule.zoneName(job: given, clusterDefault: hostZone))
        var ticks: [WallTime] = []
        var time = from
        while ticks.count < request.count,
            let tick = schedule.next(after: time, zone: zone, dst: request.dst, anchor: from)
        {
            ticks.append(tick)
            time = tick
        }
        return (ticks, zone)
    }

    private mutating func zone(_ name: String) throws(ScheduleFailure) -> ZoneRules {
        if let known = zones[name] { return known }
        do {
            try ZoneName.check(name)
            guard let bytes = ZoneFiles.load(name) else {
                throw ZoneError(zone: name, "this host has no such zone (it reads those of tzdata)")
            }
            let rules = try ZoneRules(name: name, bytes: bytes)
            zones[name] = rules
            return rules
        } catch {
            throw .failure("\(error)")
        }
    }
}

private func runOnce(_ evaluator: inout ScheduleEvaluator) throws(ScheduleFailure) -> Int32 {
    let request = evaluator.request
    let (ticks, zone) = try evaluator.ticks(
        request.schedule ?? "", timezone: request.timezone, from: request.from)
    var output: [UInt8] = []
    for tick in ticks {
        RFC3339.append(tick, offset: zone.offset(at: tick.seconds), to: &output)
        output.append(UInt8(ascii: "\n"))
    }
    if ticks.count < request.count {
        let last = ticks.last.map { "after \(RFC3339.print($0))" }
        let when = last ?? "after \(RFC3339.print(request.from))"
        Stream.error.write("dkron schedule: the schedule does not fire \(when)\n")
    }
    return Stream.output.write(output) ? 0 : 1
}

/// Answers line by line; what is answered goes out before more input is waited for.
private func runBatch(_ evaluator: inout ScheduleEvaluator) -> Int32 {
    var pending: [UInt8] = []
    var output: [UInt8] = []
    while true {
        guard let piece = Stream.input.read() else { return 1 }
        var lineStart = 0
        pending += piece
        if piece.isEmpty, !pending.isEmpty { pending.append(UInt8(ascii: "\n")) }
        while let end = pending[lineStart...].firstIndex(of: UInt8(ascii: "\n")) {
            answer(pending[lineStart..<end], &evaluator, to: &output)
            lineStart = end + 1
            if output.count > 65_536 {
                guard Stream.output.write(output) else { return 1 }
                output.removeAll(keepingCapacity: true)
            }
        }
        pending.removeFirst(lineStart)
        guard Stream.output.write(output) else { return 1 }
        output.removeAll(keepingCapacity: true)
        if piece.isEmpty { return 0 }
    }
}

/// Appends the line's first three columns, then its ticks or what is wrong.
private func answer(
    _ line: ArraySlice<UInt8>, _ evaluator: inout ScheduleEvaluator, to output: inout [UInt8]
) {
    let text = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
    let columns = text.split(
        separator: UInt8(ascii: "\t"), maxSplits: 3, omittingEmptySubsequences: false)
    output += columns.prefix(3).joined(separator: [UInt8(ascii: "\t")])
    do {
        guard columns.count >= 3 else {
            throw ScheduleFailure.failure("three columns are needed: schedule, zone, from")
        }
        let cells = columns.prefix(3).map { String(decoding: $0, as: UTF8.self) }
        let from: WallTime
        do {
            from = try RFC3339.parse(cells[2])
        } catch {
            throw ScheduleFailure.failure("from: \(error)")
        }
        for tick in try evaluator.ticks(cells[0], timezone: cells[1], from: from).ticks {
            output.append(UInt8(ascii: "\t"))
            RFC3339.append(tick, to: &output)
        }
    } catch {
        let message =
            switch error as? ScheduleFailure {
            case .failure(let message)?, .usage(let message)?: message
            case nil: "\(error)"
            }
        output += "\tERROR\t".utf8
        output += message.utf8.map { $0 < 0x20 ? UInt8(ascii: " ") : $0 }
    }
    output.append(UInt8(ascii: "\n"))
}

private func wallClock() -> WallTime {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return WallTime(seconds: Int64(time.tv_sec)) + Duration(nanoseconds: Int64(time.tv_nsec))
}

/// A standard stream of the process.
private struct Stream {
    let descriptor: Int32

    static let input = Stream(descriptor: 0)
    static let output = Stream(descriptor: 1)
    static let error = Stream(descriptor: 2)

    /// Some bytes, none at the end; nil when reading fails.
    func read() -> [UInt8]? {
        var failed = false
        let bytes = [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, count in
            var result = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            while result < 0, errno == EINTR {
                result = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            }
            failed = result < 0
            count = max(0, result)
        }
        return failed ? nil : bytes
    }

    @discardableResult
    func write(_ bytes: [UInt8]) -> Bool {
        var written = 0
        while written < bytes.count {
            let result = bytes[written...].withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress, $0.count)
            }
            if result < 0, errno != EINTR { return false }
            written += max(0, result)
        }
        return true
    }

    @discardableResult
    func write(_ text: String) -> Bool { write(Array(text.utf8)) }
}
