// Programs started by the tests: each is waited for, and ended by its own process id.

import Glibc

/// A started program whose output goes to a file.
final class ChildProcess {
    enum Ending: Equatable {
        case exited(Int32)
        case signalled(Int32)
    }

    struct CouldNotStart: Error {
        let program: String
        let reason: String
    }

    let processID: pid_t
    private(set) var ending: Ending?

    /// - Parameter log: takes what the program prints on both outputs, at its end.
    init(_ arguments: [String], log: String, environment: [String: String] = [:]) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)

        let variables = Self.inherited.merging(environment) { $1 }
        var argv = arguments.map { strdup($0) } + [nil]
        var envp = variables.sorted { $0.key < $1.key }.map { strdup("\($0.key)=\($0.value)") }
        envp.append(nil)
        defer { for pointer in argv + envp { free(pointer) } }

        var identifier: pid_t = 0
        let code = posix_spawnp(&identifier, arguments[0], &actions, nil, &argv, &envp)
        guard code == 0 else {
            throw CouldNotStart(program: arguments[0], reason: String(cString: strerror(code)))
        }
        processID = identifier
    }

    /// What a program needs to run at all, and nothing else of the tests' own environment.
    private static var inherited: [String: String] {
        var variables = ["SWIFT_BACKTRACE": "enable=no", "LANG": "C.UTF-8"]
        for name in ["PATH", "HOME", "LD_LIBRARY_PATH", "USER"] {
            if let value = getenv(name) { variables[name] = String(cString: value) }
        }
        return variables
    }

    func signal(_ number: Int32) {
        // Not reaped yet, so the number still names this very process.
        if ending == nil { kill(processID, number) }
    }

    /// How it ended, if it has.
    @discardableResult
    func poll() -> Ending? {
        guard ending == nil else { return ending }
        var status: Int32 = 0
        guard waitpid(processID, &status, WNOHANG) == processID else { return nil }
        let number = status & 0x7f
        ending = number == 0 ? .exited((status >> 8) & 0xff) : .signalled(number)
        return ending
    }

    /// Waits up to `seconds`; nil when it still runs.
    @discardableResult
    func wait(_ seconds: Double) -> Ending? {
        _ = eventually(seconds) { poll() != nil }
        return ending
    }

    /// Ends it without ceremony and waits for that.
    func destroy() {
        signal(SIGKILL)
        wait(10)
    }

    deinit { destroy() }
}

/// Runs a program to its end and gives how it ended and what it printed.
func run(
    _ arguments: [String], in scratch: Scratch, seconds: Double = 20
) throws -> (ending: ChildProcess.Ending?, output: String) {
    let log = scratch.path("output-of-\(scratch.unique())")
    let process = try ChildProcess(arguments, log: log, environment: scratch.mark)
    process.wait(seconds)
    return (process.ending, readText(log))
}

/// Seconds on the monotonic clock.
func uptime() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// Asks again every few milliseconds until the answer is yes or the time is over.
func eventually(_ seconds: Double, _ condition: () throws -> Bool) rethrows -> Bool {
    let deadline = uptime() + seconds
    while true {
        if try condition() { return true }
        if uptime() > deadline { return false }
        usleep(5_000)
    }
}

func pause(_ seconds: Double) { usleep(UInt32(seconds * 1e6)) }

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

func writeText(_ text: String, to path: String) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        guard count > 0 else { return }
        rest = rest.dropFirst(count)
    }
}
