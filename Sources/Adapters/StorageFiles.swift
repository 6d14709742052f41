internal import Core
internal import Glibc

/// Performs storage operations on one directory, one after another, on whatever thread calls.
///
/// Keeps the descriptors of the files used last, because most operations go to one or two of them.
/// Appends check the real length each time: what the core believes of a file and what the file is
/// must never drift apart.
final class StorageFiles {
    private let directory: StorageDirectory
    private let path: String
    private var directoryDescriptor: Int32 = -1
    /// Open files, the one used last at the end.
    private var open: [(name: String, descriptor: Int32)] = []

    init(_ directory: StorageDirectory, path: String) {
        self.directory = directory
        self.path = path
    }

    deinit {
        for file in open { close(file.descriptor) }
        if directoryDescriptor >= 0 { close(directoryDescriptor) }
    }

    func perform(_ operation: StorageOperation) -> StorageResult {
        do {
            switch operation {
            case .create(let file): return try create(file)
            case .append(let file, let offset, let bytes):
                return try append(file, offset: offset, bytes)
            case .truncate(let file, let length): return try truncate(file, length: length)
            case .sync(let file): return try sync(file)
            case .rename(let file, let to): return try rename(file, to: to)
            case .remove(let file): return try remove(file)
            case .syncDirectory: return try syncNames()
            case .list: return .listing(try list())
            case .read(let file, let offset, let length):
                return .bytes(try read(file, offset: offset, length: length))
            }
        } catch let failure {
            return .failed(failure)
        }
    }

    // MARK: Operations

    private func create(_ file: FileName) throws(StorageFailure) -> StorageResult {
        let folder = try directoryHandle()
        let flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW
        let descriptor = retryingInterrupted { openat(folder, checked(file), flags, 0o600) }
        guard descriptor >= 0 else { throw failure("create", file) }
        remember(file, descriptor)
        return .done
    }

