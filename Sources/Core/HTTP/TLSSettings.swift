// How a client speaks TLS. The protocol itself is the system's library's matter.

/// What a client asks of TLS, whoever it speaks to. Files are PEM, and are read where the
/// connection is opened.
package struct TLSSettings: Hashable, Sendable {
    /// Off: whoever answers is believed to be the server.
    package var verifiesPeer = true
    /// Authorities that replace those of the system.
    package var rootsFile: String?
    /// What the client shows of itself, the chain behind it.
    package var certificate: Certificate?

    package struct Certificate: Hashable, Sendable {
        package var file: String
        package var keyFile: String

        package init(file: String, keyFile: String) {
            self.file = file
            self.keyFile = keyFile
        }
    }

    package init() {}
}

/// Whom a client wants to speak TLS to.
package struct TLSPeer: Hashable, Sendable {
    /// A host's name or IP text: what the certificate must be for.
    package var host: String
    package var settings: TLSSettings
    /// Names of protocols of which the server must choose one (RFC 7301), of 1 to 255 bytes each;
    /// none: it is not asked.
    package var protocols: [String]

    package init(
        host: String, settings: TLSSettings = TLSSettings(), protocols: [String] = []
    ) {
        self.host = host
        self.settings = settings
        self.protocols = protocols
    }
}
