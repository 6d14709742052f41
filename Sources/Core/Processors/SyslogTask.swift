/// What the processor `syslog` does: one message for an output, for the log of this machine or one
/// elsewhere (RFC 5424; over UDP RFC 5426, TCP RFC 6587 with counted octets, TLS RFC 5425).
package struct SyslogTask: Hashable, Sendable {
    package enum Target: Hashable, Sendable {
        /// The datagram socket at this path.
        case local(String)
        case datagram(host: String, port: UInt16)
        case stream(ConversationServer)
    }

    package var target = Target.local("/dev/log")
    /// RFC 5424 section 6.2.1.
    package var facility = 9
    package var severity = 6
    package var tag: String?

    static let table =
        [
            SettingKey(
                "address", .text, standard: "/dev/log",
                "the path of a local socket, or udp://, tcp:// or tls://host:port"),
            SettingKey(
                "facility", .text, standard: "cron",
                facilities.map(\.word).joined(separator: ", ")),
            SettingKey(
                "severity", .text, standard: "info",
                severities.map(\.word).joined(separator: ", ")),
            SettingKey(
                "tag", .text,
                "the program's name in the message; nothing is [dkron], elsewhere "
                    + "dkron"),
        ] + TLSSettingKeys.table

    private static let facilities: [(word: String, value: Int)] = [
        ("kern", 0), ("user", 1), ("mail", 2), ("daemon", 3), ("auth", 4), ("syslog", 5),
        ("lpr", 6), ("news", 7), ("uucp", 8), ("cron", 9), ("authpriv", 10), ("ftp", 11),
        ("local0", 16), ("local1", 17), ("local2", 18), ("local3", 19), ("local4", 20),
        ("local5", 21), ("local6", 22), ("local7", 23),
    ]
    private static let severities: [(word: String, value: Int)] = [
        ("emerg", 0), ("alert", 1), ("crit", 2), ("err", 3), ("warning", 4), ("notice", 5),
        ("info", 6), ("debug", 7),
    ]
    private static let schemes = [
        URLScheme("udp", isSecure: false, port: 514), URLScheme("tcp", isSecure: false, port: 601),
        URLScheme("tls", isSecure: true, port: 6514),
    ]

    init(_ settings: ExecutorSettings) throws(ExecutorSettingError) {
        let tls = try TLSSettingKeys.parse(settings)
        if let text = settings["address"] { target = try Self.target(text, tls) }
        facility = try settings.choice("facility", Self.facilities) ?? facility
        severity = try settings.choice("severity", Self.severities) ?? severity
        tag = settings["tag"]
        guard tag?.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) ?? true, tag?.utf8.count ?? 0 <= 48
        else {
            throw ExecutorSettingError(
                key: "tag", message: "a tag is up to 48 printable characters without blanks")
        }
    }

    private static func target(
        _ text: String, _ tls: TLSSettings
    ) throws(ExecutorSettingError) -> Target {
        if text.utf8.first == UInt8(ascii: "/") {
            guard text.utf8.count < 108, !text.utf8.contains(0) else {
                throw ExecutorSettingError(
                    key: "address", message: "the path of a socket has at most 107 bytes")
            }
            return .local(text)
        }
        do throws(TextError) {
            let url = try HTTPURL(text, schemes: schemes)
            if url.isSecure {
                let peer = TLSPeer(host: url.host, settings: tls)
                return .stream(ConversationServer(host: url.host, port: url.port, tls: peer))
            }
            return text.lowercased().hasPrefix("udp:")
                ? .datagram(host: url.host, port: url.port)
                : .stream(ConversationServer(host: url.host, port: url.port))
        } catch {
            throw ExecutorSettingError(
                key: "address",
                message: "\"\(text)\" is neither the path of a socket nor a URL with udp, tcp or "
                    + "tls: \(error)")
        }
    }

    // MARK: Messages

    /// The number in front of a message.
    private var priority: String { "<\(facility * 8 + severity)>" }

    /// The message for a local socket, as the C library's `syslog` writes it, in UTC.
    package func localMessage(_ output: ArraySlice<UInt8>, at time: WallTime) -> [UInt8] {
        // `Sun, 06 Nov 1994 08:49:37 GMT`
        let date = Array(HTTPDate.text(time).utf8)
        var day = Array(date[5..<7])
        if day[0] == UInt8(ascii: "0") { day[0] = UInt8(ascii: " ") }
        var message = Array(priority.utf8)
        message += date[8..<11] + [0x20] + day + [0x20] + date[17..<25]
        message += " \(tag ?? "[dkron]"): ".utf8
        message += output.map { $0 == 0 ? 0x20 : $0 }
        return message
    }

    /// A message of RFC 5424.
    package func message(
        _ output: ArraySlice<UInt8>, of execution: ProcessedExecution, at time: WallTime
    ) -> [UInt8] {
        var message = Array("\(priority)1 \(RFC3339.print(time)) ".utf8)
        message += Self.word(execution.reportingNode.text, most: 255)
        message += " \(tag ?? "dkron") - ".utf8
        message += Self.word(execution.id.text, most: 32)
        // 32473 is the number that RFC 5612 keeps for examples: we have none of our own.
        message += " [dkron@32473".utf8
        for (name, value) in [
            ("job", execution.job.text), ("execution", execution.id.text),
            ("node", execution.node.text), ("state", execution.state.text),
        ] {
            message += " \(name)=\"".utf8
            for byte in value.utf8 {
                if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
                    || byte == UInt8(ascii: "]")
                {
                    message.append(UInt8(ascii: "\\"))
                }
                message.append(byte)
            }
            message.append(UInt8(ascii: "\""))
        }
        return message + "] ".utf8 + output
    }

    private static func word(_ text: String, most: Int) -> [UInt8] {
        let bytes = text.utf8.prefix(most).map { $0 > 0x20 && $0 < 0x7f ? $0 : UInt8(ascii: "_") }
        return bytes.isEmpty ? [UInt8(ascii: "-")] : bytes
    }

    /// Pieces of an output of which each fits a datagram, cut at ends of lines where there are any.
    package static func pieces(_ output: [UInt8]) -> [ArraySlice<UInt8>] {
        var pieces: [ArraySlice<UInt8>] = []
        var rest = output[...]
        while rest.count > mostPiece {
            let part = rest.prefix(mostPiece)
            let end = part.lastIndex(of: 0x0a).map { $0 + 1 } ?? part.endIndex
            pieces.append(rest[..<end])
            rest = rest[end...]
        }
        pieces.append(rest)
        return pieces
    }

    private static let mostPiece = 32 << 10
}
