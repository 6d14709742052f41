internal import Core
internal import Glibc

/// The TLS of one connection, on a socket that blocks nobody. Never for two threads at a time.
final class TLSSession: @unchecked Sendable {
    enum Role: Sendable {
        case client(TLSPeer)
        case server(TLSContext)
    }

    enum Step: Sendable {
        case done
        /// Once more when the socket is ready for this.
        case waits(for: EventLoop.Interest)
        case failed(String)
    }

    private let role: Role
    private let descriptor: Int32
    private var context: TLSContext?
    /// `SSL`
    private var object: OpaquePointer?
    /// Why nothing can be moved on it any more.
    private var failure: String?

    /// - Parameter descriptor: a connected socket, which outlives the session.
    init(_ role: Role, on descriptor: Int32) {
        self.role = role
        self.descriptor = descriptor
    }

    deinit {
        guard let object, let openSSL = context?.openSSL else { return }
        openSSL.freeSession(object)
    }

    // MARK: Handshake

    /// Agrees with the other side, as far as what has arrived allows. Reads files at the first
    /// call and computes for up to milliseconds: for a thread of its own.
    func handshake() -> Step {
        if object == nil {
            do throws(CryptographyError) { try begin() } catch {
                return .failed(error.description)
            }
        }
        guard let object, let openSSL = context?.openSSL else { return .failed("TLS failed") }
        openSSL.clearErrors()
        let result = openSSL.handshake(object)
        if result == 1 {
            guard hasProtocol(openSSL, object) else { return .failed(otherProtocol) }
            return .done
        }
        switch openSSL.outcome(object, result) {
        case TLSLibrary.wantsRead: return .waits(for: .read)
        case TLSLibrary.wantsWrite: return .waits(for: .write)
        case let outcome: return .failed(reason(outcome, openSSL, object))
        }
    }

    private func begin() throws(CryptographyError) {
        let context: TLSContext
        switch role {
        case .client(let peer): context = try TLSContext.context(for: peer.settings)
        case .server(let own): context = own
        }
        let openSSL = context.openSSL
        guard let object = openSSL.newSession(context.object),
            openSSL.setDescriptor(object, descriptor) == 1
        else { throw CryptographyError("TLS: OpenSSL has no memory for a connection") }
        self.context = context
        self.object = object
        switch role {
        case .server: openSSL.accepting(object)
        case .client(let peer):
            openSSL.connecting(object)
            guard expect(peer, openSSL, object) else {
                throw CryptographyError("TLS: \"\(peer.host)\" is no name of a server")
            }
            let names = peer.protocols.flatMap { [UInt8($0.utf8.count)] + $0.utf8 }
            guard names.isEmpty || openSSL.setProtocols(object, names, UInt32(names.count)) == 0
            else { throw CryptographyError("TLS: OpenSSL has no memory for a connection") }
        }
    }

    /// Whether the server has chosen one of the protocols that it was offered, if it was.
    private func hasProtocol(_ openSSL: TLSLibrary, _ object: OpaquePointer) -> Bool {
        guard case .client(let peer) = role, !peer.protocols.isEmpty else { return true }
        var chosen: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        openSSL.chosenProtocol(object, &chosen, &count)
        let name = UnsafeBufferPointer(start: chosen, count: Int(count))
        return peer.protocols.contains { $0.utf8.elementsEqual(name) }
    }

    private var otherProtocol: String {
        guard case .client(let peer) = role else { return "TLS failed" }
        return "TLS: the server does not speak \(peer.protocols.joined(separator: " or "))"
    }

    /// Says whom it wants, and for whom the certificate must be.
    private func expect(
        _ peer: TLSPeer, _ openSSL: TLSLibrary, _ object: OpaquePointer
    ) -> Bool {
        let isAddress = IPAddress(text: peer.host) != nil
        if isAddress, peer.settings.verifiesPeer {
            guard let parameters = openSSL.parameters(object),
                openSSL.setAddress(parameters, peer.host) == 1
            else { return false }
        } else if peer.settings.verifiesPeer, openSSL.setHost(object, peer.host) != 1 {
            return false
        }
        // An address is no server name (RFC 6066, section 3).
        if isAddress { return true }
        var name = Array(peer.host.utf8CString)
        return name.withUnsafeMutableBytes {
            openSSL.sessionControl(object, TLSLibrary.setServerName, 0, $0.baseAddress) == 1
        }
    }

