package import Core
internal import Glibc

/// The disk below a data directory for a program that is no server: performs at once what it is
/// asked for.
package final class OfflineStorage {
    private let lanes: [StorageDirectory: StorageFiles]

    /// Makes the folders that are missing.
    package init(_ directory: DataDirectory) throws(SystemError) {
        try FileStorage.makeFolders(below: directory.path)
        var lanes: [StorageDirectory: StorageFiles] = [:]
        for folder in StorageDirectory.allCases {
            lanes[folder] = StorageFiles(folder, path: directory.path + "/" + folder.name)
        }
        self.lanes = lanes
    }

    package func perform(_ operation: StorageOperation) -> StorageResult {
        lanes[operation.directory]?.perform(operation)
            ?? .failed(StorageFailure(.inputOutput, "there is no such folder"))
    }
}

/// A file that is read from its first byte to its last; `-` is standard input.
package final class InputFile {
    private let descriptor: Int32
    private let path: String
    /// Bytes of the file, if it is one that has a length.
    package let length: UInt64?

    package init(_ path: String) throws(SystemError) {
        self.path = path
        descriptor = path == "-" ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .last("open \(path)") }
        var status = stat()
        let isFile = fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        length = isFile ? UInt64(status.st_size) : nil
    }

    deinit { close(descriptor) }

    /// The next bytes, none at the end.
    package func read() throws(SystemError) -> [UInt8] {
        var count = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: 256 << 10) { buffer, size in
            count = retryingInterrupted {
                Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            }
            size = max(0, count)
        }
        guard count >= 0 else { throw .last("read \(path)") }
        return bytes
    }

    /// Goes on behind the first `position` bytes. Only for files, not for streams.
    package func seek(to position: Int) throws(SystemError) {
        guard lseek(descriptor, position, SEEK_SET) == position else {
            throw .last("read \(path) again")
        }
    }
}

/// A file that appears under its name only when it is whole, in the place of what was there.
///
/// Until then it has a name that nobody else has, in the same folder: of two that are written to
/// one place at the same time each is whole, and the later one stays.
package final class OutputFile {
    private let path: String
    private let draft: String
    private let descriptor: Int32
    private var isCommitted = false

    package init(_ path: String) throws(SystemError) {
        self.path = path
        let number = String(UInt32(truncatingIfNeeded: Entropy.number()), radix: 16)
        draft = "\(path).\(getpid())-\(number).partial"
        descriptor = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw .last("create \(draft)") }
    }

    deinit {
        close(descriptor)
        if !isCommitted { unlink(draft) }
    }

    package func write(_ bytes: [UInt8]) throws(SystemError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = retryingInterrupted {
                rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            }
            guard count >= 0 else { throw .last("write \(draft)") }
            rest = rest.dropFirst(count)
        }
    }

    /// Makes it durable and gives it its name.
    package func commit() throws(SystemError) {
        guard fsync(descriptor) == 0 else { throw .last("sync \(draft)") }
        guard rename(draft, path) == 0 else { throw .last("rename \(draft) to \(path)") }
        isCommitted = true
        let end = path.utf8.lastIndex(of: UInt8(ascii: "/"))
        try syncDirectory(end.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? ".")
    }
}
