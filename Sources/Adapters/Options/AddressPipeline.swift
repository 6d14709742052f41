internal import Glibc

/// The functions of an address template, each of which takes what the one before it left.
struct AddressPipeline {
    private enum Value {
        case addresses([HostAddress])
        case text(String)
    }

    private let all: [HostAddress]

    init(_ addresses: [HostAddress]) { all = addresses }

    /// Empty when nothing is found.
    mutating func evaluate(_ source: Substring) throws(UsageError) -> String {
        var value = Value.addresses(all)
        for (index, call) in try TemplateWords(source).calls.enumerated() {
            let name = call[0]
            let arguments = Array(call.dropFirst())
            let isSource = name.hasPrefix("Get")
            guard isSource == (index == 0) else {
                throw UsageError(
                    isSource
                        ? "\(name) must stand at the beginning of a template"
                        : "a template begins with a function such as GetPrivateIP, not with "
                            + "\(name)")
            }
            let expected = Self.argumentCounts[name]
            guard let expected else {
                throw UsageError("there is no template function called \(name)")
            }
            guard arguments.count == expected else {
                throw UsageError(
                    "the template function \(name) takes \(expected) arguments, not "
                        + "\(arguments.count)")
            }
            if isSource {
                value = try begin(name, arguments)
            } else {
                guard case .addresses(let list) = value else {
                    throw UsageError("\(name) can't follow a function that gives a text")
                }
                value = try apply(name, arguments, to: list)
            }
        }
        guard case .text(let text) = value else {
            throw UsageError("a template must end with attr or join, such as | attr \"address\"")
        }
        return text
    }

    private static let argumentCounts = [
        "GetPrivateIP": 0, "GetPrivateIPs": 0, "GetPublicIP": 0, "GetPublicIPs": 0,
        "GetInterfaceIP": 1, "GetInterfaceIPs": 1, "GetAllInterfaces": 0,
        "GetDefaultInterfaces": 0, "GetPrivateInterfaces": 0, "GetPublicInterfaces": 0,
        "include": 2, "exclude": 2, "sort": 1, "limit": 1, "offset": 1, "unique": 1, "attr": 1,
        "join": 2, "math": 2,
    ]

    // MARK: Sources

    private func begin(_ name: String, _ arguments: [String]) throws(UsageError) -> Value {
        switch name {
        case "GetPrivateIP": return .text(usual { $0.isPrivate && $0.isOnDefaultRoute }.first ?? "")
        case "GetPrivateIPs": return .text(usual { $0.isPrivate }.joined(separator: " "))
        case "GetPublicIP":
            return .text(usual { !$0.isPrivate && $0.isOnDefaultRoute }.first ?? "")
        case "GetPublicIPs": return .text(usual { !$0.isPrivate }.joined(separator: " "))
        case "GetInterfaceIP": return .text(try named(arguments[0]).first?.text ?? "")
        case "GetInterfaceIPs":
            return .text(try named(arguments[0]).map(\.text).joined(separator: " "))
        case "GetDefaultInterfaces": return .addresses(all.filter(\.isOnDefaultRoute))
        case "GetPrivateInterfaces":
            return .addresses(sorted { $0.isUp && $0.isForwardable && $0.isPrivate })
        case "GetPublicInterfaces":
            return .addresses(sorted { $0.isUp && $0.isForwardable && !$0.isPrivate })
        default: return .addresses(all)
        }
    }

    private func usual(_ isWanted: (HostAddress) -> Bool) -> [String] {
        sorted { $0.isUp && $0.isForwardable && isWanted($0) }.map(\.text)
    }

    private func sorted(_ isWanted: (HostAddress) -> Bool) -> [HostAddress] {
        Self.sort(all.filter(isWanted)) { Self.usualRank($0) }
    }

    /// Those of the interface of that name, or else of those that the expression matches; what can
    /// be reached from elsewhere first.
    private func named(_ pattern: String) throws(UsageError) -> [HostAddress] {
        var found = all.filter { $0.interface == pattern }
        if found.isEmpty {
            let expression = try RegularExpression(pattern)
            found = all.filter { expression.matches($0.interface) }
        }
        return Self.sort(found) { [$0.isForwardable ? 0 : 1] + Self.usualRank($0).dropFirst() }
    }

    /// `default,type,size`: larger networks first.
    private static func usualRank(_ address: HostAddress) -> [UInt128] {
        [address.isOnDefaultRoute ? 0 : 1, UInt128(address.family.width), UInt128(address.prefix)]
    }

    /// Keeps the order of equal ones.
    private static func sort(
        _ list: [HostAddress], by rank: (HostAddress) -> [UInt128]
    ) -> [HostAddress] {
        list.enumerated().map { (rank: rank($0.element), index: $0.offset, item: $0.element) }
            .sorted {
                $0.rank == $1.rank
                    ? $0.index < $1.index : $0.rank.lexicographicallyPrecedes($1.rank)
            }
            .map(\.item)
    }

