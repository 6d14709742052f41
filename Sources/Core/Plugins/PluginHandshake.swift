// How a plugin and its host find each other: variables of the environment, and the first line that
// the plugin prints: `CORE|APP|NETWORK|ADDRESS|PROTOCOL|…` (the scheme of HashiCorp's go-plugin).

/// Where a plugin listens.
package enum PluginAddress: Hashable, Sendable, CustomStringConvertible {
    /// The path of a socket.
    case local(String)
    case tcp(host: String, port: UInt16)

    package var description: String {
        switch self {
        case .local(let path): path
        case .tcp(let host, let port): "\(host):\(port)"
        }
    }
}

/// Why a line is no handshake; a sentence without the full stop.
package struct PluginHandshakeError: Error, Hashable, Sendable {
    package let message: String
}

package struct PluginHandshake: Hashable, Sendable {
    package let address: PluginAddress

    /// The version that executors and processors speak, the only one that there is.
    private static let version = "1"
    /// Bytes in which the line has to end.
    static let longestLine = 4_096

    /// No secret: it keeps plugins from being run by hand.
    private static let cookie = EnvironmentEntry(
        name: "DKRON_PLUGIN_MAGIC_COOKIE",
        value: "b29a76488b6f3ca7955c5f769b50641f0fcd88748d8cedecda313d516320ca19")

    /// Says that a processor may refuse: Dkron's own servers end when one does.
    private static let refusals = EnvironmentEntry(name: "DKRON_PLUGIN_REFUSALS", value: "1")

    /// Variables that a plugin gets besides the host's own.
    package static let environment: [EnvironmentEntry] = [
        cookie, refusals,
        EnvironmentEntry(name: "PLUGIN_MIN_PORT", value: "10000"),
        EnvironmentEntry(name: "PLUGIN_MAX_PORT", value: "25000"),
        EnvironmentEntry(name: "PLUGIN_PROTOCOL_VERSIONS", value: version),
    ]

    /// Names the directory in which plugins of newer libraries make their sockets.
    package static let socketDirectoryVariable = "PLUGIN_UNIX_SOCKET_DIR"

    /// How a kind of plugin is spoken with.
    static func transport(of kind: PluginKind) -> String {
        switch kind {
        case .executor: "grpc"
        case .processor: "netrpc"
        }
    }

    // MARK: The plugin's side

    /// The line with which a plugin says where it listens, its end included.
    package static func line(_ address: PluginAddress, of kind: PluginKind) -> String {
        let network =
            switch address {
            case .local: "unix"
            case .tcp: "tcp"
            }
        return "\(version)|\(version)|\(network)|\(address)|\(transport(of: kind))|\n"
    }

    /// Why a plugin can't serve whoever has started it, by the variables of its environment; nil if
    /// it can. Whole sentences for a person.
    package static func refusal(variable: (String) -> String?) -> String? {
        guard variable(cookie.name) == cookie.value else {
            return """
                This program is a plugin of dkron and is of no use by itself: put it, or a link to \
                it, into the folder for plugins (/etc/dkron/plugins, or plugins beside the \
                configuration file), and dkron agent starts it.
                """
        }
        guard (variable("PLUGIN_CLIENT_CERT") ?? "").isEmpty else {
            return """
                The host asks for mutual TLS (PLUGIN_CLIENT_CERT), which this plugin does not \
                speak; its socket is open to nobody but the user that runs both.
                """
        }
        return nil
    }

    /// Whether the host survives a processor's refusal.
    package static func allowsRefusals(variable: (String) -> String?) -> Bool {
        variable(refusals.name) == refusals.value
    }

    // MARK: The host's side

    /// Reads the line, without its end.
    package init(
        line: some Collection<UInt8>, of kind: PluginKind
    ) throws(PluginHandshakeError) {
        let text = String(decoding: Self.trimmed(Array(line)), as: UTF8.self)
        let fields = text.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
        guard fields.count >= 4 else {
            throw Self.error(
                "the first line that it printed is no handshake of a plugin: \(Self.quoted(text))")
        }
        guard fields[0] == Self.version else {
            throw Self.error(
                "it speaks version \(Self.quoted(fields[0])) of the handshake; 1 is understood")
        }
        guard fields[1] == Self.version else {
            throw Self.error(
                "it speaks version \(Self.quoted(fields[1])) of the protocol; 1 is understood")
        }
        let transport = fields.count > 4 && !fields[4].isEmpty ? fields[4] : "netrpc"
        let wanted = Self.transport(of: kind)
        guard transport == wanted else {
            throw Self.error(
                "it speaks \(Self.quoted(transport)); \(kind.rawValue)s speak \(wanted)")
        }
        address = try Self.address(network: fields[2], fields[3])
    }

    static func address(
        network: String, _ text: String
    ) throws(PluginHandshakeError) -> PluginAddress {
        switch network {
        case "unix":
            // What the kernel takes, its final zero included.
            guard text.utf8.first == 0x2f, text.utf8.count < 108, !text.utf8.contains(0) else {
                throw error("its socket \(quoted(text)) is not the whole path of a socket")
            }
            return .local(text)
        case "tcp":
            guard let colon = text.lastIndex(of: ":"),
                let port = UInt16(text[text.index(after: colon)...]), port > 0
            else { throw error("its address \(quoted(text)) is not HOST:PORT") }
            var host = String(text[..<colon])
            if host.hasPrefix("["), host.hasSuffix("]") {
                host = String(host.dropFirst().dropLast())
            }
            guard let address = IPAddress(text: host),
                address.isIPv4 ? address.bytes.first == 127 : address.description == "::1"
            else {
                throw error("its address \(quoted(text)) is not one of this machine alone")
            }
            return .tcp(host: host, port: port)
        default:
            throw error(
                "it listens on a network of the kind \(quoted(network)); unix and tcp are known")
        }
    }

    private static func error(_ message: String) -> PluginHandshakeError {
        PluginHandshakeError(message: message)
    }

    /// Short, and without what could trouble a terminal.
    static func quoted(_ text: String) -> String {
        let shown = text.unicodeScalars.prefix(80).map {
            $0.value < 0x20 || $0.value == 0x7f ? " " : "\($0)"
        }
        return "\"\(shown.joined())\(text.unicodeScalars.count > 80 ? "…" : "")\""
    }

    private static func trimmed(_ bytes: [UInt8]) -> ArraySlice<UInt8> {
        func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || 0x09...0x0d ~= byte }
        let rest = bytes.drop(while: isBlank)
        guard let last = rest.lastIndex(where: { !isBlank($0) }) else { return [] }
        return rest[...last]
    }
}
