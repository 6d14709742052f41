/// Where a Docker Engine, or what speaks like one, listens.
package struct DockerHost: Hashable, Sendable {
    /// A host's name or IP text, or the path of a socket.
    package var host: String
    package var port: UInt16
    package var isSecure: Bool

    static let usualPath = "/var/run/docker.sock"

    private static let schemes = [
        URLScheme("tcp", isSecure: false, port: 2375),
        URLScheme("http", isSecure: false, port: 2375),
        URLScheme("https", isSecure: true, port: 2376),
    ]

    private init(host: String, port: UInt16, isSecure: Bool) {
        self.host = host
        self.port = port
        self.isSecure = isSecure
    }

    /// - Parameter isSecure: TLS is wanted of `tcp` too, whose port is 2376 then.
    package init(_ text: String, isSecure wantsTLS: Bool) throws(TextError) {
        if let path = Self.path(of: text) {
            guard path.utf8.first == UInt8(ascii: "/"), !path.utf8.contains(0) else {
                throw TextError(
                    column: 1,
                    "unix:// and the path of a socket is wanted, as in "
                        + "unix://\(Self.usualPath)")
            }
            self.init(host: path, port: 0, isSecure: false)
            return
        }
        var schemes = Self.schemes
        if wantsTLS { schemes[0] = URLScheme("tcp", isSecure: true, port: 2376) }
        let url: HTTPURL
        do throws(TextError) { url = try HTTPURL(text, schemes: schemes) } catch {
            throw TextError(
                column: error.column,
                "\(error.message) (unix:///path, tcp://host:port and https://host:port are "
                    + "allowed)")
        }
        guard url.userInformation == nil, url.target == "/" else {
            throw TextError(column: 1, "only a host and a port may follow tcp:// and https://")
        }
        self.init(host: url.host, port: url.port, isSecure: url.isSecure)
    }

    private static func path(of text: String) -> String? {
        text.hasPrefix("unix://") ? String(text.dropFirst("unix://".count)) : nil
    }

    /// What the environment of the node says, as Docker's own client reads it, with the usual
    /// socket for nothing.
    static func find(
        on host: any ExecutorHost
    ) throws(ExecutorHostError) -> (host: DockerHost, tls: TLSSettings) {
        var tls = TLSSettings()
        guard let text = host.variable("DOCKER_HOST") else {
            return (DockerHost(host: usualPath, port: 0, isSecure: false), tls)
        }
        let folder = host.variable("DOCKER_CERT_PATH")
        let verifies = host.variable("DOCKER_TLS_VERIFY") != nil
        if let folder {
            tls.rootsFile = "\(folder)/ca.pem"
            tls.certificate = .init(file: "\(folder)/cert.pem", keyFile: "\(folder)/key.pem")
        }
        do throws(TextError) { return (try DockerHost(text, isSecure: verifies), tls) } catch {
            throw ExecutorHostError("DOCKER_HOST is \"\(text)\": \(error.message)")
        }
    }

    func server(_ tls: TLSSettings) -> ConversationServer {
        ConversationServer(
            host: host, port: port, tls: isSecure ? TLSPeer(host: host, settings: tls) : nil)
    }
}
