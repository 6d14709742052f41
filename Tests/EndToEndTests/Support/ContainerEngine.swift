import Glibc
import Testing

/// A real engine that speaks Docker's API: podman, with folders and a socket of its own and one
/// small image. Its containers are real, with no network.
final class ContainerEngine {
    static let isInstalled = ["podman", "busybox", "runc"].allSatisfy { program in
        ["/usr/bin", "/bin", "/usr/sbin", "/sbin"].contains {
            access("\($0)/\(program)", X_OK) == 0
        }
    }

    let scratch: Scratch
    let socket: String
    private var service: ChildProcess?

    init(in scratch: Scratch) throws {
        self.scratch = scratch
        socket = scratch.path("engine.sock")
        // What may be set depends on the rights of whoever runs the tests: as little as can be.
        writeText(
            """
            [containers]
            log_driver = "k8s-file"
            default_sysctls = []
            default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
            cgroupns = "host"
            [engine]
            cgroup_manager = "cgroupfs"
            events_logger = "file"
            runtime = "runc"

            """, to: scratch.path("containers.conf"))
        try makeImage()
        try start()
    }

    /// An image `test:1` with a shell and little more.
    private func makeImage() throws {
        let script = """
            set -e; mkdir -p root/bin; cp "$(command -v busybox)" root/bin/busybox
            for name in sh echo sleep cat id pwd env head yes; do
                ln -sf busybox root/bin/$name
            done
            tar -C root -cf root.tar .
            """
        let made = try run(
            ["sh", "-c", "cd \(scratch.folder); \(script)"], in: scratch)
        try #require(made.ending == .exited(0), "\(made.output)")
        _ = try podman("import", scratch.path("root.tar"), "test:1")
    }

    private var command: [String] {
        [
            "podman", "--root", scratch.path("store"), "--runroot", scratch.path("run"),
            "--tmpdir", scratch.path("tmp"), "--storage-driver", "vfs",
        ]
    }
    private var environment: [String: String] {
        [
            "CONTAINERS_CONF": scratch.path("containers.conf"), "HOME": scratch.folder,
            "XDG_RUNTIME_DIR": scratch.folder,
        ]
    }

    func start() throws {
        service = try ChildProcess(
            command + ["system", "service", "--time", "0", "unix://\(socket)"],
            log: scratch.path("podman.log"), environment: environment.merging(scratch.mark) { $1 })
        // The socket is there before somebody listens.
        let isReady = eventually(20) {
            let asked = try? run(
                [
                    "curl", "-sf", "--max-time", "2", "--unix-socket", socket,
                    "http://engine/_ping",
                ], in: scratch)
            return asked?.ending == .exited(0)
        }
        try #require(isReady, "\(readText(scratch.path("podman.log")))")
    }

    func kill() { service?.destroy() }

    /// Asks the engine by its own client.
    func podman(_ arguments: String...) throws -> String {
        let log = scratch.path("podman-\(scratch.unique())")
        let process = try ChildProcess(
            command + arguments, log: log, environment: environment.merging(scratch.mark) { $1 })
        process.wait(60)
        try #require(process.ending == .exited(0), "podman \(arguments): \(readText(log))")
        return readText(log)
    }

    /// All containers, running or not.
    func containers() throws -> [String] {
        try podman("ps", "-a", "--format", "{{.Names}}").split(separator: "\n")
            .map(String.init)
    }

    deinit {
        _ = try? podman("rm", "-a", "-f", "-t", "0")
        kill()
    }
}
