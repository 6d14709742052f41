package import Core
internal import Glibc

/// The secrets of this machine: files of a directory, or variables of the environment that the
/// agent was started with.
package struct SecretFiles {
    private let directory: String?
    private let variables: [String: String]

    /// The most bytes of a secret.
    package static let largest = 64 << 10
    /// What the names of variables begin with; the rest is the secret's name in capitals, with `_`
    /// in the place of `-` and `.`.
    package static let prefix = "DKRON_SECRET_"

    /// - Parameter environment: entries `NAME=value`.
    package init(directory: String?, environment: [String]) {
        self.directory = directory
        var variables: [String: String] = [:]
        for entry in environment where entry.hasPrefix(Self.prefix) {
            guard let equals = entry.firstIndex(of: "=") else { continue }
            variables[String(entry[..<equals])] = String(entry[entry.index(after: equals)...])
        }
        self.variables = variables
    }

    /// Reads them anew: a file that was exchanged counts from the next run on.
    package func read(_ names: [String]) -> SecretsAnswer {
        var values: [Core.Setting] = []
        for name in names {
            do throws(SecretError) {
                values.append(Core.Setting(name: name, value: try read(name)))
            } catch {
                return .failed("the secret \"\(name)\" \(error.reason)")
            }
        }
        return .read(values)
    }

    private func read(_ name: String) throws(SecretError) -> String {
        guard SecretReference.isName(name[...]) else { throw SecretError("can't have that name") }
        if let directory, let value = try file("\(directory)/\(name)") { return value }
        let variable = Self.variable(of: name)
        if let value = variables[variable] { return value }
        let place = directory.map { "no file in \($0) and " } ?? "no --secrets-dir and "
        throw SecretError("is not on this node: there is \(place)no variable \(variable)")
    }

    /// What a secret is called in the environment.
    package static func variable(of name: String) -> String {
        prefix + String(name.uppercased().map { $0 == "-" || $0 == "." ? "_" : $0 })
    }

    /// Without the line feed that editors put at the end of a file; nil if there is no file.
    private func file(_ path: String) throws(SecretError) -> String? {
        // One that is no file, a pipe for example, must not hold up the agent.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw SecretError("can't be read: \(errorText(errno))")
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw SecretError("is not a file")
        }
        guard status.st_size <= Self.largest else {
            throw SecretError("has \(status.st_size) bytes; at most \(Self.largest) are allowed")
        }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        let count = bytes.withUnsafeMutableBytes {
            Glibc.read(descriptor, $0.baseAddress, $0.count)
        }
        guard count >= 0 else {
            throw SecretError("can't be read: \(errorText(errno))")
        }
        bytes.removeLast(bytes.count - count)
        if bytes.last == 0x0a { bytes.removeLast() }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw SecretError("is not text in UTF-8")
        }
        guard !text.utf8.contains(0) else { throw SecretError("holds a zero byte") }
        return text
    }
}

private struct SecretError: Error {
    let reason: String

    init(_ reason: String) { self.reason = reason }
}
