package import Core
internal import Glibc

/// The folder that holds everything a node must not forget, locked for this process.
///
/// `lock` is held (flock) for as long as the process lives and names its pid; `format` tells which
/// version wrote the folder and which server it belongs to. Nothing is touched in a folder that is
/// refused.
package final class DataDirectory {
    /// Absolute, without symbolic links.
    package let path: String
    /// Made with the directory and kept for ever: tells this server from every other. Ids are in
    /// the order of the times at which they were made, as the machines' clocks had it: of two nodes
    /// of one name the older keeps it.
    package let id: UInt128
    private let lock: Int32

    /// Opens the directory, making it if it is missing. Waits up to `patience` milliseconds for a
    /// predecessor that is just ending.
    package init(_ given: String, patience: Int32 = 1_000) throws(DataDirectoryError) {
        try Self.make(given)
        path = try Self.resolve(given)
        try Self.refuseForeign(path)
        lock = try Self.takeLock(path, patience: patience)
        do throws(DataDirectoryError) {
            try Self.refuseUnfinished(path)
            if let known = try Self.readFormat(path) {
                id = known
            } else {
                id = try Self.writeFormat(path)
            }
        } catch {
            close(lock)
            throw error
        }
    }

    /// Opens the directory of a server that is stopped; makes nothing.
    /// - Parameter user: who this program runs as. What it writes belongs to that user, so the
    ///   directory must, too: the server could not open it afterwards.
    package convenience init(
        existing given: String, user: UInt32 = geteuid()
    ) throws(DataDirectoryError) {
        let format = given + "/format"
        guard let owner = Self.owner(of: format) else {
            let error = SystemError.last("look at \(format)")
            guard error.code == ENOENT else { throw Self.unusable(given, error) }
            throw DataDirectoryError(
                "there is no server's data here; name its data directory with --data-dir", given)
        }
        guard owner == user else { throw Self.notOwned(given, owner, user) }
        try self.init(given)
    }

    /// Opens a directory for the files of a backup. It must be new or empty. Until `finish` is
    /// called no server takes it for its own.
    /// - Parameter user: who this program runs as. In a directory that was made for another user
    ///   root would leave files which that user's server can't open.
    package init(
        toFill given: String, user: UInt32 = geteuid()
    ) throws(DataDirectoryError) {
        try Self.make(given)
        path = try Self.resolve(given)
        // Others may well write into a directory that was made for them by root.
        if let owner = Self.owner(of: path), owner != user, user == 0 {
            throw Self.notOwned(path, owner, user)
        }
        // What a mounted disk has, and what an attempt before this one may have left.
        let harmless = [".", "..", "lost+found", "lock"]
        guard let names = Self.names(in: path) else {
            throw Self.unusable(path, .last("look into the data directory"))
        }
        if let first = names.sorted().first(where: { !harmless.contains($0) }) {
            throw DataDirectoryError(
                """
                it is not empty, it holds \(first); a recovery needs a new or empty directory: \
                name another one with --data-dir, or move away what is there
                """, path)
        }
        lock = try Self.takeLock(path, patience: 1_000)
        do throws(DataDirectoryError) {
            do {
                try Self.writeDurably([], to: path + "/" + Self.unfinished, in: path)
            } catch {
                throw Self.unusable(path, error)
            }
            id = try Self.writeFormat(path)
        } catch {
            close(lock)
            throw error
        }
    }

    /// The directory has all its files: servers may start on it.
    package func finish() throws(DataDirectoryError) {
        let file = path + "/" + Self.unfinished
        guard unlink(file) == 0 else { throw Self.unusable(path, .last("remove \(file)")) }
        do { try syncDirectory(path) } catch { throw Self.unusable(path, error) }
    }

    deinit { close(lock) }

    /// How full the file system is; nil when it does not say.
    package var space: DiskSpace? {
        var status = statvfs()
        guard fstatvfs(lock, &status) == 0, status.f_frsize > 0 else { return nil }
        let size = UInt64(status.f_frsize)
        return DiskSpace(
            free: UInt64(status.f_bavail) * size, total: UInt64(status.f_blocks) * size)
    }

    // MARK: The owner

    /// For the log of an agent that runs in another user's directory, as only root can. It is not
    /// refused, because an agent is moved to root where jobs want `su`; but it can't be moved back.
    package var notice: LogRecord? {
        guard let owner = Self.owner(of: path + "/format"), owner != geteuid() else { return nil }
        return LogRecord(
            .warning,
            "agent: the data directory belongs to another user, whose agent could not open what "
                + "this one writes there; give it to the user that the agent is to run as: "
                + "chown -R USER DIR",
            [.init("owner", Self.name(of: owner)), .init("user", Self.name(of: geteuid()))])
    }

    /// Nil leaves the reason in `errno`.
    private static func owner(of path: String) -> uid_t? {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_uid : nil
    }

    /// The user's name, or `#` and the number, which sudo understands as well.
    static func name(of user: uid_t) -> String {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 16 << 10) { buffer in
            getpwuid_r(user, &entry, buffer.baseAddress!, buffer.count, &found)
            return found == nil ? "#\(user)" : String(cString: entry.pw_name)
        }
    }

    private static func notOwned(
        _ path: String, _ owner: uid_t, _ user: uid_t
    ) -> DataDirectoryError {
        let (owner, user) = (name(of: owner), name(of: user))
        return DataDirectoryError(
            """
            it belongs to user \(owner), and an agent of that user could not open what \(user) \
            writes there; nothing was touched. Run this as that user: sudo -u '\(owner)' dkron …; \
            or, if the agent runs as \(user), give it the directory first: \
            chown -R '\(user)' \(path)
            """, path)
    }

    // MARK: Recovery

    /// Stands in a directory that is being filled from a backup.
    private static let unfinished = "recovery-unfinished"

    private static func refuseUnfinished(_ path: String) throws(DataDirectoryError) {
        guard access(path + "/" + unfinished, F_OK) == 0 else { return }
        throw DataDirectoryError(
            """
            a recovery into it was broken off, so it holds only a part of the backup; empty it and \
            run 'dkron recover' again
            """, path)
    }

    private static func names(in path: String) -> [String]? {
        guard let folder = opendir(path) else { return nil }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            names.append(
                withUnsafeBytes(of: &entry.pointee.d_name) {
                    String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
                })
        }
        return names
    }

    // MARK: The folder

    private static func make(_ path: String) throws(DataDirectoryError) {
        guard !path.isEmpty else {
            throw DataDirectoryError("its name is empty; give one with --data-dir", path)
        }
        func attempt() -> Int32 { mkdir(path, 0o700) == 0 ? 0 : errno }
        var code = attempt()
        if code == ENOENT, let parent = parent(of: path) {
            try make(parent)
            code = attempt()
        }
        if code == EEXIST { return }
        guard code == 0 else {
            throw unusable(path, SystemError("make the data directory", code: code))
        }
        // The new name must be as durable as what will be acknowledged below it.
        do { try syncDirectory(path + "/..") } catch { throw unusable(path, error) }
    }

    private static func parent(of path: String) -> String? {
        var rest = path[...]
        while rest.last == "/" { rest.removeLast() }
        while let last = rest.last, last != "/" { rest.removeLast() }
        while rest.last == "/" { rest.removeLast() }
        return rest.isEmpty ? nil : String(rest)
    }

    private static func resolve(_ path: String) throws(DataDirectoryError) -> String {
        var status = stat()
        guard stat(path, &status) == 0 else {
            throw unusable(path, .last("look at the data directory"))
        }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw DataDirectoryError(
                "it is not a directory; remove the file, or name another place with --data-dir",
                path)
        }
        guard let resolved = realpath(path, nil) else {
            throw unusable(path, .last("resolve the data directory"))
        }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    private static func refuseForeign(_ path: String) throws(DataDirectoryError) {
        guard access(path + "/format", F_OK) != 0 else { return }
        for name in ["raft/raft.db", "dkron.db"] where access(path + "/" + name, F_OK) == 0 {
            throw DataDirectoryError(
                """
                it holds \(name), the store of Dkron itself, which this program can't read; \
                nothing was touched. To move over: with the old server still running, save \
                its jobs by 'curl http://OLD:8080/v1/jobs > jobs.json'; start this program \
                with a new --data-dir; then \
                'curl -F file=@jobs.json http://NEW:8080/v1/restore'
                """, path)
        }
    }

    // MARK: The lock

    private static func takeLock(
        _ path: String, patience: Int32
    ) throws(DataDirectoryError) -> Int32 {
        let file = path + "/lock"
        let descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw unusable(path, .last("open \(file)")) }
        var waited: Int32 = 0
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            let failure = SystemError.last("lock \(file)")
            guard failure.code == EWOULDBLOCK || failure.code == EINTR else {
                close(descriptor)
                throw unusable(path, failure)
            }
            guard waited < patience else {
                close(descriptor)
                throw inUse(path)
            }
            usleep(20_000)
            waited += 20
        }
        let text = "\(getpid())\n"
        _ = ftruncate(descriptor, 0)
        guard pwrite(descriptor, text, text.utf8.count, 0) == text.utf8.count else {
            let failure = SystemError.last("write \(file)")
            close(descriptor)
            throw unusable(path, failure)
        }
        return descriptor
    }

    private static func inUse(_ path: String) -> DataDirectoryError {
        let content = readFile(path + "/lock", limit: 64) ?? []
        let pid = String(decoding: content.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        let holder = pid.isEmpty ? "another process" : "process \(pid)"
        return DataDirectoryError(
            """
            it is in use by \(holder); stop that one first, or give this node a directory of its \
            own with --data-dir
            """, path)
    }

    // MARK: The format file

    /// The directory's id, or nil if there is no format file.
    private static func readFormat(_ path: String) throws(DataDirectoryError) -> UInt128? {
        let file = path + "/format"
        guard access(file, F_OK) == 0 else {
            if errno == ENOENT { return nil }
            throw unusable(path, .last("read \(file)"))
        }
        guard let bytes = readFile(file, limit: 4_096) else {
            throw unusable(path, .last("read \(file)"))
        }
        var fields: [String: String] = [:]
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let parts = line.split(separator: " ", maxSplits: 1)
            guard parts.count == 2 else { continue }
            fields[String(parts[0])] = String(parts[1])
        }
        guard let version = fields["version"].flatMap({ Int($0) }), version > 0 else {
            throw damaged(path)
        }
        guard version <= formatVersion else {
            throw DataDirectoryError(
                """
                it was written in format version \(version), this program knows versions up to \
                \(formatVersion); run the newer program that wrote it, or restore a backup made \
                before the upgrade into a new --data-dir
                """, path)
        }
        guard let text = fields["id"], text.utf8.count == 32, let id = UInt128(text, radix: 16)
        else { throw damaged(path) }
        return id
    }

    private static func writeFormat(_ path: String) throws(DataDirectoryError) -> UInt128 {
        let id = Self.makeID(at: Clocks.wall())
        let digits = String(id, radix: 16)
        let padding = String(repeating: "0", count: 32 - digits.utf8.count)
        let text = "version \(formatVersion)\nid \(padding)\(digits)\n"
        do {
            try writeDurably(Array(text.utf8), to: path + "/format", in: path)
        } catch {
            throw unusable(path, error)
        }
        return id
    }

    /// 48 bits of milliseconds since 1970, then 80 random ones: as in RFC 9562, section 5.7, but
    /// without the bits that tell the version.
    static func makeID(at time: WallTime) -> UInt128 {
        let milliseconds = UInt64(clamping: time.nanoseconds / 1_000_000) & (1 << 48 - 1)
        return Entropy.bytes(10).reduce(UInt128(milliseconds)) { $0 << 8 | UInt128($1) }
    }

    /// Replaces a file: after a crash it holds the old bytes or the new ones.
    static func writeDurably(
        _ bytes: [UInt8], to file: String, in directory: String
    ) throws(SystemError) {
        let draft = file + ".new"
        let descriptor = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw .last("create \(draft)") }
        defer { close(descriptor) }
        guard write(descriptor, bytes, bytes.count) == bytes.count else {
            throw .last("write \(draft)")
        }
        guard fsync(descriptor) == 0 else { throw .last("sync \(draft)") }
        guard rename(draft, file) == 0 else { throw .last("rename \(draft) to \(file)") }
        try syncDirectory(directory)
    }

    // MARK: Words

    private static func damaged(_ path: String) -> DataDirectoryError {
        DataDirectoryError(
            """
            the file \(path)/format is damaged; it must hold the lines 'version N' and 'id HEX'; \
            put it back from a backup, it is never changed once written
            """, path)
    }

    static func unusable(_ path: String, _ error: SystemError) -> DataDirectoryError {
        let next =
            switch error.code {
            case EROFS: "the disk is mounted read-only: mount it for writing, or use --data-dir"
            case EACCES, EPERM:
                "give the user that runs this program (uid \(geteuid())) the right to write there, "
                    + "or use --data-dir"
            case ENOSPC, EDQUOT: "make room on that disk, or use --data-dir"
            case ENOTDIR: "a part of the path is a file: name another place with --data-dir"
            default: "mend that, or name another place with --data-dir"
            }
        return DataDirectoryError("can't \(error.description); \(next)", path)
    }

    private static let formatVersion = 1
}

/// Why a data directory was refused: what, where and what to do next.
package struct DataDirectoryError: Error, Hashable, Sendable, CustomStringConvertible {
    package var path: String
    package var message: String

    init(_ message: String, _ path: String) {
        self.path = path
        self.message = message
    }

    package var description: String { "data directory \(path): \(message)" }
}
