package import Core
internal import Glibc

/// Writes log records as lines: `time="…" level=info msg="…" key=value`, or a JSON object each.
///
/// One line is one `write` of at most `PIPE_BUF` bytes, so lines of several writers never mix. A
/// reader that stands still does not stop the node: lines that don't fit are dropped, counted, and
/// the count is told with the next line that gets through.
package final class LogWriter {
    package enum Form: String, Sendable {
        case text, json
        /// JSON as plugins' hosts read it: HashiCorp's hclog.
        case hclog
    }

    private let descriptor: Int32
    private let form: Form
    /// Lines below it are not written.
    package var level: LogRecord.Level
    private var dropped: UInt64 = 0
    private var line: [UInt8] = []

    package init(
        level: LogRecord.Level, form: Form = .text, descriptor: Int32 = STDERR_FILENO
    ) {
        self.level = level
        self.form = form
        self.descriptor = descriptor
    }

    package func write(_ record: LogRecord, at time: WallTime) {
        guard record.level >= level else { return }
        if dropped > 0 {
            let count = LogRecord.Field("lines", String(dropped))
            format(LogRecord(.warning, "log: lines were dropped, nobody read them", [count]), time)
            guard flush() else {
                dropped += 1
                return
            }
            dropped = 0
        }
        format(record, time)
        if !flush() { dropped += 1 }
    }

    package func write(
        _ level: LogRecord.Level, _ message: String, _ fields: [LogRecord.Field] = []
    ) {
        write(LogRecord(level, message, fields), at: Clocks.wall())
    }

    // MARK: Form

    private func format(_ record: LogRecord, _ time: WallTime) {
        switch form {
        case .text: formatText(record, time)
        case .json, .hclog:
            line = json(record, time, longestValue: .max)
            guard line.count >= Self.longestLine else { break }
            // Cut inside the values, so that it stays JSON: a byte takes six when it is escaped.
            let room = Self.longestLine / 6 / (record.fields.count + 2)
            line = json(record, time, longestValue: max(8, room))
        }
        append("\n")
    }

    private func json(_ record: LogRecord, _ time: WallTime, longestValue: Int) -> [UInt8] {
        func cut(_ text: String) -> String {
            guard text.utf8.count > longestValue else { return text }
            var bytes = Array(text.utf8.prefix(longestValue))
            while let last = bytes.last, last & 0xC0 == 0x80 { bytes.removeLast() }
            if let last = bytes.last, last >= 0xC0 { bytes.removeLast() }
            return String(decoding: bytes, as: UTF8.self) + Self.cutMark
        }
        var stamp: [UInt8] = []
        RFC3339.append(WallTime(seconds: time.seconds), to: &stamp)
        let isForHosts = form == .hclog
        if isForHosts {
            // Its readers want six digits, and nothing else.
            let micros = (time.nanoseconds - WallTime(seconds: time.seconds).nanoseconds) / 1_000
            let digits = String(1_000_000 + micros).utf8.dropFirst()
            stamp.removeLast()
            stamp += [UInt8(ascii: ".")] + digits + [UInt8(ascii: "Z")]
        }
        var writer = JSONWriter(.compact, escaping: .minimal)
        writer.beginObject()
        writer.member(isForHosts ? "@timestamp" : "time", String(decoding: stamp, as: UTF8.self))
        // Hosts know the shorter word.
        let level = isForHosts && record.level == .warning ? "warn" : record.level.word
        writer.member(isForHosts ? "@level" : "level", level)
        writer.member(isForHosts ? "@message" : "msg", cut(record.message))
        for field in record.fields { writer.member(field.name, cut(field.value)) }
        writer.endObject()
        return writer.take()
    }

    private func formatText(_ record: LogRecord, _ time: WallTime) {
        line.removeAll(keepingCapacity: true)
        append("time=\"")
        RFC3339.append(WallTime(seconds: time.seconds), to: &line)
        append("\" level=")
        append(record.level.word)
        append(" msg=")
        appendValue(record.message)
        for field in record.fields {
            append(" ")
            append(field.name)
            append("=")
            appendValue(field.value)
        }
        if line.count >= Self.longestLine {
            line.removeSubrange((Self.longestLine - Self.cutMark.utf8.count - 1)...)
            while let last = line.last, last & 0xC0 == 0x80 { line.removeLast() }
            if let last = line.last, last >= 0xC0 { line.removeLast() }
            append(Self.cutMark)
        }
    }

    private func append(_ text: String) { line.append(contentsOf: text.utf8) }

    /// Bare where every byte is harmless, else quoted with the escapes of Go's `%q`.
    private func appendValue(_ value: String) {
        guard value.isEmpty || !value.utf8.allSatisfy(Self.isBare) else { return append(value) }
        append("\"")
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": append("\\\"")
            case "\\": append("\\\\")
            case "\n": append("\\n")
            case "\r": append("\\r")
            case "\t": append("\\t")
            default:
                if scalar.value < 0x20 || scalar.value == 0x7F {
                    append(scalar.value < 0x10 ? "\\x0" : "\\x")
                    append(String(scalar.value, radix: 16))
                } else if (0x80..<0xA0).contains(scalar.value) {
                    append("\\u00")
                    append(String(scalar.value, radix: 16))
                } else {
                    line.append(contentsOf: scalar.utf8)
                }
            }
        }
        append("\"")
    }

    private static func isBare(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "_"), UInt8(ascii: "/"), UInt8(ascii: "@"), UInt8(ascii: "^"),
            UInt8(ascii: "+"), UInt8(ascii: ":"):
            true
        default: false
        }
    }

    // MARK: Output

    /// Writes the line whole or not at all. Waits a moment for a slow reader, but only as long as
    /// it has kept up so far.
    private func flush() -> Bool {
        var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        let patience: Int32 = dropped == 0 ? 20 : 0
        guard Glibc.poll(&poll, 1, patience) == 1 else { return false }
        return line.withUnsafeBytes { bytes in
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
                if count > 0 {
                    rest = rest.dropFirst(count)
                } else if errno != EINTR {
                    return false
                }
            }
            return true
        }
    }

    /// POSIX guarantees that a pipe takes this many bytes at once.
    private static let longestLine = 4096
    private static let cutMark = " …(cut)"
}

extension LogRecord.Level {
    /// The word that stands in a log line and after `--log-level`.
    package var word: String {
        switch self {
        case .debug: "debug"
        case .info: "info"
        case .warning: "warning"
        case .error: "error"
        }
    }
}

extension UnsafeRawBufferPointer.SubSequence {
    fileprivate var baseAddress: UnsafeRawPointer? { base.baseAddress.map { $0 + startIndex } }
}
