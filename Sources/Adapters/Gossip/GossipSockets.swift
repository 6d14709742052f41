package import Core
internal import Glibc

extension SocketAddress {
    /// - Parameter family: of the socket that will use it; an IPv6 socket reaches an IPv4 address
    ///   by its mapped form. Nil if an IPv4 socket can't reach it.
    init?(_ address: GossipAddress, family: Int32) {
        switch (family, address.ip.isIPv4) {
        case (AF_INET, true): self.init(ipv4: address.ip.bytes, port: address.port)
        case (AF_INET6, false): self.init(ipv6: address.ip.bytes, port: address.port)
        case (AF_INET6, true):
            let prefix = [UInt8](repeating: 0, count: 10) + [0xff, 0xff]
            self.init(ipv6: prefix + address.ip.bytes, port: address.port)
        default: return nil
        }
    }

    private init(ipv4 bytes: [UInt8], port: UInt16) {
        self.init()
        var value = sockaddr_in()
        value.sin_family = sa_family_t(AF_INET)
        value.sin_port = port.bigEndian
        withUnsafeMutableBytes(of: &value.sin_addr) { $0.copyBytes(from: bytes) }
        store(value)
    }

    private init(ipv6 bytes: [UInt8], port: UInt16) {
        self.init()
        var value = sockaddr_in6()
        value.sin6_family = sa_family_t(AF_INET6)
        value.sin6_port = port.bigEndian
        withUnsafeMutableBytes(of: &value.sin6_addr) { $0.copyBytes(from: bytes) }
        store(value)
    }

    private mutating func store<Address>(_ value: Address) {
        length = socklen_t(MemoryLayout<Address>.size)
        withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: value, as: Address.self) }
    }

    /// Nil if it is of another family.
    package var gossip: GossipAddress? {
        withUnsafeBytes(of: storage) { bytes in
            switch family {
            case AF_INET:
                let value = bytes.loadUnaligned(as: sockaddr_in.self)
                return withUnsafeBytes(of: value.sin_addr) { IPAddress(Array($0)) }
                    .map { GossipAddress($0, UInt16(bigEndian: value.sin_port)) }
            case AF_INET6:
                let value = bytes.loadUnaligned(as: sockaddr_in6.self)
                return withUnsafeBytes(of: value.sin6_addr) { IPAddress(Array($0)) }
                    .map { GossipAddress($0, UInt16(bigEndian: value.sin6_port)) }
            default: return nil
            }
        }
    }
}

/// A bound socket for packets.
struct PacketSocket {
    let descriptor: Int32
    let family: Int32

    /// Receives on the address and port.
    init(_ address: SocketAddress) throws(SystemError) {
        let flags = Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = socket(address.family, flags, 0)
        guard descriptor >= 0 else { throw .last("make a socket for packets") }
        if address.family == AF_INET6 {
            // `::` takes IPv4 packets too, whatever the machine's default is.
            var off: Int32 = 0
            setsockopt(
                descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &off,
                socklen_t(MemoryLayout<Int32>.size))
        }
        // Bursts of a large cluster wait here while a step is under way. The kernel gives less if
        // it is told to.
        var room: Int32 = 2 << 20
        setsockopt(
            descriptor, SOL_SOCKET, SO_RCVBUF, &room, socklen_t(MemoryLayout<Int32>.size))
        guard address.withSocketAddress({ bind(descriptor, $0, $1) }) == 0 else {
            let error = SystemError.last("bind")
            close(descriptor)
            throw error
        }
        self.descriptor = descriptor
        family = address.family
    }
}

/// One stream of the gossip protocol: a message from whoever opened it, and perhaps an answer.
final class GossipConnection {
    enum Role {
        case asking(GossipExchange)
        case asked
    }
    let descriptor: Int32
    let serial: UInt64
    let peer: GossipAddress
    let role: Role
    var isOpen: Bool
    var frame: GossipFrame
    var outgoing: ArraySlice<UInt8> = []
    var isAnswered = false
    /// The other side says nothing more.
    var isAtEnd = false
    var interest: EventLoop.Interest = []
    /// Of one that somebody else opened; the time of our own is Core's matter.
    let endsAt: Instant

    init(
        _ descriptor: Int32, _ serial: UInt64, _ peer: GossipAddress, _ role: Role,
        isOpen: Bool, endsAt: Instant
    ) {
        self.descriptor = descriptor
        self.serial = serial
        self.peer = peer
        self.role = role
        self.isOpen = isOpen
        self.endsAt = endsAt
        frame = GossipFrame(limit: GossipFrame.mostBytes + GossipSeal.overhead + 5)
    }
}
