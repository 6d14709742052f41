internal import Adapters
internal import Core

/// A parameter of a query.
struct Query {
    let name: String
    let value: String?

    init(_ name: String, _ value: String? = nil) {
        self.name = name
        self.value = value
    }
}

/// Talks to one server, a connection for each request.
struct Client {
    static let defaultAddress = "http://127.0.0.1:8080"

    let endpoint: Endpoint
    /// Nil: plain http.
    let peer: TLSPeer?
    /// How long the server may be silent.
    let timeout: Duration

    /// - Parameter options: those of `RemoteOption.common`, as given.
    init(_ options: [String: String]) throws(CommandFailure) {
        var address = (text: Self.defaultAddress, source: "")
        if let text = options["--address"] {
            address = (text, "--address")
        } else if let text = environmentValue("DKRON_ADDRESS") {
            address = (text, "DKRON_ADDRESS")
        }
        endpoint = try Self.endpoint(address.text, of: address.source)
        let isSecure = address.text.lowercased().hasPrefix("https://")
        peer =
            isSecure ? TLSPeer(host: endpoint.host, settings: try Self.tlsSettings(options)) : nil
        do throws(TextError) {
            timeout = try DurationText.parse(options["--timeout"] ?? "30s")
        } catch {
            throw .usage("--timeout is a duration such as 30s: \(error).")
        }
        guard timeout > .zero else { throw .usage("--timeout is longer than nothing.") }
    }

    private static func tlsSettings(
        _ options: [String: String]
    ) throws(CommandFailure) -> TLSSettings {
        var settings = TLSSettings()
        settings.rootsFile = options["--tls-ca"] ?? environmentValue("DKRON_TLS_CA")
        let certificate = options["--tls-cert"] ?? environmentValue("DKRON_TLS_CERT")
        let key = options["--tls-key"] ?? environmentValue("DKRON_TLS_KEY")
        guard let certificate, let key else {
            guard certificate == nil, key == nil else {
                throw .usage("--tls-cert and --tls-key are given together.")
            }
            return settings
        }
        settings.certificate = .init(file: certificate, keyFile: key)
        return settings
    }

    /// Reads `http://HOST:PORT` or `https:`; scheme and port may be missing.
    static func endpoint(_ text: String, of source: String) throws(CommandFailure) -> Endpoint {
        var rest = text[...]
        for scheme in ["http://", "https://"] where text.lowercased().hasPrefix(scheme) {
            rest = rest.dropFirst(scheme.utf8.count)
        }
        if rest.last == "/" { rest.removeLast() }
        guard !rest.contains("/"), !rest.contains("?"), !rest.contains("@") else {
            throw .usage("\(source): only http://HOST:PORT is needed, not \"\(text)\".")
        }
        do throws(UsageError) {
            var endpoint = try Endpoint(String(rest), defaultPort: 8080)
            if endpoint.host.isEmpty { endpoint.host = "127.0.0.1" }
            return endpoint
        } catch {
            throw .usage("\(source): \(error).")
        }
    }

    var address: String { "\(peer == nil ? "http" : "https")://\(endpoint)" }

    // MARK: Requests

    /// Reads something. Without a leader it reads what the server knows, and says so.
    func get(_ path: [String], _ query: [Query] = []) throws(CommandFailure) -> Reply {
        let reply = try exchange(.get, path, query)
        guard reply.status == 503, reply.json?["code"]?.string == "no_leader" else {
            return try accepted(reply)
        }
        let stale = try accepted(try exchange(.get, path, query + [Query("stale")]))
        printError(
            "The cluster has no leader; this is what the server at \(address) knows, and may be"
                + " outdated.")
        return stale
    }

    /// Changes something.
    func send(
        _ method: HTTPMethod, _ path: [String], _ query: [Query] = [],
        headers: HTTPHeaders = [:], body: [UInt8] = []
    ) throws(CommandFailure) -> Reply {
        try accepted(try exchange(method, path, query, headers: headers, body: body))
    }

    /// The answer, if it tells of success.
    func accepted(_ reply: Reply) throws(CommandFailure) -> Reply {
        guard 200...299 ~= reply.status else { throw .refused(reply.refusal) }
        return reply
    }

