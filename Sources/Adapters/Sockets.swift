internal import CSystem
internal import Glibc

/// The address of a socket's end, as the kernel takes it.
package struct SocketAddress: Sendable {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)

    var family: Int32 { Int32(storage.ss_family) }

    /// IP text without brackets.
    package var host: String { numeric(NI_NUMERICHOST).host }

    /// `127.0.0.1:8080` or `[::1]:8080`.
    package var description: String {
        let (host, port) = numeric(NI_NUMERICHOST | NI_NUMERICSERV)
        // An IPv4 client of a socket that takes both kinds.
        if host.hasPrefix("::ffff:"), host.utf8.contains(UInt8(ascii: ".")) {
            return "\(host.dropFirst(7)):\(port)"
        }
        return family == AF_INET6 ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    package var port: UInt16 { UInt16(numeric(NI_NUMERICSERV).port) ?? 0 }

    private func numeric(_ flags: Int32) -> (host: String, port: String) {
        var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        var port = [CChar](repeating: 0, count: Int(NI_MAXSERV))
        let length = family == AF_INET6 ? sockaddr_in6.size : sockaddr_in.size
        let result = withSocketAddress { address, _ in
            getnameinfo(
                address, length, &host, socklen_t(host.count), &port, socklen_t(port.count), flags)
        }
        guard result == 0 else { return ("", "") }
        return (Self.text(host), Self.text(port))
    }

    private static func text(_ characters: [CChar]) -> String {
        String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    func withSocketAddress<Result>(
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        withUnsafePointer(to: storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
        }
    }

    /// All addresses of a host name or IP text. May ask name servers: for the start only.
    package static func resolve(_ endpoint: Endpoint) throws(AddressError) -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICSERV | AI_PASSIVE
        var list: UnsafeMutablePointer<addrinfo>?
        let host: String? = endpoint.host.isEmpty ? nil : endpoint.host
        let result = getaddrinfo(host, String(endpoint.port), &hints, &list)
        guard result == 0 else {
            throw AddressError(endpoint, String(cString: gai_strerror(result)))
        }
        defer { freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var next = list
        while let entry = next?.pointee {
            next = entry.ai_next
            guard let source = entry.ai_addr else { continue }
            var address = SocketAddress()
            address.length = entry.ai_addrlen
            withUnsafeMutableBytes(of: &address.storage) { storage in
                let bytes = UnsafeRawBufferPointer(start: source, count: Int(entry.ai_addrlen))
                storage.copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: bytes.prefix(storage.count)))
            }
            addresses.append(address)
        }
        return addresses
    }
}

/// Why an address can't be listened on.
package struct AddressError: Error, Hashable, Sendable, CustomStringConvertible {
    package var endpoint: Endpoint
    package var reason: String
    /// This host has no such address, or does not know the family at all.
    package var isMissingHere = false

    init(_ endpoint: Endpoint, _ reason: String) {
        self.endpoint = endpoint
        self.reason = reason
    }

    package var description: String { "can't listen on \(endpoint): \(reason)" }
}

extension Endpoint {
    /// What a call makes of the first of its addresses that this machine has.
    /// - Parameter draws: how often the kernel may choose where the port is 0.
    func first<Result>(
        draws: Int = 1, _ listen: (SocketAddress) throws(SystemError) -> Result
    ) throws(AddressError) -> Result {
        var lastError: SystemError?
        for address in try SocketAddress.resolve(self).preferringDualStack(self) {
            for _ in 0..<(port == 0 ? draws : 1) {
                do throws(SystemError) {
                    return try listen(address)
                } catch {
                    lastError = error
                }
            }
            guard lastError?.meansNoSuchAddress ?? true else { break }
        }
        throw AddressError(self, lastError?.reason ?? "it has no address")
    }
}

extension [SocketAddress] {
    /// For "every interface" one IPv6 socket takes IPv4 clients too; two sockets would collide.
    func preferringDualStack(_ endpoint: Endpoint) -> [SocketAddress] {
        guard endpoint.host.isEmpty else { return self }
        return filter { $0.family == AF_INET6 } + filter { $0.family == AF_INET }
    }
}

extension SystemError {
    /// This host has no such address, or does not know the family at all.
    var meansNoSuchAddress: Bool { code == EADDRNOTAVAIL || code == EAFNOSUPPORT }
}

/// A stream socket that this process has begun to connect.
struct ConnectingSocket {
    let descriptor: Int32
    /// It was quicker than the call; else it becomes writable when it is decided.
    let isOpen: Bool

    init(to address: SocketAddress) throws(SystemError) {
        let flags = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = socket(address.family, flags, 0)
        guard descriptor >= 0 else { throw .last("make a socket") }
        self.descriptor = descriptor
        isOpen = address.withSocketAddress { connect(descriptor, $0, $1) } == 0
        guard isOpen || errno == EINPROGRESS || errno == EINTR else {
            let error = SystemError.last("connect to \(address.description)")
            close(descriptor)
            throw error
        }
    }

    /// Why a socket that became writable is not connected after all.
    static func failure(of descriptor: Int32) -> String? {
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        let result = getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size)
        if result != 0 { code = errno }
        return code == 0 ? nil : errorText(code)
    }
}

/// A socket that clients can connect to.
struct ListeningSocket {
    let descriptor: Int32
    /// With the port that the kernel chose if port 0 was asked for.
    let address: SocketAddress

    init(_ wanted: SocketAddress) throws(SystemError) {
        let flags = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = socket(wanted.family, flags, 0)
        guard descriptor >= 0 else { throw .last("make a socket") }
        do throws(SystemError) {
            try Self.set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
            // Accepted sockets inherit it: answers are whole when they are sent.
            try Self.set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
            // `::` takes IPv4 clients too, whatever the machine's default is.
            if wanted.family == AF_INET6 {
                try Self.set(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 0)
            }
            guard wanted.withSocketAddress({ bind(descriptor, $0, $1) }) == 0 else {
                throw .last("bind")
            }
            guard listen(descriptor, 1_024) == 0 else { throw .last("listen") }
            var address = SocketAddress()
            let named = withUnsafeMutablePointer(to: &address.storage) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    getsockname(descriptor, $0, &address.length)
                }
            }
            guard named == 0 else { throw .last("read the socket's address") }
            self.descriptor = descriptor
            self.address = address
        } catch {
            close(descriptor)
            throw error
        }
    }

    /// Takes a client that waits: its socket, which blocks nobody, or -1 and `errno`.
    func accept(_ client: inout SocketAddress) -> Int32 {
        csystem_accept(descriptor, &client.storage)
    }

    private static func set(
        _ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32
    ) throws(SystemError) {
        var value = value
        let size = socklen_t(MemoryLayout<Int32>.size)
        guard setsockopt(descriptor, level, option, &value, size) == 0 else {
            throw .last("set a socket option")
        }
    }
}

extension sockaddr_in {
    fileprivate static var size: socklen_t { socklen_t(MemoryLayout<Self>.size) }
}

extension sockaddr_in6 {
    fileprivate static var size: socklen_t { socklen_t(MemoryLayout<Self>.size) }
}
