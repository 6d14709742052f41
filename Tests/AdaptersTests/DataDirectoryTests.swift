import Glibc
import Testing

@testable import Adapters
@testable import Core

@Suite("Data directory")
struct DataDirectoryTests {
    private func refusal(_ path: String) -> String? {
        do {
            _ = try DataDirectory(path, patience: 40)
            return nil
        } catch {
            return error.description
        }
    }

    @Test func `a missing directory is made, parents included, for its owner only`() throws {
        let parent = TemporaryDirectory()
        let directory = try DataDirectory(parent.path + "/a/b/")
        var status = stat()
        #expect(stat(parent.path + "/a/b", &status) == 0)
        #expect(status.st_mode & 0o777 == 0o700)
        #expect(directory.path.hasSuffix("/a/b"))
        #expect(parent.text(of: "a/b/lock") == "\(getpid())\n")
        #expect(parent.text(of: "a/b/format")?.hasPrefix("version 1\nid ") == true)
    }

    @Test func `the id stays the same`() throws {
        let parent = TemporaryDirectory()
        let first = try DataDirectory(parent.path).id
        let second = try DataDirectory(parent.path).id
        #expect(first == second)
        let other = TemporaryDirectory()
        #expect(try DataDirectory(other.path).id != first)
    }

    @Test func `ids are in the order of the times at which they were made`() throws {
        let times: [Int64] = [0, 1, 1_700_000_000_000, 1_700_000_000_001, 9_000_000_000_000]
        let ids = times.map { DataDirectory.makeID(at: WallTime(nanoseconds: $0 * 1_000_000)) }
        #expect(ids == ids.sorted())
        #expect(ids.map { $0 >> 80 } == times.map { UInt128($0) })
        #expect(
            DataDirectory.makeID(at: WallTime(seconds: 9)) & (1 << 80 - 1)
                != DataDirectory.makeID(at: WallTime(seconds: 9)) & (1 << 80 - 1))
    }

    @Test func `a second process is told who holds the directory`() throws {
        let parent = TemporaryDirectory()
        let held = try DataDirectory(parent.path)
        let text = refusal(parent.path)
        #expect(text?.contains(parent.path) == true)
        #expect(text?.contains("in use by process \(getpid());") == true)
        #expect(text?.contains("--data-dir") == true)
        withExtendedLifetime(held) {}
    }

    @Test func `a newer format is refused with both versions`() {
        let parent = TemporaryDirectory()
        parent.write("version 7\nid 00112233445566778899aabbccddeeff\n", to: "format")
        let text = refusal(parent.path)
        #expect(text?.contains("format version 7, this program knows versions up to 1") == true)
        #expect(text?.contains("run the newer program") == true)
    }

    @Test(arguments: ["", "version x\n", "version 1\n", "version 1\nid 12\n", "\u{1}\u{2}"])
    func `a damaged format file is refused`(content: String) {
        let parent = TemporaryDirectory()
        parent.write(content, to: "format")
        let text = refusal(parent.path)
        #expect(text?.contains("\(parent.path)/format is damaged") == true)
        #expect(text?.contains("put it back from a backup") == true)
        #expect(parent.text(of: "format") == content)
    }

    @Test(arguments: ["raft/raft.db", "dkron.db"])
    func `a directory of Dkron itself is refused and not touched`(name: String) {
        let parent = TemporaryDirectory()
        parent.makeDirectory("raft")
        parent.write("x", to: name)
        let before = parent.names
        let text = refusal(parent.path)
        #expect(text?.contains("it holds \(name)") == true)
        #expect(text?.contains("/v1/jobs") == true)
        #expect(text?.contains("/v1/restore") == true)
        #expect(parent.names == before)
    }

    @Test func `a file in its place is refused`() {
        let parent = TemporaryDirectory()
        parent.write("x", to: "file")
        let text = refusal(parent.path + "/file")
        #expect(text?.contains("file: it is not a directory; remove the file") == true)
        let below = refusal(parent.path + "/file/inner")
        #expect(below?.contains("a part of the path is a file") == true)
    }

    private func refusal(_ open: () throws(DataDirectoryError) -> DataDirectory) -> String? {
        do {
            _ = try open()
            return nil
        } catch {
            return error.description
        }
    }

    @Test func `another user's directory is not opened by a program that is no agent`() throws {
        let parent = TemporaryDirectory()
        parent.write("version 1\nid 00112233445566778899aabbccddeeff\n", to: "format")
        let before = parent.names
        let owner = DataDirectory.name(of: geteuid())
        let text = refusal { () throws(DataDirectoryError) in
            try DataDirectory(existing: parent.path, user: geteuid() + 4_000_000)
        }
        #expect(text?.contains("it belongs to user \(owner), ") == true)
        #expect(text?.contains("sudo -u '\(owner)' dkron") == true)
        #expect(text?.contains("chown -R '#\(geteuid() + 4_000_000)'") == true)
        #expect(parent.names == before)
        #expect(try DataDirectory(existing: parent.path).notice == nil)
    }

    @Test(.enabled(if: geteuid() == 0))
    func `root fills no directory of another user, and its agent tells whose it is`() throws {
        let parent = TemporaryDirectory()
        chown(parent.path, 4_000_000, 4_000_000)
        let text = refusal { () throws(DataDirectoryError) in
            try DataDirectory(toFill: parent.path)
        }
        #expect(text?.contains("it belongs to user #4000000, ") == true)
        #expect(parent.names.isEmpty)
        _ = try DataDirectory(parent.path)
        chown(parent.path + "/format", 4_000_000, 4_000_000)
        let fields = try DataDirectory(parent.path).notice?.fields
        #expect(fields?.first { $0.name == "owner" }?.value == "#4000000")
    }

    @Test func `a directory without a server's data is named`() {
        let parent = TemporaryDirectory()
        let text = refusal { () throws(DataDirectoryError) in
            try DataDirectory(existing: parent.path)
        }
        #expect(text?.contains("there is no server's data here") == true)
        #expect(parent.names.isEmpty)
    }

    @Test func `other files are none of its business`() throws {
        let parent = TemporaryDirectory()
        parent.write("lines", to: "log")
        _ = try DataDirectory(parent.path)
        #expect(parent.text(of: "log") == "lines")
    }

    @Test func `the empty name is refused`() {
        #expect(refusal("")?.contains("name is empty") == true)
    }

    @Test(arguments: [
        (EROFS, "mounted read-only: mount it for writing"), (EACCES, "the right to write there"),
        (ENOSPC, "make room on that disk"), (EIO, "mend that"),
    ])
    func `what the kernel refuses comes with the next step`(code: Int32, step: String) {
        let error = DataDirectory.unusable("/d", SystemError("open /d/lock", code: code))
        #expect(error.description.hasPrefix("data directory /d: can't open /d/lock: "))
        #expect(error.description.contains(step))
        #expect(error.description.contains("--data-dir"))
    }

    @Test func `a place where nothing can be made is refused`() {
        #expect(refusal("/proc/dkron/data")?.contains("can't make the data directory") == true)
    }
}
