internal import CSystem
internal import Core
internal import Glibc
internal import Synchronization

/// Where this process ends: descriptors that tell of it, each readable when there is news.
enum PluginLifeline {
    /// An eventfd's, for the handler of signals; -1 before `watchSignals`.
    private static let asked = Atomic<Int32>(-1)

    /// Has SIGTERM and SIGHUP counted by a descriptor. Ctrl-C in the host's terminal is the host's
    /// matter, and a reader that goes away is no reason to die. Handlers, and no masks: what a call
    /// starts must not inherit them.
    static func watchSignals() throws(SystemError) -> Int32 {
        let descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard descriptor >= 0 else { throw .last("make an eventfd") }
        asked.store(descriptor, ordering: .relaxed)
        let wake: @convention(c) (Int32) -> Void = { _ in
            let problem = errno
            eventfd_write(PluginLifeline.asked.load(ordering: .relaxed), 1)
            errno = problem
        }
        for number in [SIGTERM, SIGHUP] { signal(number, wake) }
        for number in [SIGINT, SIGPIPE] { signal(number, { _ in }) }
        return descriptor
    }

    /// Readable once the process that started this one has ended; -1 if that can't be watched.
    static func watchParent() -> Int32 {
        let parent = getppid()
        guard parent > 0 else { return -1 }
        let descriptor = dkron_process_descriptor(parent)
        // It may have ended before it was looked at, and its number be another's.
        guard descriptor >= 0, getppid() == parent else {
            if descriptor >= 0 { close(descriptor) }
            return -1
        }
        return descriptor
    }
}

/// The socket on which a plugin waits for its host, and the words that lead there.
struct PluginDoor {
    let path: String
    /// Listens.
    let descriptor: Int32

    /// Where hosts ask for it, or among temporary files; open to this user alone.
    init() throws(SystemError) {
        let names: [String] = ["PLUGIN_UNIX_SOCKET_DIR", "TMPDIR"]
        let wanted: [String] = names.compactMap { name in getenv(name).map { String(cString: $0) } }
        let folder = wanted.first { !$0.isEmpty && $0.utf8.count <= Self.longestFolder } ?? "/tmp"
        path = "\(folder)/plugin\(Entropy.number())"
        let mask = umask(0o077)
        defer { umask(mask) }
        descriptor = try LocalSocket.listen(at: path)
    }

    /// Says on standard output where it is. From then on what is printed there goes into the pipe
    /// whose other end is returned.
    func announce(_ kind: PluginKind) throws(SystemError) -> Int32 {
        let line = Array(PluginHandshake.line(.local(path), of: kind).utf8)
        var rest = line[...]
        while !rest.isEmpty {
            let count = retryingInterrupted {
                rest.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            }
            guard count > 0 else { throw .last("tell the host where this plugin listens") }
            rest = rest.dropFirst(count)
        }
        // Hosts take the end of the first output for that of the plugin.
        guard fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3) >= 0 else {
            throw .last("keep standard output")
        }
        var ends: [Int32] = [-1, -1]
        guard dkron_pipe(&ends) == 0, dup2(ends[1], STDOUT_FILENO) >= 0 else {
            throw .last("replace standard output")
        }
        close(ends[1])
        dkron_set_nonblocking(ends[0])
        csystem_buffer_output_by_line()
        return ends[0]
    }

    func remove() {
        close(descriptor)
        PluginDirectories.removeSocket(path)
    }

    /// Beside the name it leaves room within the 107 bytes of a socket's path.
    private static let longestFolder = 80
}
