package import Core
internal import Glibc

/// This machine, for executors: OpenSSL's cryptography, the environment of the process, and files.
package struct SystemHost: ExecutorHost {
    package init() {}

    private func crypto() throws(ExecutorHostError) -> DigestLibrary {
        do throws(CryptographyError) { return try DigestLibrary.load() } catch {
            throw ExecutorHostError(error.description)
        }
    }

    package func digest(
        _ kind: DigestKind, of bytes: [UInt8]
    ) throws(ExecutorHostError) -> [UInt8] {
        guard let digest = try crypto().digest(kind, of: bytes) else {
            throw ExecutorHostError("OpenSSL can't compute a digest")
        }
        return digest
    }

    package func authenticate(
        _ bytes: [UInt8], key: [UInt8], _ kind: DigestKind
    ) throws(ExecutorHostError) -> [UInt8] {
        guard let code = try crypto().authenticate(bytes, key: key, kind) else {
            throw ExecutorHostError("OpenSSL can't compute an HMAC")
        }
        return code
    }

    package func stretch(
        _ password: [UInt8], salt: [UInt8], rounds: Int, _ kind: DigestKind
    ) throws(ExecutorHostError) -> [UInt8] {
        guard (1...ExecutorHostLimits.mostRounds).contains(rounds) else {
            throw ExecutorHostError(
                "\(rounds) rounds of PBKDF2 are not allowed; 1 to "
                    + "\(ExecutorHostLimits.mostRounds) are")
        }
        guard let key = try crypto().stretch(password, salt: salt, rounds: rounds, kind) else {
            throw ExecutorHostError("OpenSSL can't derive a key of the password")
        }
        return key
    }

    package func sign(_ bytes: [UInt8], pem key: String) throws(ExecutorHostError) -> [UInt8] {
        let library = try crypto()
        do throws(CryptographyError) { return try library.sign(bytes, pem: key) } catch {
            throw ExecutorHostError(error.description)
        }
    }

    package func unguessable(_ count: Int) throws(ExecutorHostError) -> [UInt8] {
        Entropy.bytes(count)
    }

    package func variable(_ name: String) -> String? {
        guard let value = getenv(name).map({ String(cString: $0) }), !value.isEmpty else {
            return nil
        }
        return value
    }

    package func file(_ path: String) throws(ExecutorHostError) -> [UInt8]? {
        // A pipe in its place must not stop everything else.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw ExecutorHostError("can't read \(path): \(errorText(errno))")
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw ExecutorHostError("can't read \(path): it is no file")
        }
        let most = ExecutorHostLimits.mostFile
        var bytes = [UInt8](repeating: 0, count: most + 1)
        var filled = 0
        while filled < bytes.count {
            let count = bytes.withUnsafeMutableBytes { [filled] buffer in
                retryingInterrupted {
                    Glibc.read(
                        descriptor, buffer.baseAddress! + filled, buffer.count - filled)
                }
            }
            guard count >= 0 else {
                throw ExecutorHostError("can't read \(path): \(errorText(errno))")
            }
            if count == 0 { break }
            filled += count
        }
        guard filled <= most else {
            throw ExecutorHostError("\(path) has more than \(most >> 10) KiB")
        }
        return Array(bytes[..<filled])
    }
}
