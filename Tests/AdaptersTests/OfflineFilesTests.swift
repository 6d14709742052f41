import Testing

@testable import Adapters

@Suite("Files of programs that are no servers")
struct OfflineFilesTests {
    private func start(_ path: String, _ text: String) throws -> OutputFile {
        let file = try OutputFile(path)
        try file.write(Array(text.utf8))
        return file
    }

    @Test func `a file appears when it is whole`() throws {
        let folder = TemporaryDirectory()
        folder.write("old", to: "a")
        var file: OutputFile? = try start(folder.path + "/a", "half")
        #expect(folder.text(of: "a") == "old")
        file = nil
        #expect(folder.names == ["a"])
        file = try start(folder.path + "/a", "new")
        try file?.commit()
        file = nil
        #expect(folder.text(of: "a") == "new")
        #expect(folder.names == ["a"])
    }

    @Test func `two that are written to one place leave each other alone`() throws {
        let folder = TemporaryDirectory()
        let first = try start(folder.path + "/a", "one")
        var second: OutputFile? = try start(folder.path + "/a", "second")
        var third: OutputFile? = try start(folder.path + "/a", "3")
        try first.write(Array(" and whole".utf8))
        third = nil
        try first.commit()
        #expect(folder.text(of: "a") == "one and whole")
        try second?.commit()
        second = nil
        #expect(folder.text(of: "a") == "second")
        #expect(folder.names == ["a"])
        withExtendedLifetime(third) {}
    }
}
