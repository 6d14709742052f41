// The repository as the tidy tests see it: its text files, found beside this very file.

import Glibc

/// The working copy that these tests were compiled from.
enum SourceTree {
    /// The repository's root folder, links resolved, without a slash at the end.
    static let root: String = {
        let depth = ["Tests", "CoreTests", "Tidy", "SourceTree.swift"].count
        let resolved = realpath(#filePath, nil)
        defer { free(resolved) }
        let path = resolved.map { String(cString: $0) } ?? #filePath
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        return parts.dropLast(depth).joined(separator: "/")
    }()

    /// Every file people wrote, by its path below the root, in byte order.
    static let paths: [String] = {
        var found: [String] = []
        collect("", into: &found)
        return found.sorted()
    }()

    /// Every Swift file, read and lexed once for all tests.
    static let swift: [SwiftFile] = paths.filter { $0.hasSuffix(".swift") }.map {
        SwiftFile(path: $0, bytes: read($0))
    }

    static func swift(under folder: String) -> [SwiftFile] {
        swift.filter { $0.path.hasPrefix(folder) }
    }

    /// The bytes of one file; empty when there is none.
    static func read(_ path: String) -> [UInt8] {
        let descriptor = open(root + "/" + path, O_RDONLY)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            guard count > 0 else { return bytes }
            bytes.append(contentsOf: buffer[..<count])
        }
    }

    static func text(_ path: String) -> String { String(decoding: read(path), as: UTF8.self) }

    /// Folders of builds, of version control and of machine-made data.
    private static func isForeign(_ path: String, _ name: String) -> Bool {
        name == ".git" || name.hasPrefix(".build") || name == ".swiftpm"
            || path == "fuzz/.work" || path == "fuzz/corpus" || name == "__pycache__"
    }

    private static func collect(_ folder: String, into found: inout [String]) {
        guard let directory = opendir(root + "/" + folder) else { return }
        defer { closedir(directory) }
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            let path = folder.isEmpty ? name : folder + "/" + name
            if name == "." || name == ".." || isForeign(path, name) { continue }
            if entry.pointee.d_type == UInt8(DT_DIR) {
                collect(path, into: &found)
            } else if entry.pointee.d_type == UInt8(DT_REG) {
                found.append(path)
            }
        }
    }
}
