import Adapters
import Core
import Glibc
import Testing

/// Performs operations one by one on a real disk, the way a node would.
private final class Disk {
    let directory: TemporaryDirectory
    let storage: FileStorage
    private var number: UInt64 = 0

    init(_ directory: TemporaryDirectory = TemporaryDirectory()) throws {
        self.directory = directory
        storage = try FileStorage(dataDirectory: directory.path)
    }

    deinit { storage.close() }

    func ask(_ operation: StorageOperation) -> StorageTicket {
        number += 1
        let ticket = StorageTicket(owner: .journal, number: number)
        storage.perform(ticket, operation)
        return ticket
    }

    /// Collects `count` answers in the order they come.
    func answers(_ count: Int) -> [(StorageTicket, StorageResult)] {
        var all: [(StorageTicket, StorageResult)] = []
        while all.count < count, waitReadable(storage.fileDescriptor) {
            all += storage.receive()
        }
        return all
    }

    func result(_ operation: StorageOperation) -> StorageResult? {
        let ticket = ask(operation)
        let answers = answers(1)
        guard answers.count == 1, answers[0].0 == ticket else { return nil }
        return answers[0].1
    }

    func failure(_ operation: StorageOperation) -> StorageFailure? {
        guard case .failed(let failure) = result(operation) else { return nil }
        return failure
    }
}

private let file = FileName(.log, "0001.segment")

