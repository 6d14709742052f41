/// `host:port` as people write it. An empty host means every interface.
package struct Endpoint: Hashable, Sendable, CustomStringConvertible {
    /// A host name or an IP address without brackets.
    package var host: String
    package var port: UInt16

    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// Reads `host:port`, `:port`, `host`, `[v6]:port`, `[v6]` or a bare IPv6 address.
    package init(_ text: String, defaultPort: UInt16) throws(UsageError) {
        guard !text.contains("{") else {
            throw UsageError(
                "an address template needs double braces, as in {{ GetPrivateIP }}:80, not \(text)")
        }
        guard !text.isEmpty, text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else {
            throw UsageError("an address such as 127.0.0.1:8080 is needed, not \"\(text)\"")
        }
        var host = text[...]
        var port: Substring?
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else {
                throw UsageError("the ] is missing in the address \(text)")
            }
            host = text[text.index(after: text.startIndex)..<end]
            let rest = text[text.index(after: end)...]
            guard rest.isEmpty || rest.hasPrefix(":") else {
                throw UsageError("after the ] only :port may follow in the address \(text)")
            }
            port = rest.isEmpty ? nil : rest.dropFirst()
        } else if let colon = text.lastIndex(of: ":"), text.firstIndex(of: ":") == colon {
            host = text[..<colon]
            port = text[text.index(after: colon)...]
        }
        self.host = String(host)
        if let port {
            guard port.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt16(port)
            else {
                throw UsageError("the port of the address \(text) must be a number up to 65535")
            }
            self.port = number
        } else {
            self.port = defaultPort
        }
    }

    package var description: String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    package var isEveryInterface: Bool { ["", "0.0.0.0", "::"].contains(host) }

    /// Judged by its text, so a name other than `localhost` counts as reachable from outside.
    package var isLoopback: Bool {
        host == "localhost" || host == "::1"
            || host.hasPrefix("127.") && host.utf8.allSatisfy { $0 < 0x3A }
    }
}
