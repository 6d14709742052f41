package import Core
internal import Glibc

/// Where plugins lie, and where their sockets go.
package enum PluginDirectories {
    /// What was found, in the order in which later ones win, and lines about what is not taken.
    package struct Found: Sendable {
        package var files: [PluginFile] = []
        package var notes: [LogRecord] = []
    }

    /// The directories: `plugins` beside the configuration file, or that of the system if there is
    /// no such file; then the one of this program.
    package static func list(configurationFile: String?) -> [String] {
        let first = configurationFile.map { parent(of: $0) + "/plugins" } ?? systemDirectory
        return [first] + (executableDirectory.map { [$0] } ?? [])
    }

    /// Looks through directories, of which none has to exist. Only regular files that may be
    /// executed are plugins, whatever else is called like one.
    package static func search(_ directories: [String]) -> Found {
        var found = Found()
        for directory in directories {
            for name in names(in: directory) {
                guard let file = PluginFile(path: "\(directory)/\(name)") else { continue }
                var status = stat()
                guard stat(file.path, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
                    access(file.path, X_OK) == 0
                else {
                    found.notes.append(
                        LogRecord(
                            .warning,
                            "plugin: a file has the name of a plugin and can't be executed",
                            [.init("path", file.path)]))
                    continue
                }
                found.files.append(file)
            }
        }
        return found
    }

    /// Sorted; none if the directory can't be read.
    private static func names(in directory: String) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            names.append(name)
        }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    private static func parent(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == path.startIndex ? "" : String(path[..<slash])
    }

    private static var executableDirectory: String? {
        guard let path = realpath("/proc/self/exe", nil) else { return nil }
        defer { free(path) }
        return parent(of: String(cString: path))
    }

    private static let systemDirectory = "/etc/dkron/plugins"

    // MARK: Sockets

    /// A directory of this node alone for the sockets of its plugins, empty: inside the data
    /// directory, or, where its path is too long for a socket, in that for temporary files.
    package static func sockets(dataDirectory: String) throws(SystemError) -> String {
        let path = "\(dataDirectory)/plugins"
        guard path.utf8.first == UInt8(ascii: "/"), path.utf8.count <= longestDirectory else {
            return try temporary()
        }
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw .last("make \(path)") }
        // What an earlier life has left: nobody listens there any more.
        for name in names(in: path) { removeSocket("\(path)/\(name)") }
        return path
    }

    /// A new directory among temporary files that is this user's alone.
    static func temporary() throws(SystemError) -> String {
        let root = getenv("TMPDIR").map { String(cString: $0) } ?? ""
        let base = root.isEmpty || root.utf8.count + 13 > longestDirectory ? "/tmp" : root
        var template = Array("\(base)/dkron-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw .last("make a directory for sockets in \(base)")
        }
        return String(
            decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Removes a socket, and nothing else that may have its name.
    static func removeSocket(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return }
        unlink(path)
    }

    /// A socket's path has 107 bytes; plugins and this host need some for the name.
    private static let longestDirectory = 80
}
