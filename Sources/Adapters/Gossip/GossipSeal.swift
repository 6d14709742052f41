/// The keys of a cluster's gossip. Every one of them opens, the first seals; so a cluster changes
/// its key node by node.
package struct GossipKeyRing: Hashable, Sendable {
    /// The first is the primary key.
    package private(set) var keys: [[UInt8]]

    /// - Throws: if there is no key, or one has not 16, 24 or 32 bytes.
    package init(_ keys: [[UInt8]]) throws(CryptographyError) {
        guard !keys.isEmpty else { throw CryptographyError("a key ring needs a key") }
        for key in keys { try Self.check(key) }
        self.keys = keys
    }

    /// Adds a key that opens; nothing changes if it is there.
    package mutating func install(_ key: [UInt8]) throws(CryptographyError) {
        try Self.check(key)
        if !keys.contains(key) { keys.append(key) }
    }

    /// Seals with a key of the ring from now on.
    package mutating func use(_ key: [UInt8]) throws(CryptographyError) {
        guard let place = keys.firstIndex(of: key) else {
            throw CryptographyError("a key must be installed before it is used")
        }
        keys.swapAt(0, place)
    }

    /// - Throws: if it is the primary key.
    package mutating func remove(_ key: [UInt8]) throws(CryptographyError) {
        guard keys[0] != key else {
            throw CryptographyError("the primary key can't be removed; use another one first")
        }
        keys.removeAll { $0 == key }
    }

    private static func check(_ key: [UInt8]) throws(CryptographyError) {
        guard [16, 24, 32].contains(key.count) else {
            throw CryptographyError(
                "a gossip key has 16, 24 or 32 bytes, this one has \(key.count)")
        }
    }
}

/// Why a packet or stream was not opened.
package enum GossipSealError: Error, Hashable, Sendable, CustomStringConvertible {
    case notSealed
    case unknownVersion(UInt8)
    case truncated
    case badPadding
    case noKeyFits
    /// It is sealed, and this node has no key.
    case sealed

    package var description: String {
        switch self {
        case .notSealed: "it is not encrypted, and this cluster encrypts its gossip (--encrypt)"
        case .unknownVersion(let version):
            "it is encrypted in the unknown version \(version), or not at all"
        case .truncated: "it is too short to be encrypted"
        case .badPadding: "its padding is damaged"
        case .noKeyFits: "none of this node's keys opens it (--encrypt)"
        case .sealed: "it is encrypted, and this node has no key (--encrypt)"
        }
    }

    /// The same for the other side.
    var answer: String {
        switch self {
        case .notSealed: "this cluster encrypts its gossip: start the node with its --encrypt key"
        case .noKeyFits, .unknownVersion, .badPadding:
            "the cluster has another --encrypt key: start the node with that one"
        case .sealed: "this cluster does not encrypt: start the node without --encrypt"
        case .truncated: description
        }
    }
}

/// Seals and opens packets and streams as memberlist does: AES-GCM, a random nonce for each. Core's
/// membership sees plain bytes only.
///
/// A sealed packet is a version byte, the nonce, the ciphertext and the tag. On a stream the type
/// byte and the length stand before that, and the tag covers them too.
package struct GossipSeal: Sendable {
    package var ring: GossipKeyRing
    private let crypto: OpenSSL

    /// How much longer a packet gets.
    package static let overhead = 1 + OpenSSL.nonceBytes + OpenSSL.tagBytes

    /// - Throws: if this machine has no cryptography.
    package init(_ ring: GossipKeyRing) throws(CryptographyError) {
        self.ring = ring
        crypto = try OpenSSL.load()
    }

    // MARK: Packets

    package func seal(_ packet: some Collection<UInt8>) throws(CryptographyError) -> [UInt8] {
        try seal(packet, authenticating: [])
    }

    package func open(_ packet: ArraySlice<UInt8>) throws(GossipSealError) -> [UInt8] {
        try open(packet, authenticating: [])
    }

    // MARK: Streams

    /// A whole message of a stream.
    package func sealStream(
        _ message: some Collection<UInt8>
    ) throws(CryptographyError) -> [UInt8] {
        let header = Self.header(length: message.count + Self.overhead)
        return header + (try seal(message, authenticating: header))
    }

    /// Opens a whole message of a stream, its header included.
    package func openStream(_ frame: ArraySlice<UInt8>) throws(GossipSealError) -> [UInt8] {
        guard frame.first == Self.streamType else { throw .notSealed }
        let header = Array(frame.prefix(5))
        guard header == Self.header(length: frame.count - 5) else { throw .truncated }
        return try open(frame.dropFirst(5), authenticating: header)
    }

    // MARK: Helpers

    private func seal(
        _ plain: some Collection<UInt8>, authenticating data: [UInt8]
    ) throws(CryptographyError) -> [UInt8] {
        let nonce = Entropy.bytes(OpenSSL.nonceBytes)
        let sealed = try crypto.sealGCM(
            plain, key: ring.keys[0], nonce: nonce, authenticating: data)
        return [Self.unpadded] + nonce + sealed
    }

    private func open(
        _ payload: ArraySlice<UInt8>, authenticating data: [UInt8]
    ) throws(GossipSealError) -> [UInt8] {
        guard let version = payload.first else { throw .truncated }
        guard version == Self.unpadded || version == Self.padded else {
            throw .unknownVersion(version)
        }
        guard payload.count >= Self.overhead else { throw .truncated }
        let nonce = Array(payload.dropFirst().prefix(OpenSSL.nonceBytes))
        let sealed = payload.dropFirst(1 + OpenSSL.nonceBytes)
        for key in ring.keys {
            guard
                let plain = crypto.openGCM(sealed, key: key, nonce: nonce, authenticating: data)
            else { continue }
            return version == Self.padded ? try Self.withoutPadding(plain) : plain
        }
        throw .noKeyFits
    }

    /// PKCS #7 (RFC 5652, section 6.3), which version 0 puts inside although GCM needs none. The
    /// tag does not cover the version, so whatever is not padded as it should be is refused.
    private static func withoutPadding(_ plain: [UInt8]) throws(GossipSealError) -> [UInt8] {
        guard let count = plain.last.map(Int.init), (1...16).contains(count),
            count <= plain.count, plain.suffix(count).allSatisfy({ $0 == UInt8(count) })
        else { throw .badPadding }
        return Array(plain.dropLast(count))
    }

    private static func header(length: Int) -> [UInt8] {
        [streamType]
            + (0..<4).map { UInt8(truncatingIfNeeded: length >> (24 - 8 * $0)) }
    }

    private static let padded: UInt8 = 0
    private static let unpadded: UInt8 = 1
    /// The first byte of a sealed stream.
    private static let streamType: UInt8 = 10
}
