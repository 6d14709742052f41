internal import Core
internal import Glibc

/// The system's time zone files (RFC 8536), as bytes: the core parses them.
package enum ZoneFiles {
    /// The bytes of the zone's file, or nil when there is none or the name is not one of a zone
    /// (see `ZoneName.check`: no name leads out of the folder).
    /// - Parameter folders: where to look, in this order; nil for those of this machine.
    package static func load(_ name: String, in folders: [String]? = nil) -> [UInt8]? {
        guard (try? ZoneName.check(name)) != nil else { return nil }
        for directory in folders ?? directories {
            if let bytes = readFile(directory + "/" + name, limit: largestFile) { return bytes }
        }
        return nil
    }

    /// The IANA name of this machine's zone: `TZ`, else `/etc/timezone`, else the target of
    /// `/etc/localtime`; `UTC` when none of them names a zone that can be loaded.
    package static func hostZone() -> String {
        for candidate in [environmentZone(), timezoneFile(), localtimeLink()] {
            if let name = candidate, load(name) != nil { return name }
        }
        return "UTC"
    }

    // MARK: Sources

    private static var directories: [String] {
        if let folder = getenv("ZONEINFO").map({ String(cString: $0) }), !folder.isEmpty {
            return [folder, standardDirectory]
        }
        return [standardDirectory]
    }

    private static func environmentZone() -> String? {
        guard let value = getenv("TZ").map({ String(cString: $0) }), !value.isEmpty else {
            return nil
        }
        let name = value.hasPrefix(":") ? String(value.dropFirst()) : value
        return name.hasPrefix(standardDirectory + "/")
            ? String(name.dropFirst(standardDirectory.count + 1)) : name
    }

    private static func timezoneFile() -> String? {
        guard let bytes = readFile("/etc/timezone", limit: 256) else { return nil }
        let line = bytes.prefix { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
        return String(validating: line, as: UTF8.self)
    }

    private static func localtimeLink() -> String? {
        guard let target = realpath("/etc/localtime", nil) else { return nil }
        defer { free(target) }
        let path = String(cString: target)
        guard path.hasPrefix(standardDirectory + "/") else { return nil }
        return String(path.dropFirst(standardDirectory.count + 1))
    }

    private static let standardDirectory = "/usr/share/zoneinfo"
    private static let largestFile = 1 << 20
}

/// The bytes of a regular file, or nil if it can't be read whole or is longer than `limit`.
func readFile(_ path: String, limit: Int) -> [UInt8]? {
    let descriptor = retryingInterrupted { open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
        status.st_size <= limit
    else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Int(status.st_size))
    while bytes.count <= limit {
        let piece = [UInt8](unsafeUninitializedCapacity: 16_384) { buffer, count in
            count = max(
                0, retryingInterrupted { read(descriptor, buffer.baseAddress, buffer.count) })
        }
        if piece.isEmpty { return bytes }
        bytes += piece
    }
    return nil
}
