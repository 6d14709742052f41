package import Core
internal import Glibc

/// The real disk below a data directory.
///
/// One worker thread per directory performs that directory's operations in order, so that a slow
/// `sync` of one never holds up another, nor ever the loop's thread. Answers wait in a mailbox;
/// `fileDescriptor` is readable while there are any. See `StorageOperation` for the contract.
package final class FileStorage {
    private let dataDirectory: String
    private let mailbox: Mailbox<(StorageTicket, StorageResult)>
    /// Lanes whose threads may not know yet that there is work.
    private var asked: [StorageLane] = []
    private var lanes: [StorageDirectory: StorageLane] = [:]

    /// Makes the folders that are missing below `dataDirectory`, durably.
    package init(dataDirectory: String) throws(SystemError) {
        self.dataDirectory = dataDirectory
        mailbox = try Mailbox()
        try Self.makeFolders(below: dataDirectory)
    }

    static func makeFolders(below dataDirectory: String) throws(SystemError) {
        var madeAny = false
        for directory in StorageDirectory.allCases {
            let path = dataDirectory + "/" + directory.name
            if mkdir(path, 0o700) == 0 {
                madeAny = true
            } else if errno != EEXIST {
                throw .last("make directory \(path)")
            }
        }
        if madeAny { try syncDirectory(dataDirectory) }
    }

    /// Readable while answers wait.
    package var fileDescriptor: Int32 { mailbox.fileDescriptor }

    /// Asks for an operation; returns at once.
    package func perform(_ ticket: StorageTicket, _ operation: StorageOperation) {
        ask(ticket, operation)
        wake()
    }

    /// Asks for an operation that may wait for the next `wake`: what is asked for together costs
    /// fewer turns of the scheduler.
    package func ask(_ ticket: StorageTicket, _ operation: StorageOperation) {
        let lane = lane(of: operation.directory)
        lane.enqueue(ticket, operation)
        if !asked.contains(where: { $0 === lane }) { asked.append(lane) }
    }

    /// Sees to it that everything asked for is performed.
    package func wake() {
        for lane in asked { lane.wake() }
        asked.removeAll(keepingCapacity: true)
    }

    /// The answers that came in since the last call, in the order in which they were made.
    package func receive() -> [(StorageTicket, StorageResult)] { mailbox.drain() }

    /// Waits until everything asked for has been performed, and ends the worker threads.
    /// Call it once, last.
    package func close() {
        for directory in StorageDirectory.allCases { lanes.removeValue(forKey: directory)?.close() }
    }

    private func lane(of directory: StorageDirectory) -> StorageLane {
        if let lane = lanes[directory] { return lane }
        let path = dataDirectory + "/" + directory.name
        let lane = StorageLane(directory, path: path, mailbox: mailbox)
        lanes[directory] = lane
        return lane
    }
}

/// Makes the names inside a directory survive a crash.
func syncDirectory(_ path: String) throws(SystemError) {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .last("open directory \(path)") }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw .last("sync directory \(path)") }
}