@Suite("Storage contract on the real disk")
struct FileStorageTests {
    @Test func `what was appended and synced is there after a reopen`() throws {
        let directory = TemporaryDirectory()
        do {
            let disk = try Disk(directory)
            #expect(disk.result(.create(file)) == .done)
            #expect(disk.result(.append(file, offset: 0, bytes: Array("hello ".utf8))) == .done)
            #expect(disk.result(.append(file, offset: 6, bytes: Array("world".utf8))) == .done)
            #expect(disk.result(.sync(file)) == .done)
            #expect(disk.result(.syncDirectory(.log)) == .done)
        }
        let disk = try Disk(directory)
        #expect(
            disk.result(.read(file, offset: 0, length: 100)) == .bytes(Array("hello world".utf8)))
        #expect(disk.result(.read(file, offset: 6, length: 3)) == .bytes(Array("wor".utf8)))
        #expect(disk.result(.read(file, offset: 11, length: 3)) == .bytes([]))
        #expect(disk.result(.read(file, offset: 1 << 40, length: 3)) == .bytes([]))
        #expect(
            disk.result(.list(.log)) == .listing([FileEntry(name: file.name, length: 11)]))
    }

    @Test func `an append at another offset than the length is refused and writes nothing`() throws
    {
        let disk = try Disk()
        #expect(disk.result(.create(file)) == .done)
        #expect(disk.result(.append(file, offset: 0, bytes: [1, 2, 3])) == .done)
        for offset: UInt64 in [0, 2, 4] {
            let failure = disk.failure(.append(file, offset: offset, bytes: [9]))
            #expect(failure?.reason == .inputOutput)
            #expect(
                failure?.message.contains("journal/0001.segment: its length is 3, not \(offset)")
                    == true)
        }
        #expect(disk.result(.read(file, offset: 0, length: 9)) == .bytes([1, 2, 3]))
    }

    @Test func `truncating cuts, and the next append continues there`() throws {
        let disk = try Disk()
        #expect(disk.result(.create(file)) == .done)
        #expect(disk.result(.append(file, offset: 0, bytes: [1, 2, 3, 4])) == .done)
        #expect(disk.result(.truncate(file, length: 2)) == .done)
        #expect(disk.result(.append(file, offset: 2, bytes: [7])) == .done)
        #expect(disk.result(.read(file, offset: 0, length: 9)) == .bytes([1, 2, 7]))
    }

    @Test func `renaming replaces the target, also where both were open`() throws {
        let disk = try Disk()
        let other = FileName(.log, "0002.segment")
        #expect(disk.result(.create(file)) == .done)
        #expect(disk.result(.create(other)) == .done)
        #expect(disk.result(.append(file, offset: 0, bytes: [1])) == .done)
        #expect(disk.result(.append(other, offset: 0, bytes: [2, 2])) == .done)
        #expect(disk.result(.rename(file, to: other)) == .done)
        #expect(disk.result(.append(other, offset: 1, bytes: [3])) == .done)
        #expect(disk.result(.read(other, offset: 0, length: 9)) == .bytes([1, 3]))
        #expect(disk.failure(.read(file, offset: 0, length: 9))?.reason == .notFound)
    }

    @Test func `a removed file is gone, and a new one of its name is empty`() throws {
        let disk = try Disk()
        #expect(disk.result(.create(file)) == .done)
        #expect(disk.result(.append(file, offset: 0, bytes: [1])) == .done)
        #expect(disk.result(.remove(file)) == .done)
        #expect(disk.failure(.sync(file))?.reason == .notFound)
        #expect(disk.result(.create(file)) == .done)
        #expect(disk.result(.read(file, offset: 0, length: 9)) == .bytes([]))
    }

    @Test func `failures name the file and the reason`() throws {
        let disk = try Disk()
        let missing = disk.failure(.sync(file))
        #expect(missing?.reason == .notFound)
        #expect(
            missing?.message
                == "sync \(disk.directory.path)/journal/0001.segment: No such file or directory")
        #expect(disk.failure(.remove(file))?.reason == .notFound)
        #expect(disk.failure(.truncate(file, length: 0))?.reason == .notFound)
        #expect(disk.failure(.rename(file, to: FileName(.log, "b")))?.reason == .notFound)
        #expect(disk.result(.create(file)) == .done)
        let twice = disk.failure(.create(file))
        #expect(twice?.reason == .exists)
        #expect(twice?.message.hasSuffix("journal/0001.segment: File exists") == true)
    }

    @Test func `a full disk is told apart, and leaves the file as it was`() throws {
        let disk = try Disk()
        #expect(disk.result(.create(file)) == .done)
        #expect(disk.result(.append(file, offset: 0, bytes: [1, 2, 3])) == .done)
        // No file can be this long: the kernel writes what fits below the limit of the file
        // system, which is nothing, and answers that the file is too big.
        #expect(disk.failure(.truncate(file, length: 1 << 62))?.reason == .noSpace)
        #expect(disk.result(.read(file, offset: 0, length: 9)) == .bytes([1, 2, 3]))
    }

    @Test func `operations on one directory are performed in order, whatever they are`() throws {
        let disk = try Disk()
        var asked = [disk.ask(.create(file))]
        for index in 0..<200 {
            let byte = UInt8(index)
            asked.append(disk.ask(.append(file, offset: UInt64(index), bytes: [byte])))
            if index % 50 == 0 { asked.append(disk.ask(.sync(file))) }
            if index % 20 == 0 {
                let other = FileName(.log, "f\(index)")
                asked.append(disk.ask(.create(other)))
                asked.append(disk.ask(.append(other, offset: 0, bytes: [byte])))
            }
        }
        let answers = disk.answers(asked.count)
        #expect(answers.map(\.0) == asked)
        #expect(answers.allSatisfy { $0.1 == .done })
        #expect(
            disk.result(.read(file, offset: 0, length: 500))
                == .bytes((0..<200).map { UInt8($0) }))
    }

    @Test func `directories are served side by side`() throws {
        let disk = try Disk()
        for directory in StorageDirectory.allCases {
            _ = disk.ask(.create(FileName(directory, "a")))
            _ = disk.ask(.append(FileName(directory, "a"), offset: 0, bytes: [directory.rawValue]))
        }
        #expect(disk.answers(8).allSatisfy { $0.1 == .done })
        for directory in StorageDirectory.allCases {
            #expect(
                disk.result(.read(FileName(directory, "a"), offset: 0, length: 2))
                    == .bytes([directory.rawValue]))
        }
    }

    @Test func `a listing is in byte order and leaves out what is not a file`() throws {
        let disk = try Disk()
        for name in ["b", "a", "B", "a-1", "a.x"] {
            #expect(disk.result(.create(FileName(.runs, name))) == .done)
        }
        disk.directory.makeDirectory("runs/folder")
        guard case .listing(let entries) = disk.result(.list(.runs)) else {
            Issue.record("no listing")
            return
        }
        #expect(entries.map(\.name) == ["B", "a", "a-1", "a.x", "b"])
    }

    @Test func `more files than are kept open work too`() throws {
        let disk = try Disk()
        for index in 0..<40 {
            let file = FileName(.history, "f\(index)")
            #expect(disk.result(.create(file)) == .done)
            #expect(disk.result(.append(file, offset: 0, bytes: [UInt8(index)])) == .done)
        }
        for index in 0..<40 {
            let file = FileName(.history, "f\(index)")
            #expect(disk.result(.append(file, offset: 1, bytes: [0])) == .done)
            #expect(
                disk.result(.read(file, offset: 0, length: 9)) == .bytes([UInt8(index), 0]))
        }
    }

    @Test func `files are readable by their owner only`() throws {
        let disk = try Disk()
        #expect(disk.result(.create(file)) == .done)
        var status = stat()
        #expect(stat(disk.directory.path + "/journal/0001.segment", &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
        #expect(stat(disk.directory.path + "/journal", &status) == 0)
        #expect(status.st_mode & 0o777 == 0o700)
    }

    @Test func `a folder that can't be made is told with its path`() {
        let directory = TemporaryDirectory()
        #expect(throws: SystemError("make directory \(directory.path)/x/journal", code: ENOENT)) {
            try FileStorage(dataDirectory: directory.path + "/x")
        }
    }
}
