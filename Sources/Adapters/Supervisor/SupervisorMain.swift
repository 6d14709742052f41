internal import CSystem
internal import Core
internal import Glibc

/// The hidden command `dkron supervisor DATA-DIRECTORY`: owns child processes on behalf of an
/// agent, which starts it with one end of a socket pair as descriptor 3.
package enum SupervisorMain {
    /// Serves until nobody needs it; the answer is the exit status. `arguments` are those after
    /// `supervisor`.
    package static func run(_ arguments: [String]) -> Int32 {
        var user: uid_t = 0
        var process: pid_t = 0
        guard arguments.count == 1, dkron_peer(connection, &user, &process) == 0 else {
            complain("dkron supervisor is started by dkron agent and by nobody else")
            return 2
        }
        do {
            return try serve(arguments[0])
        } catch {
            complain("dkron supervisor: \(error)")
            return 1
        }
    }

    private static func serve(_ path: String) throws(SystemError) -> Int32 {
        guard fcntl(connection, F_SETFD, FD_CLOEXEC) == 0, dkron_set_nonblocking(connection) == 0
        else { throw .last("prepare the connection to the agent") }
        _ = csystem_set_process_name("dkron-supervise")
        HostProcess.limitAllocatorArenas()
        let directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw .last("open the data directory \(path)") }
        let log = try SupervisorLog(directory: directory)
        guard try lock(directory) else {
            log.write(.error, "supervisor: another one serves this data directory")
            return 3
        }
        do {
            let server = try SupervisorServer(
                directory: directory, log: log, connection: connection,
                openFiles: dkron_raise_open_files())
            server.run()
            if server.isBound { remove(path, directory) }
            return 0
        } catch {
            log.write(.error, "supervisor: \(error)")
            throw error
        }
    }

    /// At most one supervisor serves a directory. One that is just leaving gets a moment. The lock
    /// ends with this process, however it ends.
    private static func lock(_ directory: Int32) throws(SystemError) -> Bool {
        let descriptor = openat(directory, lockName, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .last("open \(lockName)") }
        for _ in 0..<150 {
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 {
                let text = Array("\(getpid())\n".utf8)
                ftruncate(descriptor, 0)
                pwrite(descriptor, text, text.count, 0)
                return true
            }
            guard errno == EWOULDBLOCK || errno == EINTR else { throw .last("lock \(lockName)") }
            usleep(20_000)
        }
        close(descriptor)
        return false
    }

    /// Removes a directory that held nothing but what a supervisor needs.
    private static func remove(_ path: String, _ directory: Int32) {
        for name in [socketName, lockName] + SupervisorLog.fileNames {
            unlinkat(directory, name, 0)
        }
        rmdir(path)
    }

    private static func complain(_ sentence: String) {
        let line = Array((sentence + "\n").utf8)
        _ = Glibc.write(STDERR_FILENO, line, line.count)
    }

    /// Where the agent puts its end of the socket pair.
    private static let connection: Int32 = 3
    static let socketName = "supervisor.sock"
    static let lockName = "supervisor.lock"
}
