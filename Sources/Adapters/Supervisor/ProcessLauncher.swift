// From a `RunSpec` to a child process, and from a failed start to a sentence.

internal import CSystem
internal import Core
internal import Glibc

/// A child whose program runs.
struct LaunchedProcess {
    var identity: ProcessIdentity
    /// When, on two clocks.
    var at: WallTime
    var bootTime: Int64
    /// Read end of standard output and error, in the order in which they arrive.
    var output: Int32
    /// Write end of standard input, or -1 when there is no payload.
    var input: Int32
}

/// Why nothing was started, in words for the person who wrote the job.
struct LaunchRefusal: Error {
    var reason: String
    /// It was taken back before there was a process.
    var isCancelled = false
}

struct ProcessLauncher: Sendable {
    /// What every run inherits, as `NAME=value`.
    var environment: [[UInt8]] = []
    /// The soft limit of open files that programs expect; 0 leaves ours.
    var openFiles: UInt64 = 0
    /// `/dev/null`, for reading: the standard input of runs without a payload.
    var emptyInput: Int32 = -1

    /// Starts the program, and lasts until it runs.
    /// - Parameter state: has the process id before the program can end.
    func launch(
        _ spec: RunSpec, state: UnsafeMutablePointer<dkron_spawn_state>
    ) throws(LaunchRefusal) -> LaunchedProcess {
        try Self.refuseZeroBytes(spec.command)
        guard let program = spec.command.arguments.first, !program.isEmpty else {
            throw LaunchRefusal(reason: "the command is empty")
        }
        let variables = environment(of: spec)
        let candidates = CStringList(candidates(for: program).map { Array($0.utf8) })
        let arguments = CStringList(spec.command.arguments.map { Array($0.utf8) })
        let environment = CStringList(variables)
        let directory = CStringList([Array((spec.command.workingDirectory ?? "").utf8)])
        let userAndGroup = (spec.command.user ?? "").split(
            separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let user = CStringList(userAndGroup.map { Array($0.utf8) })
        defer {
            for list in [candidates, arguments, environment, directory, user] { list.free() }
        }

        var request = dkron_spawn_request()
        request.candidates = candidates.constant
        request.arguments = UnsafePointer(arguments.pointers)
        request.environment = UnsafePointer(environment.pointers)
        if spec.command.workingDirectory != nil { request.directory = directory.constant[0] }
        if spec.command.user != nil {
            request.user = user.constant[0]
            request.group = userAndGroup.count > 1 ? user.constant[1] : nil
        }
        request.connection = -1
        request.open_files = openFiles
        request.die_with_parent = true
        return try launch(&request, spec, state)
    }

    /// Makes the pipes, starts the child and closes its ends of them.
    private func launch(
        _ request: inout dkron_spawn_request, _ spec: RunSpec,
        _ state: UnsafeMutablePointer<dkron_spawn_state>
    ) throws(LaunchRefusal) -> LaunchedProcess {
        let output = try pipe()
        var input: (read: Int32, write: Int32) = (-1, -1)
        defer { for end in [output.write, input.read] where end >= 0 { close(end) } }
        do {
            if !spec.command.payload.isEmpty { input = try pipe() }
        } catch {
            close(output.read)
            throw error
        }
        request.standard_input = input.read < 0 ? emptyInput : input.read
        request.standard_output = output.write
        request.standard_error = output.write
        dkron_set_nonblocking(output.read)
        if input.write >= 0 { dkron_set_nonblocking(input.write) }

        var failure = dkron_spawn_failure()
        let child = dkron_spawn(&request, state, &failure)
        guard child > 0 else {
            for end in [output.read, input.write] where end >= 0 { close(end) }
            throw LaunchRefusal(
                reason: Self.reason(failure, spec.command),
                isCancelled: failure.stage == DKRON_SPAWN_CANCELLED.rawValue)
        }
        return LaunchedProcess(
            identity: ProcessIdentity(of: child), at: Clocks.wall(), bootTime: BootClock.now(),
            output: output.read, input: input.write)
    }

    private func pipe() throws(LaunchRefusal) -> (read: Int32, write: Int32) {
        var ends: [Int32] = [-1, -1]
        guard dkron_pipe(&ends) == 0 else {
            throw LaunchRefusal(reason: "no pipe for the command: \(loweredErrorText(errno))")
        }
        return (ends[0], ends[1])
    }

    // MARK: Environment

    /// The inherited entries, then the run's own, of which the last of a name wins; and last of all
    /// the id, by which the run's processes can be recognised.
    private func environment(of spec: RunSpec) -> [[UInt8]] {
        let mark = EnvironmentEntry(name: executionVariable, value: spec.execution.text)
        var seen: Set<[UInt8]> = []
        var own: [[UInt8]] = []
        for entry in (spec.command.environment + [mark]).reversed() {
            guard seen.insert(Array(entry.name.utf8)).inserted else { continue }
            own.append(Array("\(entry.name)=\(entry.value)".utf8))
        }
        let inherited = environment.filter { !seen.contains(Array(Self.name(of: $0))) }
        return inherited + own.reversed()
    }

    /// What runs may inherit of an agent's own environment: not its options, not the handshake of
    /// plugins, not what the operator hides.
    static func inheritable(
        _ environment: [[UInt8]], hiding hidden: [String]
    ) -> [[UInt8]] {
        let names = Set((hidden + handshakeVariables).map { Array($0.utf8) })
        let prefix = Array("DKRON_".utf8)
        return environment.filter {
            let name = name(of: $0)
            return !name.isEmpty && !name.starts(with: prefix) && !names.contains(Array(name))
        }
    }

    private static func name(of entry: [UInt8]) -> ArraySlice<UInt8> {
        entry.prefix { $0 != UInt8(ascii: "=") }
    }

    private static let handshakeVariables = [
        "PLUGIN_MIN_PORT", "PLUGIN_MAX_PORT", "PLUGIN_PROTOCOL_VERSIONS", "PLUGIN_CLIENT_CERT",
        "PLUGIN_UNIX_SOCKET_DIR", "PLUGIN_UNIX_SOCKET_GROUP", "PLUGIN_MULTIPLEX_GRPC",
    ]

    // MARK: Program

    /// A name with a slash is itself; any other is looked for in the absolute directories of the
    /// node's PATH. Relative ones are passed over: they would mean the job's directory.
    private func candidates(for program: String) -> [String] {
        if program.utf8.contains(UInt8(ascii: "/")) { return [program] }
        let prefix = Array("PATH=".utf8)
        let path = environment.last { $0.starts(with: prefix) }?.dropFirst(prefix.count)
        let directories = String(decoding: path ?? Array("/usr/bin:/bin".utf8)[...], as: UTF8.self)
            .split(separator: ":")
        return directories.filter { $0.utf8.first == UInt8(ascii: "/") }.map { "\($0)/\(program)" }
    }

    private static func refuseZeroBytes(_ command: RunSpec.Command) throws(LaunchRefusal) {
        let variables = command.environment.flatMap { [$0.name, $0.value] }
        let texts =
            command.arguments + variables
            + [command.workingDirectory, command.user].compactMap { $0 }
        guard !texts.contains(where: { $0.utf8.contains(0) }) else {
            throw LaunchRefusal(
                reason: "the command, its environment or its directory holds a zero byte")
        }
    }

    // MARK: Failure

    /// The sentence for what the child reported, in the words that Dkron's users know.
    static func reason(_ failure: dkron_spawn_failure, _ command: RunSpec.Command) -> String {
        let program = command.arguments.first ?? ""
        let text = loweredErrorText(failure.error)
        let parts = (command.user ?? "").split(separator: ":", maxSplits: 1)
        switch dkron_spawn_stage(rawValue: UInt32(bitPattern: failure.stage)) {
        case DKRON_SPAWN_PROCESS:
            return "no process for the command: \(text)"
        case DKRON_SPAWN_UNKNOWN_USER:
            return "su: unknown user \"\(parts.first ?? "")\""
        case DKRON_SPAWN_UNKNOWN_GROUP:
            return "su: unknown group \"\(parts.last ?? "")\""
        case DKRON_SPAWN_CHANGE_USER:
            return "su \(command.user ?? ""): \(text)"
        case DKRON_SPAWN_DIRECTORY:
            return "chdir \(command.workingDirectory ?? ""): \(text)"
        case DKRON_SPAWN_NOT_FOUND where !program.utf8.contains(UInt8(ascii: "/")):
            return "exec: \"\(program)\": executable file not found in $PATH"
        case DKRON_SPAWN_INTERPRETER:
            return "fork/exec \(program): the interpreter that its first line names does not exist"
        case DKRON_SPAWN_EXECUTE, DKRON_SPAWN_NOT_FOUND:
            return "fork/exec \(program): \(text)"
        default:
            return "the command could not be prepared: \(text)"
        }
    }
}

/// The C library's words, without the capital letter that would stand in the middle of a sentence.
func loweredErrorText(_ code: Int32) -> String {
    let text = errorText(code)
    return text.prefix(1).lowercased() + text.dropFirst()
}

/// An array of C strings ended by NULL.
struct CStringList {
    let pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    private let characters: UnsafeMutablePointer<CChar>

    /// The strings must not hold zero bytes.
    init(_ strings: [[UInt8]]) {
        pointers = .allocate(capacity: strings.count + 1)
        characters = .allocate(capacity: strings.reduce(1) { $0 + $1.count + 1 })
        var next = characters
        for (index, string) in strings.enumerated() {
            (pointers + index).initialize(to: next)
            for byte in string {
                next.initialize(to: CChar(bitPattern: byte))
                next += 1
            }
            next.initialize(to: 0)
            next += 1
        }
        (pointers + strings.count).initialize(to: nil)
    }

    var constant: UnsafePointer<UnsafePointer<CChar>?> {
        UnsafeRawPointer(pointers).assumingMemoryBound(to: UnsafePointer<CChar>?.self)
    }

    func free() {
        pointers.deallocate()
        characters.deallocate()
    }
}
