package import Core
internal import Glibc
internal import Synchronization

/// What the API shows of itself, and whom it lets in. Files are PEM.
package struct TLSServerSettings: Hashable, Sendable {
    package var certificate: TLSSettings.Certificate
    /// Only clients with a certificate of one of these authorities are served.
    package var clientRootsFile: String?

    package init(certificate: TLSSettings.Certificate, clientRootsFile: String?) {
        self.certificate = certificate
        self.clientRootsFile = clientRootsFile
    }
}

/// What many connections have in common: authorities, an own certificate, versions. TLS 1.2 and
/// 1.3. Making one reads files and takes up to tens of milliseconds.
package final class TLSContext: @unchecked Sendable {
    let openSSL: TLSLibrary
    /// `SSL_CTX`, which may be used from several threads.
    let object: OpaquePointer

    private init(_ method: (TLSLibrary) -> TLSLibrary.Get) throws(CryptographyError) {
        openSSL = try TLSLibrary.load()
        openSSL.clearErrors()
        guard let object = openSSL.newContext(method(openSSL)()) else {
            throw CryptographyError("TLS: OpenSSL has no memory for a context")
        }
        self.object = object
        _ = openSSL.contextControl(
            object, TLSLibrary.setLeastVersion, TLSLibrary.version12, nil)
        _ = openSSL.contextControl(object, TLSLibrary.setMode, TLSLibrary.modes, nil)
        _ = openSSL.setOptions(object, TLSLibrary.noRenegotiation)
        // Without it OpenSSL would ask on the terminal for the password of a locked key.
        openSSL.setPassword(object) { _, _, _, _ in 0 }
    }

    deinit { openSSL.freeContext(object) }

    /// For connections to servers.
    convenience init(_ settings: TLSSettings) throws(CryptographyError) {
        try self.init { $0.clientMethod }
        if settings.verifiesPeer {
            if let file = settings.rootsFile {
                try loadRoots(file)
            } else if openSSL.useSystemRoots(object) != 1 {
                throw CryptographyError("TLS: the system's authorities can't be loaded")
            }
            openSSL.setVerify(object, TLSLibrary.verifyPeer, nil)
        }
        if let certificate = settings.certificate { try use(certificate) }
    }

    /// For connections of clients.
    package convenience init(_ settings: TLSServerSettings) throws(CryptographyError) {
        try self.init { $0.serverMethod }
        try use(settings.certificate)
        guard let file = settings.clientRootsFile else { return }
        try loadRoots(file)
        // Clients with several certificates choose by the authorities' names.
        openSSL.setClientNames(object, openSSL.loadNames(file))
        openSSL.setVerify(object, TLSLibrary.verifyPeer | TLSLibrary.verifyRequired, nil)
        // Sessions of other services are not taken up here.
        let name = Array("dkron".utf8)
        _ = openSSL.setSessionContext(object, name, UInt32(name.count))
    }

    private func loadRoots(_ file: String) throws(CryptographyError) {
        try check(file, "the file of certificate authorities")
        guard openSSL.loadRoots(object, file, nil) == 1 else {
            throw refusal(file, "holds no certificates of authorities in PEM form")
        }
    }

    private func use(_ certificate: TLSSettings.Certificate) throws(CryptographyError) {
        try check(certificate.file, "the certificate file")
        guard openSSL.useChain(object, certificate.file) == 1 else {
            throw refusal(certificate.file, "holds no certificate in PEM form")
        }
        try check(certificate.keyFile, "the key file")
        guard openSSL.useKey(object, certificate.keyFile, TLSLibrary.pem) == 1 else {
            let reason = openSSL.takeError() ?? ""
            // OpenSSL compares the key with the certificate as it reads it.
            guard !reason.contains("mismatch") else { throw mismatch(certificate) }
            throw CryptographyError(
                "TLS: \(certificate.keyFile) holds no private key in PEM form without a password"
                    + (reason.isEmpty ? "" : " (\(reason))"))
        }
        guard openSSL.checkKey(object) == 1 else { throw mismatch(certificate) }
    }

    private func mismatch(_ certificate: TLSSettings.Certificate) -> CryptographyError {
        openSSL.clearErrors()
        return CryptographyError(
            "TLS: the key in \(certificate.keyFile) is not that of the certificate in "
                + certificate.file)
    }

    private func check(_ file: String, _ role: String) throws(CryptographyError) {
        guard access(file, R_OK) == 0 else {
            throw CryptographyError("TLS: \(role) \(file) can't be read: \(errorText(errno))")
        }
    }

    private func refusal(_ file: String, _ what: String) -> CryptographyError {
        let reason = openSSL.takeError().map { " (\($0))" } ?? ""
        return CryptographyError("TLS: \(file) \(what)\(reason)")
    }

    // MARK: Kept contexts

    /// The context for settings, made anew where a file of them has changed.
    static func context(for settings: TLSSettings) throws(CryptographyError) -> TLSContext {
        let key = Key(settings)
        if let known = kept.withLock({ $0[key] }) { return known }
        let context = try TLSContext(settings)
        kept.withLock { kept in
            if kept.count >= mostKept { kept.removeAll() }
            kept[key] = context
        }
        return context
    }

    /// Settings, and which state of the files they name.
    private struct Key: Hashable {
        var settings: TLSSettings
        var files: [[Int]]

        init(_ settings: TLSSettings) {
            self.settings = settings
            let names = [
                settings.rootsFile, settings.certificate?.file, settings.certificate?.keyFile,
            ]
            files = names.map { name in
                var status = stat()
                guard let name, stat(name, &status) == 0 else { return [] }
                return [
                    Int(status.st_ino), Int(status.st_size), status.st_mtim.tv_sec,
                    status.st_mtim.tv_nsec,
                ]
            }
        }
    }

    private static let kept = Mutex<[Key: TLSContext]>([:])
    private static let mostKept = 64
}
