/// What a job's `executor_config` says when its executor is `grpc`: one call of a method that the
/// server describes itself, by reflection.
///
/// | key | value |
/// | --- | --- |
/// | `url` | required; `host:port/package.Service/Method` |
/// | `body` | the request in JSON; several behind each other for a method that takes a stream |
/// | `headers` | JSON list of `"Name: value"`; of names that end in `-bin` the value is base64 |
/// | `timeout` | whole seconds, or a Go duration; 0 is none, nothing is 30 |
/// | `expectCode` | number of the status that is a success; nothing is 0 |
/// | `tlsEnable` | true: TLS |
/// | `tlsRootCAsFile` … | as of executor `http` |
///
/// An empty value is the same as none.
package struct GRPCJob: ConversationJob {
    package private(set) var server: ConversationServer
    /// The full name, with its package.
    package private(set) var service: String
    package private(set) var method: String
    /// JSON texts, one for each message.
    package private(set) var messages: [[UInt8]]
    package private(set) var metadata: GRPCMetadata
    package private(set) var expectedCode: GRPCCode
    /// Greater than zero.
    package private(set) var timeout: Duration?

    static let table =
        [
            SettingKey("url", .text, isRequired: true, "host:port/package.Service/Method"),
            SettingKey("body", .json, "the request; several for a method that takes a stream"),
            SettingKey("headers", .json, "a list of \"Name: value\""),
            SettingKey(
                "expectCode", .number, standard: "0", "number of the status that is a success"),
            SettingKey("timeout", .duration, standard: "30s", "for the whole; 0 is none"),
            SettingKey("tlsEnable", .boolean, standard: "false", "the server speaks TLS"),
        ] + TLSSettingKeys.table
    private static let keys = table.map(\.name)

    /// Reads and checks the settings. Linear in their size.
    package static func parse(
        _ config: [(key: String, value: String)]
    ) throws(ExecutorSettingError) -> GRPCJob {
        let settings = try ExecutorSettings(config, of: "grpc", allowing: keys)
        let text = try settings.required("url", "such as \"host:50051/package.Service/Method\"")
        var (server, service, method) = try target(text)
        if let tls = try tls(settings) {
            server.tls = TLSPeer(host: server.host, settings: tls, protocols: ["h2"])
        }
        return GRPCJob(
            server: server, service: service, method: method,
            messages: try messages(settings["body"]), metadata: try metadata(settings["headers"]),
            expectedCode: try code(settings["expectCode"]), timeout: try settings.timeout())
    }

    package func begin(
        _ attempt: ConversationCall, on host: any ExecutorHost
    ) -> any Conversation {
        var job = self
        // Names and values of an attempt that can't be sent are left out: they only inform.
        for entry in attempt.identity {
            try? job.metadata.append(entry.headerName, entry.value)
        }
        return GRPCConversation(job)
    }

    /// As the request names it.
    var path: String { "/\(service)/\(method)" }

    // MARK: Settings

    private static func target(
        _ text: String
    ) throws(ExecutorSettingError) -> (ConversationServer, service: String, method: String) {
        func refusal(_ message: String) -> ExecutorSettingError {
            ExecutorSettingError(key: "url", message: "\(message), as in \(form)")
        }
        guard !text.contains("://") else {
            throw refusal("the address stands without a scheme; tlsEnable asks for TLS")
        }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        let words = parts.dropFirst()
        guard words.count == 2, words.allSatisfy(isName) else {
            throw refusal("behind the address a service and a method are wanted")
        }
        let scheme = "grpc://"
        let url: HTTPURL
        do throws(TextError) {
            url = try HTTPURL(
                scheme + parts[0], schemes: [URLScheme("grpc", isSecure: false, port: 0)])
        } catch {
            throw refusal("column \(max(1, error.column - scheme.utf8.count)): \(error.message)")
        }
        guard url.port > 0, url.userInformation == nil else {
            throw refusal("the address is a host and a port")
        }
        return (
            ConversationServer(host: url.host, port: url.port), String(parts[1]), String(parts[2])
        )
    }

    private static let form = "host:50051/package.Service/Method"

    private static func isName(_ text: Substring) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy {
                $0 | 0x20 &- 0x61 < 26 || $0 &- 0x30 < 10 || "._".utf8.contains($0)
            }
    }

    private static func tls(_ settings: ExecutorSettings) throws(ExecutorSettingError)
        -> TLSSettings?
    {
        let tls = try TLSSettingKeys.parse(settings)
        if try settings.flag("tlsEnable") { return tls }
        if let key = TLSSettingKeys.all.first(where: { settings[$0] != nil }) {
            throw ExecutorSettingError(
                key: key, message: "it says how TLS is spoken, and tlsEnable is not true")
        }
        return nil
    }

    private static func messages(_ text: String?) throws(ExecutorSettingError) -> [[UInt8]] {
        let texts = JSONSequence.split(Array((text ?? "").utf8))
        for (index, message) in texts.enumerated() {
            do throws(JSONError) { _ = try JSONDocument(message) } catch {
                let place = texts.count == 1 ? "" : "message \(index + 1): "
                throw ExecutorSettingError(
                    key: "body", message: "\(place)this is not JSON: \(error)")
            }
        }
        return texts
    }

    private static func metadata(_ text: String?) throws(ExecutorSettingError) -> GRPCMetadata {
        var metadata = GRPCMetadata()
        for (index, field) in try HeaderListText.parse(text, key: "headers").fields.enumerated() {
            func refusal(_ message: String) -> ExecutorSettingError {
                ExecutorSettingError(key: "headers", message: "entry \(index + 1): \(message)")
            }
            guard !field.name.lowercased().hasPrefix("dkron-") else {
                throw refusal("headers that begin with Dkron- are set by dkron")
            }
            guard field.name.lowercased().hasSuffix("-bin") else {
                do throws(GRPCStatus) { try metadata.append(field.name, field.value) } catch {
                    throw refusal(error.message)
                }
                continue
            }
            let bytes: [UInt8]
            do throws(TextError) { bytes = try Base64Text.decode(field.value) } catch {
                throw refusal("the value of \(field.name) must be base64: \(error)")
            }
            do throws(GRPCStatus) { try metadata.append(field.name, bytes: bytes) } catch {
                throw refusal(error.message)
            }
        }
        return metadata
    }

    private static func code(_ text: String?) throws(ExecutorSettingError) -> GRPCCode {
        guard let text else { return .ok }
        guard text.utf8.allSatisfy({ $0 &- 0x30 < 10 }), let number = UInt32(text) else {
            throw ExecutorSettingError(
                key: "expectCode",
                message: "\"\(text)\" is not the number of a status, such as 0 (OK) or 5 (NotFound)"
            )
        }
        return GRPCCode(rawValue: number)
    }
}
