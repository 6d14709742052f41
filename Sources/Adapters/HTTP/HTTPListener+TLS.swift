package import Core
internal import Glibc

// Clients that speak TLS, until they and the listener agree about it.

extension HTTPListener {
    /// From now on speaks TLS to new clients.
    package func useTLS(_ settings: TLSServerSettings) throws(CryptographyError) {
        tls = (settings, try TLSContext(settings))
    }

    /// Reads the files again. What held before goes on to hold if there is anything wrong.
    package func renewCertificate() {
        guard let settings = tls?.settings else { return }
        let path = LogRecord.Field("path", settings.certificate.file)
        do throws(CryptographyError) {
            try useTLS(settings)
            log.write(.info, "http: certificate read again", [path])
        } catch {
            log.write(
                .error, "http: the new certificate is not taken, the one before goes on to hold",
                [path, .init("error", error.description)])
        }
    }

    func agree(_ client: HTTPClient) {
        loop.forget(client.socket.descriptor)
        client.interest = nil
        handshakes.advance(client.socket, as: .init(.connection, client.serial))
    }

    /// Takes the answer to a step of a handshake.
    package func advanced(
        _ answer: TLSHandshakes.Answer, at now: Now, into inputs: inout [Input]
    ) {
        guard let client = clients[answer.token.number] else { return }
        switch answer.step {
        case .waits(let interest):
            client.interest = interest
            loop.watch(client.socket.descriptor, for: interest, as: answer.token)
        case .done:
            client.isAgreeing = false
            advance(client, at: now, into: &inputs)
        case .failed(let reason):
            // The library has told the client already, if it speaks TLS.
            let isPlain = reason == TLSSession.plainRequest
            dismiss(client.socket, isPlain ? Self.plainAnswer : [])
            if !isPlain {
                logRefusal(
                    "http: a client was not understood",
                    [.init("client", client.address), .init("reason", reason)],
                    at: now.monotonic)
            }
            drop(client, into: &inputs)
        }
    }

    private static let plainAnswer: [UInt8] = {
        let body =
            #"{"error":"this port speaks https; begin the URL with https://","#
            + #""code":"https_wanted"}"#
        let head = [
            "HTTP/1.1 400 Bad Request", "Content-Type: application/json; charset=utf-8",
            "Content-Length: \(body.utf8.count)", "Connection: close", "", "",
        ]
        return Array((head.joined(separator: "\r\n") + body).utf8)
    }()
}
