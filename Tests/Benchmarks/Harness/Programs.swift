// Programs that a benchmark starts and measures from outside.

import Glibc

/// A started program whose output goes to a file.
final class Program {
    let processID: pid_t
    private var hasEnded = false

    init(_ arguments: [String], log: String) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        // Signals that are blocked or ignored here would stay so there.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        sigaddset(&none, SIGPIPE)
        posix_spawnattr_setsigdefault(&attributes, &none)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var argv = arguments.map { strdup($0) } + [nil]
        defer { for pointer in argv { free(pointer) } }
        var identifier: pid_t = 0
        let code = posix_spawnp(&identifier, arguments[0], &actions, &attributes, &argv, environ)
        guard code == 0 else {
            throw Failure("can't start \(arguments[0]): \(String(cString: strerror(code)))")
        }
        processID = identifier
        Cleanup.shared.add(process: processID)
    }

    var isRunning: Bool {
        if !hasEnded, waitpid(processID, nil, WNOHANG) == processID {
            hasEnded = true
            Cleanup.shared.remove(process: processID)
        }
        return !hasEnded
    }

    func signal(_ number: Int32) { if isRunning { kill(processID, number) } }

    /// Asks it to end, then again, then makes it; its children end with it.
    func end() {
        let children = isRunning ? children(of: processID) : []
        for number in [SIGTERM, SIGTERM, SIGKILL] where isRunning {
            kill(processID, number)
            _ = eventually(5) { !isRunning }
        }
        // What only ends a moment later than its parent is left to do so.
        for child in children where !eventually(2, { isOver(child) }) { kill(child, SIGKILL) }
    }

    deinit { end() }

    /// Resident bytes, now; 0 when it has ended.
    var residentBytes: Int { memory("VmRSS:") }
    /// The most resident bytes that it ever had.
    var peakResidentBytes: Int { memory("VmHWM:") }

    private func memory(_ field: String) -> Int {
        for line in readText("/proc/\(processID)/status").split(separator: "\n")
        where line.hasPrefix(field) {
            return (Int(line.split(separator: " ").dropLast().last ?? "") ?? 0) << 10
        }
        return 0
    }

    /// Processor seconds that its threads used so far.
    var processorSeconds: Double { Benchmarks.processorSeconds(of: processID) }

    /// The same with those of its children that still run.
    var processorSecondsWithChildren: Double {
        children(of: processID).reduce(processorSeconds) {
            $0 + Benchmarks.processorSeconds(of: $1)
        }
    }

    /// Those of what its children started and have waited for.
    var processorSecondsOfGrandchildren: Double {
        children(of: processID).reduce(0) { total, child in
            let fields = statusFields(child)
            guard fields.count > 14, let user = Double(fields[13]), let system = Double(fields[14])
            else { return total }
            return total + (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
        }
    }
}

private func processorSeconds(of process: pid_t) -> Double {
    names(in: "/proc/\(process)/task").reduce(0) { total, thread in
        let text = readText("/proc/\(process)/task/\(thread)/schedstat")
        return total + (Double(text.prefix { $0 != " " }) ?? 0) / 1e9
    }
}

/// Whether it is gone, or only waits for its end to be noticed.
private func isOver(_ process: pid_t) -> Bool {
    statusFields(process).first.map { $0 == "Z" } ?? true
}

/// The fields of `/proc/PID/stat` after the name; none when there is no such process.
private func statusFields(_ process: pid_t) -> [Substring] {
    let text = readText("/proc/\(process)/stat")
    guard let end = text.lastIndex(of: ")") else { return [] }
    return text[end...].dropFirst(2).split(separator: " ")
}

func children(of parent: pid_t) -> [pid_t] {
    names(in: "/proc").compactMap { pid_t($0) }.filter {
        let fields = statusFields($0)
        return fields.count > 1 && fields[1] == "\(parent)"
    }
}

/// The text of a file; empty when there is none.
func readText(_ path: String) -> String {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = read(descriptor, &buffer, buffer.count)
        guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
        bytes.append(contentsOf: buffer[..<count])
    }
}

/// Nanoseconds of the monotonic clock.
func monotonic() -> Int64 { nanoseconds(CLOCK_MONOTONIC) }

/// Nanoseconds since 1970.
func wall() -> Int64 { nanoseconds(CLOCK_REALTIME) }

private func nanoseconds(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

func seconds(since start: Int64) -> Double { Double(monotonic() - start) / 1e9 }

func sleep(seconds: Double) { if seconds > 0 { usleep(UInt32(seconds * 1e6)) } }

/// Asks again every two milliseconds until the answer is yes or the time is over.
func eventually(_ limit: Double, _ condition: () throws -> Bool) rethrows -> Bool {
    let start = monotonic()
    while true {
        if try condition() { return true }
        if seconds(since: start) > limit { return false }
        usleep(2_000)
    }
}