    // MARK: Filters

    private func apply(
        _ name: String, _ arguments: [String], to list: [HostAddress]
    ) throws(UsageError) -> Value {
        switch name {
        case "include", "exclude":
            let selector = try AddressSelector(arguments[0], arguments[1])
            return .addresses(list.filter { selector.selects($0) == (name == "include") })
        case "sort":
            var result = list
            for key in arguments[0].split(separator: ",").reversed() {
                result = try Self.sort(result, by: String(key))
            }
            return .addresses(result)
        case "limit":
            let count = try Self.number(arguments[0], of: name)
            guard count >= 0 else { throw UsageError("limit must not be negative") }
            return .addresses(Array(list.prefix(count)))
        case "offset":
            let count = try Self.number(arguments[0], of: name)
            return .addresses(Array(count < 0 ? list.suffix(-count) : list.dropFirst(count)))
        case "unique":
            guard ["address", "name"].contains(arguments[0]) else {
                throw UsageError("unique takes \"address\" or \"name\", not \"\(arguments[0])\"")
            }
            var seen: Set<String> = []
            return .addresses(
                list.filter {
                    seen.insert(arguments[0] == "name" ? $0.interface : $0.text).inserted
                })
        case "attr":
            guard let first = list.first else { return .text("") }
            return .text(try Self.attribute(arguments[0], of: first))
        case "join":
            var texts: [String] = []
            for address in list { texts.append(try Self.attribute(arguments[0], of: address)) }
            return .text(texts.joined(separator: arguments[1]))
        default:
            var result: [HostAddress] = []
            for address in list { result.append(try Self.moved(address, arguments)) }
            return .addresses(result)
        }
    }

    private static func number(_ text: String, of name: String) throws(UsageError) -> Int {
        guard let number = Int(text), abs(number) <= 1_000_000 else {
            throw UsageError("\(name) takes a number, not \"\(text)\"")
        }
        return number
    }

    private static func sort(
        _ list: [HostAddress], by key: String
    ) throws(UsageError) -> [HostAddress] {
        let isDescending = key.hasPrefix("-")
        let name = isDescending || key.hasPrefix("+") ? String(key.dropFirst()) : key
        if name == "name" {
            return list.enumerated().sorted {
                let (a, b) = ($0.element.interface, $1.element.interface)
                return a == b ? $0.offset < $1.offset : (a < b) != isDescending
            }.map(\.element)
        }
        let rank: (HostAddress) -> UInt128
        switch name {
        case "address": rank = { $0.number }
        case "default": rank = { $0.isOnDefaultRoute ? 0 : 1 }
        case "private": rank = { $0.isPrivate ? 0 : 1 }
        case "size": rank = { UInt128($0.prefix) }
        case "type": rank = { UInt128($0.family.width) }
        // Interfaces have no ports.
        case "port": return list
        default:
            throw UsageError(
                "sort takes address, default, name, private, size and type, not \"\(key)\"")
        }
        return sort(list) { [isDescending ? UInt128.max - rank($0) : rank($0)] }
    }

    private static func attribute(
        _ name: String, of address: HostAddress
    ) throws(UsageError) -> String {
        func text(_ number: UInt128) -> String { HostAddress.text(number, address.family) }
        // The first and last addresses of an IPv4 network are its own and the broadcast address.
        let spare: UInt128 = address.family == .v4 && address.prefix < 31 ? 1 : 0
        switch name {
        case "address", "host": return address.text
        case "name": return address.interface
        case "type": return address.family == .v4 ? "IPv4" : "IPv6"
        case "string": return "\(address.text)/\(address.prefix)"
        case "network": return "\(text(address.network))/\(address.prefix)"
        case "netmask": return text(address.mask)
        case "mask_bits": return "\(address.prefix)"
        case "first_usable": return text(address.network + spare)
        case "last_usable": return text((address.network | address.hostMask) - spare)
        case "broadcast" where address.family == .v4:
            return text(address.network | address.hostMask)
        case "port": return "0"
        default:
            throw UsageError(
                "there is no attribute \"\(name)\"; known are address, name, type, string, "
                    + "network, netmask, mask_bits, first_usable, last_usable and broadcast")
        }
    }

