internal import Glibc

/// What reading the configuration needs of the machine.
package struct ConfigurationHost: Sendable {
    /// The content of a file, nil if there is none of that name. Throws when it can't be read.
    package var read: @Sendable (String) throws(SystemError) -> [UInt8]?
    /// `NAME=value` entries.
    package var environment: [String]
    package var addresses: @Sendable () -> [HostAddress]

    package init(
        environment: [String] = [],
        addresses: @escaping @Sendable () -> [HostAddress] = { [] },
        read: @escaping @Sendable (String) throws(SystemError) -> [UInt8]? = { _ in nil }
    ) {
        self.read = read
        self.environment = environment
        self.addresses = addresses
    }

    /// The machine on which this process runs.
    package static var current: ConfigurationHost {
        ConfigurationHost(
            environment: HostProcess.environment, addresses: { HostAddress.ofThisMachine() },
            read: { (path) throws(SystemError) in try readFile(path) })
    }

    /// The value of an environment variable; an empty one counts as missing.
    func variable(_ name: String) -> String? {
        let entry = environment.first { $0.hasPrefix(name + "=") }
        return entry.map { String($0.dropFirst(name.count + 1)) }.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// At most a little more than a configuration file may hold, so that a device or a log given
    /// by mistake fills no memory.
    static func readFile(_ path: String) throws(SystemError) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw .last("read \(path)")
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while bytes.count <= ConfigurationFile.mostBytes {
            let count = retryingInterrupted { Glibc.read(descriptor, &buffer, buffer.count) }
            guard count >= 0 else { throw .last("read \(path)") }
            if count == 0 { break }
            bytes += buffer[..<count]
        }
        return bytes
    }
}
