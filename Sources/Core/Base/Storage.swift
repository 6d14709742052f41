// What the core asks of a disk, and what it hears back.
//
// Contract, kept by the real adapter and by the simulator's disk alike:
// * every operation is answered by exactly one `StorageResult` under its ticket;
// * operations on one directory are performed in the order they were asked for; operations on
//   different directories may be performed and answered in any order;
// * an append is readable at once but survives a crash only after a later `sync` of that file has
//   been answered with `.done`; a created, renamed or removed name survives only after a later
//   `syncDirectory` of its directory has been answered with `.done`;
// * a failed `sync` says nothing about which bytes survive, and a repeated one proves nothing.

/// The directories below the data directory, each with its own purpose and its own order.
package enum StorageDirectory: UInt8, CaseIterable, Sendable {
    /// Write-ahead segments of the replicated log, with Raft's term and vote.
    case log
    /// Snapshots of the replicated state.
    case snapshots
    /// Outputs of executions.
    case history
    /// What this agent accepted, and results not confirmed yet.
    case runs

    /// The folder's name below the data directory.
    package var name: String {
        switch self {
        // Not "log": people send what the program prints to a file of that name.
        case .log: "journal"
        case .snapshots: "snapshots"
        case .history: "history"
        case .runs: "runs"
        }
    }
}

/// A file: a plain name (ASCII letters, digits, `-`, `.`) inside one directory.
package struct FileName: Hashable, Sendable {
    package let directory: StorageDirectory
    package let name: String

    package init(_ directory: StorageDirectory, _ name: String) {
        self.directory = directory
        self.name = name
    }
}

/// Names one storage operation until it is answered. The top byte tells who asked.
package struct StorageTicket: Hashable, Sendable {
    package let owner: StorageOwner
    package let number: UInt64

    package init(owner: StorageOwner, number: UInt64) {
        self.owner = owner
        self.number = number
    }
}

/// The part of the core that asked for a storage operation and hears its answer.
package enum StorageOwner: UInt8, Sendable {
    case journal
    case snapshots
    case history
    case runs
    /// Reads on behalf of HTTP answers.
    case api
    /// Reads outputs for another server.
    case transfer
    /// Reads outputs for processors.
    case processors
}

package enum StorageOperation: Hashable, Sendable {
    /// Makes a new empty file. Fails if it exists.
    case create(FileName)
    /// Writes at the end. `offset` must equal the file's length (checked by the adapter).
    case append(FileName, offset: UInt64, bytes: [UInt8])
    /// Cuts the file to `length` bytes.
    case truncate(FileName, length: UInt64)
    case sync(FileName)
    case rename(FileName, to: FileName)
    case remove(FileName)
    case syncDirectory(StorageDirectory)
    case list(StorageDirectory)
    /// Reads up to `length` bytes; fewer only at the end of the file.
    case read(FileName, offset: UInt64, length: Int)

    /// The directory whose order this operation obeys.
    package var directory: StorageDirectory {
        switch self {
        case .create(let file), .append(let file, _, _), .truncate(let file, _), .sync(let file),
            .rename(let file, _), .remove(let file), .read(let file, _, _):
            file.directory
        case .syncDirectory(let directory), .list(let directory): directory
        }
    }
}

package enum StorageResult: Hashable, Sendable {
    case done
    case bytes([UInt8])
    /// Names and lengths in byte order of the names.
    case listing([FileEntry])
    case failed(StorageFailure)
}

package struct FileEntry: Hashable, Sendable {
    package var name: String
    package var length: UInt64

    package init(name: String, length: UInt64) {
        self.name = name
        self.length = length
    }
}

package struct StorageFailure: Error, Hashable, Sendable {
    package enum Reason: UInt8, Sendable {
        case noSpace
        case notFound
        case exists
        case readOnly
        case inputOutput
    }
    package var reason: Reason
    /// What failed, on which file, in words for a person on call.
    package var message: String

    package init(_ reason: Reason, _ message: String) {
        self.reason = reason
        self.message = message
    }
}

/// One operation and the ticket under which its answer comes back.
package struct StorageRequest: Hashable, Sendable {
    package let ticket: StorageTicket
    package let operation: StorageOperation

    package init(ticket: StorageTicket, operation: StorageOperation) {
        self.ticket = ticket
        self.operation = operation
    }
}
