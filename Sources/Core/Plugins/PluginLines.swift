// What plugins print, as lines of the node's log.

/// Cuts bytes into lines. A line that is too long is cut, and the rest of it dropped.
struct PluginLines: Sendable {
    private var line: [UInt8] = []
    private var isCut = false

    /// Bytes of a line that are kept.
    static let longest = 8_192

    /// The lines that these bytes complete, without their ends; empty ones are passed over.
    mutating func feed(_ bytes: some Sequence<UInt8>) -> [[UInt8]] {
        var lines: [[UInt8]] = []
        for byte in bytes {
            if byte == 0x0a {
                finish(&lines)
            } else if line.count < Self.longest {
                line.append(byte)
            } else {
                isCut = true
            }
        }
        return lines
    }

    /// What stands behind the last end of a line.
    mutating func rest() -> [[UInt8]] {
        var lines: [[UInt8]] = []
        finish(&lines)
        return lines
    }

    private mutating func finish(_ lines: inout [[UInt8]]) {
        if line.last == 0x0d { line.removeLast() }
        if !line.isEmpty { lines.append(isCut ? line + Array("…".utf8) : line) }
        line = []
        isCut = false
    }
}

/// How important a line is, by what it says of itself: a JSON object of hclog, `[WARN]` and the
/// like in front, or the end of a Go program.
struct PluginLog: Sendable {
    /// A Go program has begun to tell how it ends.
    private(set) var isPanic = false

    /// - Parameter usual: the level of a line that says nothing of it.
    mutating func record(
        _ line: [UInt8], of plugin: PluginFile, usual: LogRecord.Level
    ) -> LogRecord {
        let mark = LogRecord.Field("plugin", plugin.description)
        if line.first == UInt8(ascii: "{"), let record = Self.structured(line, mark) {
            return record
        }
        let text = String(decoding: line, as: UTF8.self)
        if text.hasPrefix("panic:") || text.hasPrefix("fatal error:") { isPanic = true }
        if isPanic { return LogRecord(.error, text, [mark]) }
        for (prefix, level) in Self.prefixes where text.hasPrefix(prefix) {
            let rest = text.dropFirst(prefix.count).drop { $0 == " " }
            return LogRecord(level, String(rest), [mark])
        }
        return LogRecord(usual, text, [mark])
    }

    private static let prefixes: [(String, LogRecord.Level)] = [
        ("[TRACE]", .debug), ("[DEBUG]", .debug), ("[INFO]", .info), ("[WARN]", .warning),
        ("[ERROR]", .error),
    ]

    /// Members of one line that become fields.
    private static let mostFields = 32

    private static func structured(
        _ line: [UInt8], _ mark: LogRecord.Field
    ) -> LogRecord? {
        guard let document = try? JSONDocument(line),
            document.kind(of: document.root) == .object,
            let message = document.member(named: "@message", of: document.root)
                .flatMap({ document.string($0) })
        else { return nil }
        var record = LogRecord(.debug, message, [mark])
        for member in document.members(of: document.root) {
            let name = document.string(member.name) ?? ""
            switch name {
            case "@message", "@timestamp": continue
            case "@level": record.level = level(document.string(member.value) ?? "")
            default:
                guard record.fields.count < mostFields else { continue }
                let value =
                    document.string(member.value)
                    ?? String(decoding: document.source(of: member.value), as: UTF8.self)
                let plain = name.utf8.first == 0x40 ? String(name.dropFirst()) : name
                record.fields.append(.init(plain, value))
            }
        }
        return record
    }

    private static func level(_ word: String) -> LogRecord.Level {
        switch word {
        case "info": .info
        case "warn": .warning
        case "error": .error
        default: .debug
        }
    }
}
