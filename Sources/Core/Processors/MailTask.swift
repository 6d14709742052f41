/// What the processor `email` does: it sends the output to some people.
package struct MailTask: Hashable, Sendable {
    package var host: String
    package var port: UInt16
    package var security: MailSecurity
    package var tls: TLSSettings
    package var user: String?
    package var password: String?
    package var sender: String
    package var recipients: [String]
    package var subjectPrefix: String
    /// Otherwise failures alone are worth a mail.
    package var tellsSuccess: Bool
    /// Nil sends the output, or why there is none.
    package var payload: ReportTemplate?

    static let table =
        [
            SettingKey("host", .text, isRequired: true, "the mail server, a name or an address"),
            SettingKey("port", .number, standard: "25", "465 if tls is implicit"),
            SettingKey(
                "tls", .text, standard: "offered",
                "offered (STARTTLS where there is some), required, implicit or none"),
            SettingKey("username", .text, "with a password: who sends"),
            SettingKey("password", .secret, "never sent without TLS but to this very machine"),
            SettingKey("from", .text, isRequired: true, "the sender's address"),
            SettingKey("to", .list, isRequired: true, "addresses with commas between them"),
            SettingKey("subject_prefix", .text, "in front of the subject"),
            SettingKey(
                "on_success", .boolean, standard: "false", "tell successes too, not only failures"),
        ] + TLSSettingKeys.table

    private static let securities: [(word: String, value: MailSecurity)] = [
        ("offered", .offered), ("required", .required), ("implicit", .implicit), ("none", .none),
    ]

    init(_ settings: ExecutorSettings) throws(ExecutorSettingError) {
        host = settings["host"] ?? ""
        security = try settings.choice("tls", Self.securities) ?? .offered
        let standard = security == .implicit ? 465 : 25
        let number = try settings.number("port", most: 65_535) ?? standard
        port = UInt16(number == 0 ? standard : number)
        tls = try TLSSettingKeys.parse(settings)
        (user, password) = (settings["username"], settings["password"])
        guard (user == nil) == (password == nil) else {
            throw ExecutorSettingError(
                key: user == nil ? "username" : "password",
                message: "a username and a password belong together")
        }
        sender = try Self.address(settings["from"] ?? "", "from")
        recipients = []
        for part in (settings["to"] ?? "").split(separator: ",") {
            let trimmed = part.drop { $0 == " " }
            let end = trimmed.lastIndex { $0 != " " }
            let address = end.map { trimmed[...$0] } ?? ""
            recipients.append(try Self.address(String(address), "to"))
        }
        guard !recipients.isEmpty, recipients.count <= 100 else {
            throw ExecutorSettingError(key: "to", message: "1 to 100 addresses are wanted")
        }
        subjectPrefix = settings["subject_prefix"] ?? ""
        tellsSuccess = try settings.flag("on_success")
    }

    /// Mails whose recipients are filled in later.
    /// - Parameters:
    ///   - port: 465 speaks TLS from the first byte on, others as the server offers it.
    ///   - sender: an address, perhaps as `Name <address>`.
    init(
        host: String, port: UInt16, user: String?, password: String?, sender: String,
        subjectPrefix: String, payload: ReportTemplate?
    ) throws(ExecutorSettingError) {
        self.host = host
        self.port = port
        security = port == 465 ? .implicit : .offered
        tls = TLSSettings()
        (self.user, self.password) = (user, password)
        self.sender = try Self.address(Self.bareAddress(sender[...]), "from")
        recipients = []
        self.subjectPrefix = subjectPrefix
        tellsSuccess = true
        self.payload = payload
    }

    /// The addresses of a list with commas between them, each perhaps as `Name <address>`, and what
    /// there is none.
    static func addresses(in list: String) -> (valid: [String], others: [String]) {
        var (valid, others): ([String], [String]) = ([], [])
        for part in list.split(separator: ",") {
            let text = bareAddress(part)
            if text.isEmpty { continue }
            if let address = try? address(text, "to") {
                if !valid.contains(address) { valid.append(address) }
            } else {
                others.append(text)
            }
        }
        return (Array(valid.prefix(100)), others)
    }

    private static func bareAddress(_ text: Substring) -> String {
        func trimmed(_ text: Substring) -> Substring {
            let rest = text.drop { $0 == " " || $0 == "\t" }
            let end = rest.lastIndex { $0 != " " && $0 != "\t" }
            return end.map { rest[...$0] } ?? ""
        }
        let whole = trimmed(text)
        guard whole.last == ">", let start = whole.lastIndex(of: "<") else { return String(whole) }
        return String(trimmed(whole[whole.index(after: start)...].dropLast()))
    }

    private static func address(
        _ text: String, _ key: String
    ) throws(ExecutorSettingError) -> String {
        let isPlain = text.utf8.allSatisfy {
            $0 > 0x20 && $0 != 0x7f && $0 != UInt8(ascii: "<") && $0 != UInt8(ascii: ">")
        }
        guard isPlain, text.utf8.contains(UInt8(ascii: "@")), text.utf8.count <= 320 else {
            throw ExecutorSettingError(
                key: key, message: "\"\(text)\" is not an address, such as ops@example.com")
        }
        return text
    }

    // MARK: The mail

    package func delivery(
        of execution: ProcessedExecution, _ output: [UInt8], at time: WallTime, timeout: Duration
    ) -> MailDelivery {
        let word = execution.state == .success ? "Success" : "Failed"
        let body =
            payload?.filled(execution, output)
            ?? (output.isEmpty ? Array(execution.error.utf8) : output)
        var delivery = MailDelivery(
            host: host, port: port, sender: sender, recipients: recipients,
            message: MailText.message(
                from: sender, to: recipients,
                subject: "\(subjectPrefix)\(word) \(execution.job) execution report",
                id: "\(execution.id).\(execution.attempt)@\(execution.reportingNode)",
                at: time, body: body),
            timeout: timeout)
        delivery.security = security
        delivery.tls = tls
        (delivery.user, delivery.password) = (user, password)
        return delivery
    }
}