    /// `math`: adds to the address, counts within its network, or applies a mask.
    private static func moved(
        _ address: HostAddress, _ arguments: [String]
    ) throws(UsageError) -> HostAddress {
        var result = address
        let all = address.family == .v4 ? UInt128(UInt32.max) : UInt128.max
        let text = arguments[1]
        if arguments[0] == "mask" {
            guard let bits = Int(text), 0...address.family.width ~= bits else {
                throw UsageError("math \"mask\" takes a number of bits, not \"\(text)\"")
            }
            result.prefix = bits
            result.number = result.network
            result.prefix = min(bits, address.prefix)
            return result
        }
        guard let sign = text.first, "+-".contains(sign), let step = UInt128(text.dropFirst())
        else { throw UsageError("math takes a number with its sign, not \"\(text)\"") }
        switch arguments[0] {
        case "address":
            let moved = sign == "+" ? address.number &+ step : address.number &- step
            result.number = moved & all
        case "network":
            let host = sign == "+" ? step : address.hostMask &- (step &- 1)
            result.number = address.network | host & address.hostMask
        default:
            throw UsageError(
                "math takes \"address\", \"network\" or \"mask\", not \"\(arguments[0])\"")
        }
        return result
    }
}

/// What `include` and `exclude` ask of an address.
private struct AddressSelector {
    let selects: (HostAddress) -> Bool

    init(_ kind: String, _ value: String) throws(UsageError) {
        let words = value.split(separator: "|").map { String($0) }
        switch kind.lowercased() {
        case "name":
            let expression = try RegularExpression(value)
            selects = { expression.matches($0.interface) }
        case "address":
            let expression = try RegularExpression(value)
            selects = { expression.matches($0.text) }
        case "type":
            guard words.allSatisfy({ ["ip", "ipv4", "ipv6", "unix"].contains($0.lowercased()) })
            else { throw UsageError("a type is ip, ipv4 or ipv6, not \"\(value)\"") }
            let types = words.map { $0.lowercased() }
            selects = {
                types.contains("ip") || types.contains($0.family == .v4 ? "ipv4" : "ipv6")
            }
        case "flag", "flags":
            var tests: [(HostAddress) -> Bool] = []
            for word in words { tests.append(try Self.flag(word)) }
            selects = { [tests] address in tests.allSatisfy { $0(address) } }
        case "network":
            let blocks = words.compactMap { HostAddress($0) }
            guard blocks.count == words.count else {
                throw UsageError("a network such as 10.0.0.0/8 is needed, not \"\(value)\"")
            }
            selects = { address in blocks.contains { address.isInside($0) } }
        case "rfc", "rfcs":
            var blocks: [HostAddress] = []
            for word in words { blocks += try Self.blocks(ofRFC: word) }
            selects = { [blocks] address in blocks.contains { address.isInside($0) } }
        case "size":
            guard let bits = Int(value.hasPrefix("/") ? String(value.dropFirst()) : value) else {
                throw UsageError("a size is a number of bits such as /24, not \"\(value)\"")
            }
            selects = { $0.prefix == bits }
        case "port": selects = { _ in value == "0" }
        default:
            throw UsageError(
                "include and exclude ask for name, type, flag, network, rfc, size or address, not "
                    + "\"\(kind)\"")
        }
    }

    private static func flag(_ name: String) throws(UsageError) -> (HostAddress) -> Bool {
        func inside(_ texts: String...) -> (HostAddress) -> Bool {
            let blocks = texts.compactMap { HostAddress($0) }
            return { address in blocks.contains { address.isInside($0) } }
        }
        switch name {
        case "up": return { $0.isUp }
        case "down": return { !$0.isUp }
        case "forwardable": return { $0.isForwardable }
        case "loopback": return inside("127.0.0.0/8", "::1/128")
        case "link-local unicast": return inside("169.254.0.0/16", "fe80::/10")
        case "global unicast":
            let others = inside(
                "0.0.0.0/32", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4",
                "255.255.255.255/32", "::/127", "fe80::/10", "ff00::/8")
            return { !others($0) }
        default:
            throw UsageError(
                "a flag is up, down, forwardable, loopback, link-local unicast or global unicast, "
                    + "not \"\(name)\"")
        }
    }

    private static func blocks(ofRFC number: String) throws(UsageError) -> [HostAddress] {
        switch number {
        case "6890": return HostAddress.specialPurpose
        case "1918": return HostAddress.blocks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
        case "1122": return HostAddress.blocks("0.0.0.0/8", "127.0.0.0/8")
        case "3927": return HostAddress.blocks("169.254.0.0/16")
        case "4193": return HostAddress.blocks("fc00::/7")
        case "5737":
            return HostAddress.blocks("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
        case "6598": return HostAddress.blocks("100.64.0.0/10")
        default:
            throw UsageError(
                "RFC \(number) is not known to templates; known are 1122, 1918, 3927, 4193, 5737, "
                    + "6598 and 6890")
        }
    }
}

/// An extended regular expression of POSIX, found anywhere in a text.
private final class RegularExpression {
    private var compiled = regex_t()

    init(_ pattern: String) throws(UsageError) {
        guard regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB) == 0 else {
            throw UsageError("\"\(pattern)\" is not a regular expression")
        }
    }

    deinit { regfree(&compiled) }

    func matches(_ text: String) -> Bool { regexec(&compiled, text, 0, nil, 0) == 0 }
}
