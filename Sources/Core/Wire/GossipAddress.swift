/// Where a node listens for packets and streams of the gossip protocol.
package struct GossipAddress: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var ip: IPAddress
    package var port: UInt16

    package init(_ ip: IPAddress, _ port: UInt16) {
        self.ip = ip
        self.port = port
    }

    package static func < (a: GossipAddress, b: GossipAddress) -> Bool {
        (a.ip, a.port) < (b.ip, b.port)
    }

    /// `10.0.0.1:8946` or `[::1]:8946`.
    package var description: String { ip.isIPv4 ? "\(ip):\(port)" : "[\(ip)]:\(port)" }
}
