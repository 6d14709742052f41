internal import Core
internal import Glibc
internal import Synchronization

/// The processors that write where a disk, a mount or a name server can take its time: `files`, and
/// `syslog` over datagrams. Called on threads.
final class FileProcessor: Sendable {
    /// When a directory may be looked through again. A look is worth at most a twentieth of the
    /// time, however many files there are.
    private let nextLooks = Mutex<[String: Instant]>([:])

    func carryOut(_ run: ProcessorRun, at time: WallTime) -> ProcessorOutcome {
        do throws(SystemError) {
            switch run.task.work {
            case .files(let task): try write(run, task, at: time)
            case .syslog(let task):
                switch task.target {
                case .local(let path): try sendLocally(run, task, path, at: time)
                case .datagram(let host, let port):
                    if let reason = try sendDatagrams(run, task, host, port, at: time) {
                        return .failed(reason)
                    }
                case .stream: break
                }
            case .log, .email, .webhook, .plugin: break
            }
        } catch {
            return .failed(error.description)
        }
        return .done(output: nil)
    }

    // MARK: files

    private func write(
        _ run: ProcessorRun, _ task: FilesTask, at time: WallTime
    ) throws(SystemError) {
        try Self.makeDirectory(task.directory)
        let path = task.path(of: run.execution.id)
        // A name of its own until it is whole: who reads the directory sees whole outputs only. A
        // link that somebody put there is replaced and not followed.
        let temporary = "\(path).\(run.id).part"
        unlink(temporary)
        let descriptor = open(
            temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o644)
        guard descriptor >= 0 else { throw .last("make \(temporary)") }
        do throws(SystemError) {
            defer { close(descriptor) }
            try Self.writeAll(run.output, to: descriptor, temporary)
            guard rename(temporary, path) == 0 else { throw .last("rename \(temporary)") }
        } catch {
            unlink(temporary)
            throw error
        }
        removeOldest(task, keeping: run.execution.id, at: time)
    }

    private static func writeAll(
        _ bytes: [UInt8], to descriptor: Int32, _ path: String
    ) throws(SystemError) {
        var sent = 0
        while sent < bytes.count {
            let count = retryingInterrupted {
                bytes.withUnsafeBytes {
                    Glibc.write(descriptor, $0.baseAddress! + sent, bytes.count - sent)
                }
            }
            guard count >= 0 else { throw .last("write to \(path)") }
            sent += count
        }
    }

    /// Makes a directory and those above it.
    private static func makeDirectory(_ path: String) throws(SystemError) {
        if mkdir(path, 0o755) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash > path.startIndex else {
            throw .last("make the directory \(path)")
        }
        try makeDirectory(String(path[..<slash]))
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else {
            throw .last("make the directory \(path)")
        }
    }

    private struct Kept {
        var number: Int64
        var name: String
        var size: UInt64
        var age: Duration
    }

    /// Removes what is too old, and of the rest the oldest while there are too many or too large.
    /// Only files that have names as this processor gives them.
    private func removeOldest(_ task: FilesTask, keeping own: ExecutionID, at time: WallTime) {
        guard task.mostFiles != nil || task.mostAge != nil || task.mostBytes != nil else { return }
        let start = Clocks.monotonic()
        let isDue = nextLooks.withLock { looks in
            if let next = looks[task.directory], start < next { return false }
            if looks.count > 1_000 { looks.removeAll() }
            looks[task.directory] = start + .seconds(60)
            return true
        }
        guard isDue else { return }
        var files = Self.files(in: task.directory, at: time)
        files.sort { $0.number > $1.number }
        let ownName = FilesTask.fileName(of: own)
        var bytes: UInt64 = 0
        for (position, file) in files.enumerated() {
            bytes += file.size
            let isTooMuch =
                position >= task.mostFiles ?? .max || bytes > task.mostBytes ?? .max
                || file.age > task.mostAge ?? .max
            if isTooMuch, file.name != ownName { unlink("\(task.directory)/\(file.name)") }
        }
        let took = Clocks.monotonic() - start
        nextLooks.withLock { looks in
            looks[task.directory] = start + Duration.nanoseconds(took.nanoseconds * 20)
        }
    }

    private static func files(in directory: String, at time: WallTime) -> [Kept] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var files: [Kept] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard let number = FilesTask.number(ofFile: name) else { continue }
            var status = stat()
            guard fstatat(dirfd(stream), name, &status, AT_SYMLINK_NOFOLLOW) == 0,
                status.st_mode & S_IFMT == S_IFREG
            else { continue }
            let written = WallTime(seconds: Int64(status.st_mtim.tv_sec))
            files.append(
                Kept(
                    number: number, name: name, size: UInt64(clamping: status.st_size),
                    age: time - written))
        }
        return files
    }

    // MARK: syslog

    private func sendLocally(
        _ run: ProcessorRun, _ task: SyslogTask, _ path: String, at time: WallTime
    ) throws(SystemError) {
        let descriptor = socket(
            AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw .last("make a socket") }
        defer { close(descriptor) }
        Self.limitWaiting(descriptor, run.task.timeout)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard connected == 0 else { throw .last("connect to \(path)") }
        for piece in SyslogTask.pieces(run.output) {
            let message = task.localMessage(piece, at: time)
            try Self.send(message, to: descriptor, path)
        }
    }

    /// - Returns: why nothing could be sent, if no call has failed.
    private func sendDatagrams(
        _ run: ProcessorRun, _ task: SyslogTask, _ host: String, _ port: UInt16, at time: WallTime
    ) throws(SystemError) -> String? {
        let target: SocketAddress
        do throws(AddressError) {
            let found = try SocketAddress.resolve(Endpoint(host: host, port: port))
            guard let first = found.first else { return "\(host) has no address" }
            target = first
        } catch {
            return "can't find the address of \(host): \(error.reason)"
        }
        let descriptor = socket(
            target.family, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw .last("make a socket") }
        defer { close(descriptor) }
        Self.limitWaiting(descriptor, run.task.timeout)
        guard target.withSocketAddress({ connect(descriptor, $0, $1) }) == 0 else {
            throw .last("connect to \(target.description)")
        }
        for piece in SyslogTask.pieces(run.output) {
            let message = task.message(piece, of: run.execution, at: time)
            try Self.send(message, to: descriptor, target.description)
        }
        return nil
    }

    private static func send(
        _ message: [UInt8], to descriptor: Int32, _ place: String
    ) throws(SystemError) {
        let count = retryingInterrupted {
            message.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
        }
        guard count == message.count else { throw .last("send to \(place)") }
    }

    /// A log that nobody reads does not hold a thread for longer than anybody waits.
    private static func limitWaiting(_ descriptor: Int32, _ time: Duration) {
        var limit = timeval(tv_sec: Int(time.wholeSeconds), tv_usec: 0)
        if limit.tv_sec == 0 { limit.tv_sec = 1 }
        setsockopt(
            descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }
}
