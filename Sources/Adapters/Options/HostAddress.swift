internal import Glibc

/// An address of one of this machine's interfaces.
package struct HostAddress: Hashable, Sendable {
    package enum Family: Int, Sendable {
        case v4 = 32
        case v6 = 128

        /// Bits of an address.
        var width: Int { rawValue }
    }

    package var interface: String
    package var family: Family
    /// The address as one number, first byte highest.
    package var number: UInt128
    /// Leading bits that are the network's.
    package var prefix: Int
    package var isUp = true
    /// The default route leads over its interface.
    package var isOnDefaultRoute = false

    package init(interface: String, family: Family, number: UInt128, prefix: Int) {
        self.interface = interface
        self.family = family
        self.number = number
        self.prefix = prefix
    }

    /// Reads `10.0.0.1/8` or `fe80::1`, where everything is the network's without a `/`.
    package init?(_ text: String, interface: String = "") {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        var bytes = [UInt8](repeating: 0, count: 16)
        let host = String(parts[0])
        if inet_pton(AF_INET, host, &bytes) == 1 {
            family = .v4
        } else if inet_pton(AF_INET6, host, &bytes) == 1 {
            family = .v6
        } else {
            return nil
        }
        number = bytes.prefix(family.width / 8).reduce(0) { $0 << 8 | UInt128($1) }
        prefix = family.width
        if parts.count == 2 {
            guard let bits = Int(parts[1]), 0...family.width ~= bits else { return nil }
            prefix = bits
        }
        self.interface = interface
    }

    /// The address alone, an IPv6 one without brackets.
    package var text: String { Self.text(number, family) }

    static func text(_ number: UInt128, _ family: Family) -> String {
        let shifts = stride(from: family.width - 8, through: 0, by: -8)
        var bytes = shifts.map { UInt8(truncatingIfNeeded: number >> UInt128($0)) }
        var buffer = [CChar](repeating: 0, count: 64)
        let code = family == .v4 ? AF_INET : AF_INET6
        guard inet_ntop(code, &bytes, &buffer, socklen_t(buffer.count)) != nil else { return "" }
        return String(
            decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The bits of the network, as a number.
    var mask: UInt128 {
        let all = family == .v4 ? UInt128(UInt32.max) : UInt128.max
        let hostBits = family.width - prefix
        return hostBits >= family.width ? 0 : (all >> UInt128(hostBits)) << UInt128(hostBits)
    }

    /// The bits that tell the addresses of the network apart.
    var hostMask: UInt128 { mask ^ (family == .v4 ? UInt128(UInt32.max) : UInt128.max) }
    var network: UInt128 { number & mask }

    func isInside(_ block: HostAddress) -> Bool {
        family == block.family && number & block.mask == block.network
    }

    /// Whether packets for it may leave the link.
    package var isForwardable: Bool { !Self.bound.contains { isInside($0) } }

    /// In a special-purpose block of RFC 6890: private, shared, documentation and the like.
    package var isPrivate: Bool { Self.specialPurpose.contains { isInside($0) } }

    /// Loopback, link-local, multicast, unspecified.
    private static let bound = blocks(
        "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32",
        "::/128", "::1/128", "fe80::/10", "ff00::/8")

    static let specialPurpose = blocks(
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "::1/128", "::/128",
        "64:ff9b::/96", "::ffff:0:0/96", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16",
        "fc00::/7", "fe80::/10")

    static func blocks(_ texts: String...) -> [HostAddress] {
        texts.compactMap { HostAddress($0) }
    }
}

// MARK: This machine

extension HostAddress {
    /// Every IPv4 and IPv6 address of this machine, in the kernel's order.
    package static func ofThisMachine() -> [HostAddress] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return [] }
        defer { freeifaddrs(list) }
        let routed = defaultInterface()
        var found: [HostAddress] = []
        var next = list
        while let entry = next?.pointee {
            next = entry.ifa_next
            guard let address = entry.ifa_addr, let (family, number) = Self.read(address) else {
                continue
            }
            let name = String(cString: entry.ifa_name)
            var item = HostAddress(
                interface: name, family: family, number: number, prefix: family.width)
            if let mask = entry.ifa_netmask, let (_, bits) = Self.read(mask) {
                item.prefix = bits.nonzeroBitCount
            }
            item.isUp = Int(entry.ifa_flags) & Int(IFF_UP) != 0
            item.isOnDefaultRoute = name == routed
            found.append(item)
        }
        return found
    }

    private static func read(_ address: UnsafeMutablePointer<sockaddr>) -> (Family, UInt128)? {
        let raw = UnsafeRawPointer(address)
        switch Int32(address.pointee.sa_family) {
        case AF_INET:
            let value = raw.loadUnaligned(as: sockaddr_in.self).sin_addr.s_addr
            return (.v4, UInt128(UInt32(bigEndian: value)))
        case AF_INET6:
            var value = raw.loadUnaligned(as: sockaddr_in6.self).sin6_addr
            return withUnsafeBytes(of: &value) { bytes in
                (.v6, bytes.reduce(UInt128(0)) { $0 << 8 | UInt128($1) })
            }
        default: return nil
        }
    }

    /// The interface of the default route: that of IPv4, or without one that of IPv6.
    private static func defaultInterface() -> String? {
        func rows(_ path: String) -> [[Substring]] {
            let bytes = (try? ConfigurationHost.readFile(path)) ?? nil
            return String(decoding: bytes ?? [], as: UTF8.self).split(separator: "\n").map {
                $0.split { $0 == " " || $0 == "\t" }
            }
        }
        // Columns: interface, destination, gateway, flags, 3 counters, mask.
        let v4 = rows("/proc/net/route").first {
            $0.count > 7 && $0[1] == "00000000" && $0[7] == "00000000"
        }
        if let v4 { return String(v4[0]) }
        // Columns: destination, its length, …, interface; `lo` holds the rejecting routes.
        let zero = String(repeating: "0", count: 32)
        let v6 = rows("/proc/net/ipv6_route").first {
            $0.count > 9 && $0[0] == zero && $0[1] == "00" && $0[9] != "lo"
        }
        return v6.map { String($0[9]) }
    }
}
