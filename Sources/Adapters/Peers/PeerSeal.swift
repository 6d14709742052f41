internal import Core

/// Seals or opens the frames of one direction of one connection, in their order. The key is made
/// for this direction of this connection, and the frame's place is its nonce: whatever is repeated,
/// left out, or sent back to its sender does not open.
struct PeerSeal {
    /// Which of the two speaks.
    enum Direction: String {
        case fromOpener = "from the opener"
        case fromAccepter = "from the accepter"
    }

    /// The key of the ring from which this one was made.
    let origin: [UInt8]
    private let key: [UInt8]
    private let crypto: OpenSSL
    private var place: UInt64 = 0

    /// - Parameters:
    ///   - origin: a key of the cluster's ring.
    ///   - opener: the greeting of the side that opened the connection, as it was sent.
    ///   - accepter: the other's.
    init(
        _ direction: Direction, origin: [UInt8], opener: PeerGreeting, accepter: PeerGreeting
    ) throws(CryptographyError) {
        crypto = try OpenSSL.load()
        self.origin = origin
        let purpose = Array("dkron peer frames \(direction.rawValue)\n".utf8)
        key = try crypto.deriveKey(
            origin, salt: opener.hello.nonce + accepter.hello.nonce,
            purpose: purpose + opener.bytes + accepter.bytes, count: 32)
    }

    mutating func seal(
        _ payload: ArraySlice<UInt8>, head: [UInt8]
    ) throws(CryptographyError) -> [UInt8] {
        defer { place += 1 }
        return try crypto.sealGCM(payload, key: key, nonce: nonce, authenticating: head)
    }

    /// Nil if it was not sealed by the other side, with the same key, at this place.
    mutating func open(_ sealed: ArraySlice<UInt8>, head: [UInt8]) -> [UInt8]? {
        guard let payload = crypto.openGCM(sealed, key: key, nonce: nonce, authenticating: head)
        else { return nil }
        place += 1
        return payload
    }

    private var nonce: [UInt8] {
        let number = (0..<8).map { UInt8(truncatingIfNeeded: place >> (8 * $0)) }
        return [UInt8](repeating: 0, count: OpenSSL.nonceBytes - number.count) + number
    }
}

/// A greeting with the bytes that were sent or received for it.
struct PeerGreeting {
    let hello: PeerHello
    let bytes: [UInt8]
}