    /// Sends a request and takes whatever is answered.
    func exchange(
        _ method: HTTPMethod, _ path: [String], _ query: [Query] = [],
        headers: HTTPHeaders = [:], body: [UInt8] = []
    ) throws(CommandFailure) -> Reply {
        let socket = try connect()
        var headers = headers
        if !body.isEmpty, !headers.contains("Content-Type") {
            headers.append("Content-Type", "application/json")
        }
        let request = HTTPRequestWriter.bytes(
            method, target: Self.target(path, query), host: endpoint.description,
            headers: headers, body: body)
        do throws(ClientSocket.Failure) {
            do throws(ClientSocket.Failure) {
                try socket.send(request, timeout: timeout)
            } catch {
                // A server that refuses a long body answers without reading it to its end.
                if error.isTimeout { throw error }
            }
            return try reply(over: socket, isRead: method == .get)
        } catch {
            throw .unreachable(silence(error, isRead: method == .get))
        }
    }

    /// Reads an answer piece by piece, for as long as it lasts.
    ///
    /// - Parameter whenSilent: called each time the time-out is over without a byte; throws to
    ///   give up.
    func stream(
        _ path: [String], _ query: [Query], head: (HTTPResponseHead) -> Void,
        body: ([UInt8]) -> Void, whenSilent: () throws(CommandFailure) -> Void
    ) throws(CommandFailure) {
        let socket = try connect()
        let request = HTTPRequestWriter.bytes(
            .get, target: Self.target(path, query), host: endpoint.description, headers: [:],
            body: [])
        do throws(ClientSocket.Failure) { try socket.send(request, timeout: timeout) } catch {
            throw .unreachable(silence(error, isRead: true))
        }
        var limits = HTTPResponseLimits()
        limits.body = .max
        var parser = HTTPResponseParser(limits: limits)
        // What is no success is gathered, for its reason.
        var refused: Reply?
        while true {
            let bytes: [UInt8]
            do throws(ClientSocket.Failure) { bytes = try socket.receive(timeout: timeout) } catch {
                guard error.isTimeout else { throw .unreachable(silence(error, isRead: true)) }
                try whenSilent()
                continue
            }
            parser.receive(bytes.span)
            if bytes.isEmpty { parser.receiveEnd() }
            while let event = parser.next() {
                switch event {
                case .head(let answer) where 200...299 ~= answer.status: head(answer)
                case .head(let answer): refused = Reply(head: answer)
                case .body(let piece) where refused == nil: body(piece)
                case .body(let piece): refused?.body += piece
                case .end:
                    if let refused { throw .refused(refused.refusal) }
                    return
                case .failure(let failure):
                    throw .unreachable(
                        "The answer of \(address) broke off: \(failure.description).")
                }
            }
        }
    }

    private func connect() throws(CommandFailure) -> ClientSocket {
        do throws(ClientSocket.Failure) {
            return try ClientSocket(endpoint, tls: peer, timeout: min(timeout, .seconds(10)))
        } catch {
            throw .unreachable(
                "There is no server at \(address): \(error.reason). Start one with `dkron agent"
                    + " --server`, or name another with --address or DKRON_ADDRESS.")
        }
    }

    private func reply(
        over socket: ClientSocket, isRead: Bool
    ) throws(ClientSocket.Failure) -> Reply {
        var limits = HTTPResponseLimits()
        limits.body = 1 << 30
        var parser = HTTPResponseParser(limits: limits)
        var reply = Reply()
        while true {
            let bytes = try socket.receive(timeout: timeout)
            parser.receive(bytes.span)
            if bytes.isEmpty { parser.receiveEnd() }
            while let event = parser.next() {
                switch event {
                case .head(let head): reply.head = head
                case .body(let piece): reply.body += piece
                case .end: return reply
                case .failure(let failure):
                    throw ClientSocket.Failure(reason: failure.description)
                }
            }
        }
    }

    private func silence(_ failure: ClientSocket.Failure, isRead: Bool) -> String {
        let what =
            failure.isTimeout
            ? "The server at \(address) has been silent for \(DurationText.print(timeout))."
            : "No answer could be read from \(address): \(failure.reason)."
        return isRead ? what : what + " What was asked for may have been done: look first."
    }

    /// An escaped path with its query.
    static func target(_ path: [String], _ query: [Query]) -> String {
        var text = path.map { "/" + HTTPEscapes.escaped($0) }.joined()
        for (index, item) in query.enumerated() {
            text += (index == 0 ? "?" : "&") + HTTPEscapes.escaped(item.name)
            if let value = item.value { text += "=" + HTTPEscapes.escaped(value) }
        }
        return text
    }
}
