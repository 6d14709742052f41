import Adapters
import Core
import Glibc

/// A real agent of Serf on the loopback interface, which ends with this object.
final class SerfAgent {
    static let isInstalled = paths.contains { access($0 + "/serf", X_OK) == 0 }
    private static let paths =
        getenv("PATH").map { String(cString: $0).split(separator: ":").map(String.init) } ?? []

    let name: String
    let address: GossipAddress
    private let control: String
    private var process: pid_t = 0

    /// - Parameter host: an address of the loopback interface that is this agent's alone.
    init(
        _ name: String, host: String, tags: [MemberTag] = [], key: String? = nil
    ) throws {
        self.name = name
        // A port that is free for both: one that a listener of ours has had a moment ago.
        let loop = try EventLoop()
        let probe = GossipTransport(
            loop: loop, log: LogWriter(level: .error), seal: nil, streamTimeout: .seconds(1))
        address = try probe.listen(on: Endpoint(host: host, port: 0)).gossip!
        probe.close()
        let other = GossipTransport(
            loop: loop, log: LogWriter(level: .error), seal: nil, streamTimeout: .seconds(1))
        control = try other.listen(on: Endpoint(host: host, port: 0)).description
        other.close()
        var arguments = [
            "serf", "agent", "-node=\(name)", "-bind=\(address)", "-rpc-addr=\(control)",
            "-profile=local", "-log-level=err",
        ]
        for tag in tags { arguments += ["-tag", "\(tag.name)=\(tag.value)"] }
        if let key { arguments.append("-encrypt=\(key)") }
        process = Self.spawn(arguments, output: -1)
        let start = Clocks.monotonic()
        while members() == nil, Clocks.monotonic() - start < .seconds(10) { usleep(20_000) }
    }

    deinit {
        guard process > 0 else { return }
        kill(process, SIGKILL)
        waitpid(process, nil, 0)
    }

    /// What `serf members` prints: name, address, status and tags of each; nil if it fails.
    func members() -> [[String]]? {
        run(["members"])?.split(separator: "\n").map {
            $0.split(separator: " ").map(String.init)
        }
    }

    /// The line about one member.
    func member(_ name: String) -> [String]? { members()?.first { $0.first == name } }

    func setTag(_ name: String, _ value: String) -> Bool {
        run(["tags", "-set", "\(name)=\(value)"]) != nil
    }

    /// Starts one of Serf's commands, for those that are not over before the agent has heard from
    /// others.
    func begin(_ command: [String], _ arguments: [String] = []) -> Command {
        Command(["serf", command[0], "-rpc-addr=\(control)"] + command.dropFirst() + arguments)
    }

    private func run(_ command: [String], _ arguments: [String] = []) -> String? {
        let command = begin(command, arguments)
        while !command.isOver { usleep(5_000) }
        return command.succeeded ? command.output : nil
    }

    /// A running command whose output is collected.
    final class Command {
        private(set) var output = ""
        private(set) var succeeded = false
        private var process: pid_t
        private var descriptor: Int32

        init(_ arguments: [String]) {
            var pair: [Int32] = [0, 0]
            // No other child that is started meanwhile shall hold its end open.
            let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
            precondition(socketpair(AF_UNIX, kind, 0, &pair) == 0)
            process = SerfAgent.spawn(arguments, output: pair[1])
            close(pair[1])
            descriptor = pair[0]
            _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        }

        deinit {
            if process > 0 {
                kill(process, SIGKILL)
                waitpid(process, nil, 0)
            }
            close(descriptor)
        }

        var isOver: Bool {
            guard process > 0 else { return true }
            var buffer = [UInt8](repeating: 0, count: 4_096)
            while true {
                let count = read(descriptor, &buffer, buffer.count)
                guard count > 0 else {
                    if count == 0 { break }
                    return false
                }
                output += String(decoding: buffer[..<count], as: UTF8.self)
            }
            var status: Int32 = 0
            guard waitpid(process, &status, WNOHANG) == process else { return false }
            process = 0
            succeeded = status == 0
            return true
        }
    }

    /// - Parameter output: where its standard output goes; -1: nowhere.
    fileprivate static func spawn(_ arguments: [String], output: Int32) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        if output >= 0 { posix_spawn_file_actions_adddup2(&actions, output, 1) }
        var argv = arguments.map { strdup($0) } + [nil]
        defer { for pointer in argv { free(pointer) } }
        var process: pid_t = 0
        let code = posix_spawnp(&process, arguments[0], &actions, nil, &argv, environ)
        return code == 0 ? process : 0
    }
}