    private func reason(
        _ outcome: Int32, _ openSSL: TLSLibrary, _ object: OpaquePointer
    ) -> String {
        let code = errno
        let reason = words(outcome, code, openSSL, object)
        // What the other side said before it went away may still be there.
        if outcome != TLSLibrary.failedOutside { failure = reason }
        return reason
    }

    private func words(
        _ outcome: Int32, _ code: Int32, _ openSSL: TLSLibrary, _ object: OpaquePointer
    ) -> String {
        let verdict = openSSL.verifyResult(object)
        let text = openSSL.takeError()
        if outcome == TLSLibrary.failedInside, verdict != 0, text == "certificate verify failed" {
            return certificateReason(verdict, openSSL)
        }
        switch (outcome, text) {
        case (_, "unexpected eof while reading"?),
            (TLSLibrary.failedOutside, nil) where code == 0:
            return "TLS: the other side closed the connection in the middle of it"
        case (_, "wrong version number"?), (_, "packet length too long"?):
            return "TLS: the other side does not speak TLS"
        case (_, "http request"?):
            return Self.plainRequest
        case (_, let text?) where text.hasSuffix("alert certificate required"):
            return "TLS: the other side asks for a certificate"
        case (_, let text?) where text.hasSuffix("alert unknown ca"):
            return "TLS: the other side does not trust the authority of this side's certificate"
        case (_, let text?) where text.hasSuffix("alert no application protocol"):
            return otherProtocol
        case (_, let text?): return "TLS: \(text)"
        case (TLSLibrary.failedOutside, nil): return "TLS: \(errorText(code))"
        case (_, nil): return "TLS: the connection ended"
        }
    }

    /// What a server says of a client that speaks plain HTTP to it.
    static let plainRequest = "TLS: the client speaks plain http"

    /// Numbers of `x509_vfy.h`; the rest says what OpenSSL says.
    private func certificateReason(_ verdict: Int, _ openSSL: TLSLibrary) -> String {
        let whose: String
        let expected: String
        switch role {
        case .client(let peer): (whose, expected) = ("server's", peer.host)
        case .server: (whose, expected) = ("client's", "this client")
        }
        let rest =
            switch verdict {
            case 9: "is not valid yet; compare the clocks"
            case 10: "has expired"
            case 18: "is signed by itself, and is not among the trusted authorities"
            case 19, 20, 21: "is of an authority that is not trusted"
            case 23: "is revoked"
            case 62, 64: "is for another name than \(expected)"
            default:
                "is not accepted: "
                    + (openSSL.verifyText(verdict).map { String(cString: $0) } ?? "\(verdict)")
            }
        return "TLS: the \(whose) certificate \(rest)"
    }

    // MARK: Bytes

    /// - Parameter buffer: at least 16 KiB, the most that a record holds: else a rest could stay
    ///   inside, and the socket would not tell.
    func read(into buffer: UnsafeMutableBufferPointer<UInt8>) -> StreamSocket.Moved {
        if let failure { return .failed(failure) }
        guard let object, let openSSL = context?.openSSL else { return .end }
        openSSL.clearErrors()
        let count = openSSL.read(object, buffer.baseAddress, Int32(clamping: buffer.count))
        return count > 0 ? .bytes(Int(count)) : moved(count, openSSL, object)
    }

    /// Not of nothing. After `.blocked` the same bytes come first the next time.
    func write(_ bytes: UnsafeRawBufferPointer) -> StreamSocket.Moved {
        if let failure { return .failed(failure) }
        guard let object, let openSSL = context?.openSSL else { return .end }
        openSSL.clearErrors()
        let count = openSSL.write(object, bytes.baseAddress, Int32(clamping: bytes.count))
        return count > 0 ? .bytes(Int(count)) : moved(count, openSSL, object)
    }

    private func moved(
        _ count: Int32, _ openSSL: TLSLibrary, _ object: OpaquePointer
    ) -> StreamSocket.Moved {
        switch openSSL.outcome(object, count) {
        case TLSLibrary.wantsRead, TLSLibrary.wantsWrite: .blocked
        case TLSLibrary.isEnded: .end
        case let outcome: .failed(reason(outcome, openSSL, object))
        }
    }

    /// Says that nothing more comes. The other side may still speak.
    func sayEnd() {
        guard let object, let openSSL = context?.openSSL, failure == nil else { return }
        openSSL.clearErrors()
        _ = openSSL.shutdown(object)
        openSSL.clearErrors()
    }
}