    private func append(
        _ file: FileName, offset: UInt64, _ bytes: [UInt8]
    ) throws(StorageFailure) -> StorageResult {
        let descriptor = try handle(of: file, "append to")
        let length = try self.length(of: file, descriptor)
        guard length == offset else {
            let words = "append to \(describe(file)): its length is \(length), not \(offset);"
            throw StorageFailure(.inputOutput, words + " something else has changed the file")
        }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                retryingInterrupted {
                    pwrite(
                        descriptor, buffer.baseAddress.map { $0 + written }, bytes.count - written,
                        off_t(offset) + written)
                }
            }
            if count < 0 {
                let failure = failure("append to", file)
                // An append is whole or has not been: without the cut the next one would find
                // another length than the core knows of.
                _ = retryingInterrupted { ftruncate(descriptor, off_t(offset)) }
                throw failure
            }
            written += count
        }
        return .done
    }

    private func truncate(
        _ file: FileName, length: UInt64
    ) throws(StorageFailure) -> StorageResult {
        let descriptor = try handle(of: file, "cut")
        guard let size = off_t(exactly: length),
            retryingInterrupted({ ftruncate(descriptor, size) }) == 0
        else { throw failure("cut", file) }
        return .done
    }

    private func sync(_ file: FileName) throws(StorageFailure) -> StorageResult {
        let descriptor = try handle(of: file, "sync")
        guard retryingInterrupted({ fdatasync(descriptor) }) == 0 else {
            throw failure("sync", file)
        }
        return .done
    }

    private func rename(_ file: FileName, to target: FileName) throws(StorageFailure)
        -> StorageResult
    {
        invariant(file.directory == target.directory, "a rename stays in its directory")
        let folder = try directoryHandle()
        guard renameat(folder, checked(file), folder, checked(target)) == 0 else {
            throw failure("rename to \(target.name):", file)
        }
        forget(target)
        if let index = open.firstIndex(where: { $0.name == file.name }) {
            open[index].name = target.name
        }
        return .done
    }

    private func remove(_ file: FileName) throws(StorageFailure) -> StorageResult {
        let folder = try directoryHandle()
        guard unlinkat(folder, checked(file), 0) == 0 else { throw failure("remove", file) }
        forget(file)
        return .done
    }

    private func syncNames() throws(StorageFailure) -> StorageResult {
        let folder = try directoryHandle()
        guard retryingInterrupted({ fsync(folder) }) == 0 else {
            throw StorageFailure(errno, "sync directory \(path)")
        }
        return .done
    }

    private func list() throws(StorageFailure) -> [FileEntry] {
        let folder = try directoryHandle()
        // A stream of its own: `closedir` closes its descriptor, and a shared one would share the
        // position in the directory.
        let descriptor = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0, let stream = fdopendir(descriptor) else {
            throw StorageFailure(errno, "list \(path)")
        }
        defer { closedir(stream) }
        var entries: [FileEntry] = []
        errno = 0
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            var status = stat()
            if fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 {
                if status.st_mode & S_IFMT == S_IFREG {
                    entries.append(FileEntry(name: name, length: UInt64(status.st_size)))
                }
            } else if errno != ENOENT {
                throw StorageFailure(errno, "look at \(path)/\(name)")
            }
            errno = 0
        }
        guard errno == 0 else { throw StorageFailure(errno, "list \(path)") }
        entries.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        return entries
    }

    private func read(
        _ file: FileName, offset: UInt64, length: Int
    ) throws(StorageFailure) -> [UInt8] {
        let descriptor = try handle(of: file, "read")
        let size = try self.length(of: file, descriptor)
        guard offset < size, length > 0 else { return [] }
        let wanted = Int(min(UInt64(length), size - offset))
        var code: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: wanted) { buffer, count in
            while count < wanted {
                let got = retryingInterrupted {
                    pread(
                        descriptor, buffer.baseAddress.map { $0 + count }, wanted - count,
                        off_t(offset) + count)
                }
                if got < 0 { code = errno }
                if got <= 0 { return }
                count += got
            }
        }
        guard code == 0 else { throw StorageFailure(code, "read \(describe(file))") }
        return bytes
    }

    // MARK: Descriptors

    private func directoryHandle() throws(StorageFailure) -> Int32 {
        if directoryDescriptor < 0 {
            directoryDescriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            guard directoryDescriptor >= 0 else {
                throw StorageFailure(errno, "open directory \(path)")
            }
        }
        return directoryDescriptor
    }

    private func handle(of file: FileName, _ verb: String) throws(StorageFailure) -> Int32 {
        if let index = open.lastIndex(where: { $0.name == file.name }) {
            if index != open.count - 1 { open.append(open.remove(at: index)) }
            return open[open.count - 1].descriptor
        }
        let folder = try directoryHandle()
        let flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW
        let descriptor = retryingInterrupted { openat(folder, checked(file), flags) }
        guard descriptor >= 0 else { throw failure(verb, file) }
        remember(file, descriptor)
        return descriptor
    }

    private func length(of file: FileName, _ descriptor: Int32) throws(StorageFailure) -> UInt64 {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure("look at", file) }
        return UInt64(status.st_size)
    }

    private func remember(_ file: FileName, _ descriptor: Int32) {
        if open.count == Self.mostOpenFiles { close(open.removeFirst().descriptor) }
        open.append((file.name, descriptor))
    }

    private func forget(_ file: FileName) {
        guard let index = open.firstIndex(where: { $0.name == file.name }) else { return }
        close(open.remove(at: index).descriptor)
    }

    // MARK: Words

    /// The name as given to the kernel; one that could lead out of the directory is a bug.
    private func checked(_ file: FileName) -> String {
        let name = file.name.utf8
        invariant(
            file.directory == directory && !name.isEmpty && name.first != UInt8(ascii: ".")
                && !name.contains(UInt8(ascii: "/")) && !name.contains(0),
            "not a plain file name in \(directory): \(file)")
        return file.name
    }

    private func describe(_ file: FileName) -> String { path + "/" + file.name }

    /// Takes `errno`: call it right after the failed call.
    private func failure(_ verb: String, _ file: FileName) -> StorageFailure {
        StorageFailure(errno, "\(verb) \(describe(file))")
    }

    private static let mostOpenFiles = 8
}

extension StorageFailure {
    /// Sorts an `errno` and says it in words.
    fileprivate init(_ code: Int32, _ action: String) {
        let reason: Reason =
            switch code {
            case ENOSPC, EDQUOT, EFBIG: .noSpace
            case ENOENT: .notFound
            case EEXIST: .exists
            case EROFS, EACCES, EPERM: .readOnly
            default: .inputOutput
            }
        self.init(reason, "\(action): \(errorText(code))")
    }
}
