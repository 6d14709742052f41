/// Where a node listens for packets and streams of the gossip protocol.
package struct GossipAddress: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var ip: IPAddress
    package var port: UInt16

    package init(_ ip: IPAddress, _ port: UInt16) {
        self.ip = ip
        self.port = port
    }

    /// `10.0.0.1:8946` or `[::1]:8946`; nil for anything else.
    package init?(text: String) {
        guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")),
            let port = UInt16(text[text.utf8.index(after: colon)...]), port > 0
        else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.utf8.contains(UInt8(ascii: ":")) {
            return nil
        }
        guard let ip = IPAddress(text: String(host)) else { return nil }
        self.init(ip, port)
    }

    package static func < (a: GossipAddress, b: GossipAddress) -> Bool {
        (a.ip, a.port) < (b.ip, b.port)
    }

    /// `10.0.0.1:8946` or `[::1]:8946`.
    package var description: String { ip.isIPv4 ? "\(ip):\(port)" : "[\(ip)]:\(port)" }
}