/// Mails as text (RFC 5322, RFC 2045, RFC 2047).
enum MailText {
    /// A mail with one part of text, in Base64: an output holds anything.
    static func message(
        from sender: String, to recipients: [String], subject: String, id: String,
        at time: WallTime, body: [UInt8]
    ) -> [UInt8] {
        let date = HTTPDate.text(time).dropLast(3) + "+0000"
        let name = id.utf8.map {
            $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "<") && $0 != UInt8(ascii: ">")
                ? $0 : UInt8(ascii: "_")
        }
        let head = [
            "From: <\(sender)>",
            "To: " + recipients.map { "<\($0)>" }.joined(separator: ",\r\n "),
            "Subject: \(encodedWord(subject))",
            "Date: \(date)",
            "Message-ID: <\(String(decoding: name, as: UTF8.self))>",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: base64",
            "Auto-Submitted: auto-generated",
        ]
        var bytes = Array(head.joined(separator: "\r\n").utf8)
        bytes += "\r\n\r\n".utf8
        // 57 bytes make a line of 76 characters.
        var start = 0
        while start < body.count {
            let end = min(start + 57, body.count)
            bytes += Base64Text.encode(Array(body[start..<end])).utf8
            bytes += "\r\n".utf8
            start = end
        }
        return bytes
    }

    /// A subject as it is if it is plain, else as words of RFC 2047 of which none holds half a
    /// character.
    static func encodedWord(_ text: String) -> String {
        if text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7f }), !text.hasPrefix("=?") { return text }
        var words: [String] = []
        var word: [UInt8] = []
        for scalar in text.unicodeScalars {
            let bytes = Array(String(scalar).utf8)
            if word.count + bytes.count > 42 {
                words.append(Base64Text.encode(word))
                word = []
            }
            word += bytes
        }
        words.append(Base64Text.encode(word))
        return words.map { "=?utf-8?B?\($0)?=" }.joined(separator: "\r\n ")
    }
}
