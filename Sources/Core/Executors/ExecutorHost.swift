// What executors take from the machine that they run on and can't have of their own: cryptography,
// which is the system's library's matter, randomness, and credentials that the machine holds.

/// Why the machine did not give what was asked of it: a sentence without the full stop.
package struct ExecutorHostError: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

/// A hash of FIPS 180-4.
package enum DigestKind: Hashable, Sendable {
    case sha256
    case sha512

    /// Of a digest, in bytes.
    package var size: Int { self == .sha256 ? 32 : 64 }
}

/// The machine as a conversation sees it. Nothing here waits for anybody else; the slowest of it,
/// `stretch` with the rounds allowed, takes about ten milliseconds.
package protocol ExecutorHost: Sendable {
    func digest(_ kind: DigestKind, of bytes: [UInt8]) throws(ExecutorHostError) -> [UInt8]

    /// HMAC (RFC 2104).
    func authenticate(
        _ bytes: [UInt8], key: [UInt8], _ kind: DigestKind
    ) throws(ExecutorHostError) -> [UInt8]

    /// PBKDF2 (RFC 8018, section 5.2) with HMAC, as long as a digest.
    /// - Parameter rounds: 1 ... `mostRounds` of `ExecutorHostLimits`.
    func stretch(
        _ password: [UInt8], salt: [UInt8], rounds: Int, _ kind: DigestKind
    ) throws(ExecutorHostError) -> [UInt8]

    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, section 8.2; `RS256` of RFC 7518).
    /// - Parameter key: a private key as PEM, not encrypted.
    func sign(_ bytes: [UInt8], pem key: String) throws(ExecutorHostError) -> [UInt8]

    /// Bytes that nobody can guess, at most 256.
    func unguessable(_ count: Int) throws(ExecutorHostError) -> [UInt8]

    /// A variable of the node's environment; nil if it is not set, or empty.
    func variable(_ name: String) -> String?

    /// A small file of the machine, such as one with credentials; nil if there is none.
    func file(_ path: String) throws(ExecutorHostError) -> [UInt8]?
}

package enum ExecutorHostLimits {
    /// Of `stretch`: what Kafka allows itself, and little enough for a thread that others wait for.
    package static let mostRounds = 16_384
    /// Of `file`, in bytes.
    package static let mostFile = 256 << 10
}

/// A machine that has nothing to give.
package struct BareHost: ExecutorHost {
    private static let nothing = ExecutorHostError("this machine has no cryptography")

    package init() {}

    package func digest(
        _ kind: DigestKind, of bytes: [UInt8]
    ) throws(ExecutorHostError) -> [UInt8] {
        throw Self.nothing
    }

    package func authenticate(
        _ bytes: [UInt8], key: [UInt8], _ kind: DigestKind
    ) throws(ExecutorHostError) -> [UInt8] {
        throw Self.nothing
    }

    package func stretch(
        _ password: [UInt8], salt: [UInt8], rounds: Int, _ kind: DigestKind
    ) throws(ExecutorHostError) -> [UInt8] {
        throw Self.nothing
    }

    package func sign(_ bytes: [UInt8], pem key: String) throws(ExecutorHostError) -> [UInt8] {
        throw Self.nothing
    }

    package func unguessable(_ count: Int) throws(ExecutorHostError) -> [UInt8] {
        throw Self.nothing
    }
    package func variable(_ name: String) -> String? { nil }
    package func file(_ path: String) throws(ExecutorHostError) -> [UInt8]? { nil }
}
