// What the settings of executors have in common.

/// A setting that an executor refuses.
package struct ExecutorSettingError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The key of the settings at fault.
    package let key: String
    /// A sentence without the full stop, with the column where one is at fault.
    package let message: String

    package init(key: String, message: String) {
        self.key = key
        self.message = message
    }

    package var description: String { "\(key): \(message)" }
}

/// The settings of one executor, all of which it knows. An empty value is the same as none.
struct ExecutorSettings {
    private var values: [String: String] = [:]

    /// Refuses what the executor does not know.
    /// - Parameter kind: the word for what has the settings, where it is no executor.
    init(
        _ config: [(key: String, value: String)], of executor: String, kind: String = "executor",
        allowing keys: [String]
    ) throws(ExecutorSettingError) {
        for (key, value) in config {
            guard keys.contains(key) else {
                let names = keys.sorted().joined(separator: ", ")
                throw ExecutorSettingError(
                    key: key,
                    message: "the \(executor) \(kind) has no setting \"\(key)\"; it has \(names)")
            }
            values[key] = value.isEmpty ? nil : value
        }
    }

    subscript(key: String) -> String? { values[key] }

    /// - Parameter example: the rest of the refusal of nothing: `such as …`.
    func required(
        _ key: String, _ example: String
    ) throws(ExecutorSettingError) -> String {
        guard let value = values[key] else {
            throw ExecutorSettingError(key: key, message: "a \(key) is required, \(example)")
        }
        return value
    }

    /// Go's words for truth; nothing is false.
    func flag(_ key: String) throws(ExecutorSettingError) -> Bool {
        switch values[key] {
        case nil, "0", "f", "F", "FALSE", "false", "False": return false
        case "1", "t", "T", "TRUE", "true", "True": return true
        case let text?:
            throw ExecutorSettingError(
                key: key, message: "\"\(text)\" is neither true nor false")
        }
    }

    /// Of settings that any text switches on, as it always did; but a written "false" means it.
    func isOn(_ key: String) -> Bool {
        ![nil, "0", "f", "F", "FALSE", "false", "False"].contains(self[key])
    }

    /// The setting `debug`.
    var isVerbose: Bool { isOn("debug") }

    /// The setting `timeout`; nothing is 30 seconds, nil none.
    func timeout() throws(ExecutorSettingError) -> Duration? {
        self["timeout"] == nil
            ? .seconds(30) : try TimeoutText.parse(self["timeout"], key: "timeout")
    }
}

/// The settings that say how TLS is spoken.
enum TLSSettingKeys {
    static let table = [
        SettingKey("tlsCertificateFile", .text, "a client certificate, PEM, with its chain"),
        SettingKey("tlsCertificateKeyFile", .text, "the key of the client certificate, PEM"),
        SettingKey(
            "tlsNoVerifyPeer", .boolean, standard: "false", "believe whoever answers"),
        SettingKey("tlsRootCAsFile", .text, "authorities in place of the system's, PEM"),
    ]
    static let all = table.map(\.name)

    static func parse(_ settings: ExecutorSettings) throws(ExecutorSettingError) -> TLSSettings {
        var tls = TLSSettings()
        tls.verifiesPeer = try !settings.flag("tlsNoVerifyPeer")
        tls.rootsFile = settings["tlsRootCAsFile"]
        let pair = ["tlsCertificateFile", "tlsCertificateKeyFile"]
        switch (settings[pair[0]], settings[pair[1]]) {
        case (nil, nil): break
        case (let file?, let keyFile?): tls.certificate = .init(file: file, keyFile: keyFile)
        case (let file, _):
            throw ExecutorSettingError(
                key: file == nil ? pair[0] : pair[1],
                message: "a client certificate needs both \(pair[0]) and \(pair[1])")
        }
        return tls
    }
}

/// A JSON list of `"Name: value"`.
enum HeaderListText {
    static func parse(
        _ text: String?, key: String
    ) throws(ExecutorSettingError) -> HTTPHeaders {
        guard let text else { return [:] }
        func refusal(_ message: String) -> ExecutorSettingError {
            ExecutorSettingError(key: key, message: message)
        }
        let document: JSONDocument
        do throws(JSONError) { document = try JSONDocument(Array(text.utf8)) } catch {
            throw refusal("this is not JSON: \(error)")
        }
        guard document.kind(of: document.root) == .array else { throw refusal(form) }
        var headers: HTTPHeaders = [:]
        for (index, element) in document.elements(of: document.root).enumerated() {
            guard let line = document.string(element) else {
                throw refusal("entry \(index + 1) is not a string; \(form)")
            }
            do throws(TextError) {
                let (name, value) = try field(line)
                headers.append(name, value)
            } catch {
                throw refusal("entry \(index + 1)\(error.message)")
            }
        }
        return headers
    }

    /// Split at the first colon: what follows may hold more of them.
    private static func field(_ line: String) throws(TextError) -> (String, String) {
        guard let colon = line.utf8.firstIndex(of: 0x3a) else {
            throw TextError(column: 1, " has no colon; \(form)")
        }
        let name = trimmed(line.utf8[..<colon])
        let value = trimmed(line.utf8[line.utf8.index(after: colon)...])
        guard !name.isEmpty, name.utf8.allSatisfy(HTTPSyntax.isToken) else {
            throw TextError(
                column: 1,
                ": \"\(name)\" is not a header's name; letters, digits and hyphens are allowed")
        }
        guard !value.utf8.contains(where: HTTPSyntax.isControl) else {
            throw TextError(
                column: 1, ": the value of \(name) holds a control character")
        }
        return (name, value)
    }

    private static func trimmed(_ text: Substring.UTF8View) -> String {
        let rest = text.drop(while: HTTPSyntax.isSpace)
        guard let last = rest.lastIndex(where: { !HTTPSyntax.isSpace($0) }) else { return "" }
        return String(Substring(rest[...last]))
    }

    private static let form = #"a list of "Name: value" is wanted, such as ["Accept: text/plain"]"#
}

/// Time-outs: whole seconds, or a Go duration; 0 is none.
enum TimeoutText {
    static func parse(
        _ text: String?, key: String
    ) throws(ExecutorSettingError) -> Duration? {
        guard let text else { return nil }
        let duration: Duration
        if text.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) {
            guard let seconds = Int64(text), seconds <= Duration.max.wholeSeconds else {
                throw ExecutorSettingError(
                    key: key,
                    message: "\(text) seconds are too many; at most "
                        + "\(Duration.max.wholeSeconds) are allowed")
            }
            duration = .seconds(seconds)
        } else {
            do throws(TextError) { duration = try DurationText.parse(text) } catch {
                throw ExecutorSettingError(key: key, message: error.description)
            }
        }
        guard duration >= .zero else {
            throw ExecutorSettingError(key: key, message: "\(text) is negative")
        }
        return duration == .zero ? nil : duration
    }
}
