internal import Glibc

/// Stream sockets that lie in the file system; they block nobody.
enum LocalSocket {
    private static let kind =
        Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)

    /// Whoever may enter the directory may connect.
    static func listen(at path: String) throws(SystemError) -> Int32 {
        try open(path, "listen at \(path)") { descriptor, address, size in
            bind(descriptor, address, size) == 0 ? Glibc.listen(descriptor, 16) : -1
        }
    }

    static func connect(to path: String) throws(SystemError) -> Int32 {
        try open(path, "connect to \(path)") { Glibc.connect($0, $1, $2) }
    }

    private static func open(
        _ path: String, _ action: String,
        _ use: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws(SystemError) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw SystemError(action, code: ENAMETOOLONG)
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let descriptor = socket(AF_UNIX, kind, 0)
        guard descriptor >= 0 else { throw .last(action) }
        let result = withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                use(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else {
            let error = SystemError.last(action)
            close(descriptor)
            throw error
        }
        return descriptor
    }
}
