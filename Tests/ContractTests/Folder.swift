import Core
import Glibc
import Testing

/// A fresh directory, removed with all that is in it.
final class Folder {
    let path: String

    init() throws {
        var template = Array("/tmp/dkron-contract-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        for folder in StorageDirectory.allCases.map(\.name) {
            removeFiles(in: path + "/" + folder)
            rmdir(path + "/" + folder)
        }
        removeFiles(in: path)
        rmdir(path)
    }

    private func removeFiles(in directory: String) {
        guard let stream = opendir(directory) else { return }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { unlink(directory + "/" + name) }
        }
    }
}
