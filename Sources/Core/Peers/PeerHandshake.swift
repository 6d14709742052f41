// How two nodes greet on the RPC port, before anything is sealed: each says who it is, and each
// judges by the same rule whether they may speak, so that a refusal shows in both logs. The first
// byte is none with which HTTP, HTTP/2 or TLS begin.
//
//   magic (8) · lowest and highest version (1, 1) · length of what follows (2)
//   flags (1) · id (16) · id of whom it speaks to (16) · incarnation (8) · nonce (32) · cluster
//   CRC-32C of all of it (4)
//
// Later versions may add fields in front of the checksum; this one passes over them.

/// What a node says of itself when a connection begins.
package struct PeerHello: Hashable, Sendable {
    /// Of the protocol between nodes.
    package var versions: ClosedRange<UInt8> = Self.versions
    /// Whatever follows the greeting is encrypted.
    package var isSealed: Bool
    package var id: ServerID
    /// Whom it means to speak to.
    package var addressee: ServerID
    /// Changes at every start of the node.
    package var incarnation: UInt64
    /// 32 bytes that no other connection has had.
    package var nonce: [UInt8]
    /// The id of its cluster; empty as long as it belongs to none.
    package var cluster: String

    package init(
        id: ServerID, addressee: ServerID, incarnation: UInt64, nonce: [UInt8], cluster: String,
        isSealed: Bool
    ) {
        invariant(nonce.count == Self.nonceBytes, "a nonce has \(Self.nonceBytes) bytes")
        self.id = id
        self.addressee = addressee
        self.incarnation = incarnation
        self.nonce = nonce
        self.cluster = cluster
        self.isSealed = isSealed
    }

    /// The versions that this program speaks.
    package static let versions: ClosedRange<UInt8> = 1...1
    package static let nonceBytes = 32
    /// The longest cluster id, in bytes.
    package static let mostClusterBytes = 128
    /// No greeting is longer.
    package static let mostBytes = 512

    private static let magic: [UInt8] = [0xDC] + Array("dkron\n".utf8) + [0x1A]
    private static let headBytes = magic.count + 4

    // MARK: Bytes

    package var encoded: [UInt8] {
        var body = ByteWriter(capacity: 256)
        body.u8(isSealed ? 1 : 0)
        body.serverID(id)
        body.serverID(addressee)
        body.u64(incarnation)
        body.raw(nonce)
        body.string(cluster)
        var writer = ByteWriter(capacity: 256)
        writer.raw(Self.magic)
        writer.u8(versions.lowerBound)
        writer.u8(versions.upperBound)
        writer.u16(UInt16(body.count))
        writer.raw(body.output)
        writer.u32(Checksum.crc32c(writer.output))
        invariant(writer.count <= Self.mostBytes, "a cluster id is short")
        return writer.output
    }

    /// Reads a greeting from the beginning of `bytes`.
    /// - Returns: it, and how many bytes it takes; nil while the end of it is missing.
    /// - Throws: as soon as no continuation can make it a greeting.
    package static func read(
        _ bytes: ArraySlice<UInt8>
    ) throws(PeerGreetingError) -> (PeerHello, count: Int)? {
        guard bytes.starts(with: magic.prefix(bytes.count)) else {
            throw PeerGreetingError(start: bytes)
        }
        guard bytes.count >= headBytes else { return nil }
        var reader = ByteReader(bytes)
        do throws(ByteError) {
            _ = try reader.raw(magic.count)
            let lowest = try reader.u8()
            let highest = try reader.u8()
            let length = Int(try reader.u16())
            guard lowest > 0, lowest <= highest, headBytes + length + 4 <= mostBytes else {
                throw ByteError.malformed(offset: magic.count, what: "a head out of bounds")
            }
            guard reader.remaining >= length + 4 else { return nil }
            var body = ByteReader(try reader.raw(length))
            let sum = Checksum.crc32c(bytes.prefix(headBytes + length))
            guard try reader.u32() == sum else {
                throw ByteError.malformed(offset: headBytes + length, what: "a wrong checksum")
            }
            var hello = try PeerHello(from: &body)
            hello.versions = lowest...highest
            return (hello, reader.offset)
        } catch {
            throw .damaged(error)
        }
    }

    private init(from reader: inout ByteReader) throws(ByteError) {
        isSealed = try reader.u8() & 1 == 1
        id = try reader.serverID()
        addressee = try reader.serverID()
        incarnation = try reader.u64()
        nonce = Array(try reader.raw(Self.nonceBytes))
        cluster = try reader.string()
        guard cluster.utf8.count <= Self.mostClusterBytes else {
            throw .malformed(offset: reader.offset, what: "a cluster id that is too long")
        }
    }

    // MARK: Judgement

    /// Why this node does not speak with the one that says `other`; nil if it does. The other one
    /// comes to the same end.
    package func refusal(of other: PeerHello) -> PeerRefusal? {
        if other.id == id { return .itself }
        guard versions.overlaps(other.versions) else {
            return .versions(ours: versions, theirs: other.versions)
        }
        if other.addressee != id || addressee != other.id {
            return .otherNode(other.addressee == id ? other.id : other.addressee)
        }
        if let refusal = PeerRefusal(ours: cluster, theirs: other.cluster) { return refusal }
        guard isSealed == other.isSealed else { return isSealed ? .notSealed : .sealed }
        return nil
    }
}

/// Why two nodes do not speak, as the rest of a sentence.
package enum PeerRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    case itself
    case versions(ours: ClosedRange<UInt8>, theirs: ClosedRange<UInt8>)
    case otherNode(ServerID)
    case otherCluster(ours: String, theirs: String)
    case notSealed
    case sealed

    /// Nil unless two clusters are known, and are two.
    package init?(ours: String, theirs: String) {
        guard !ours.isEmpty, !theirs.isEmpty, ours != theirs else { return nil }
        self = .otherCluster(ours: ours, theirs: theirs)
    }

    package var description: String {
        switch self {
        case .itself:
            "this node has reached itself, or a copy of its data directory; start no copy beside "
                + "the original"
        case .versions(let ours, let theirs):
            "it speaks \(Self.text(theirs)) of the protocol between nodes, this program "
                + "\(Self.text(ours)); upgrade the older one"
        case .otherNode(let id):
            "another node than the expected one is at this address "
                + "(\(Hexadecimal.text(ofIdentity: id)))"
        case .otherCluster(let ours, let theirs):
            "it belongs to another cluster (\(theirs)) than this node (\(ours)); a node changes "
                + "its cluster only with a new data directory"
        case .notSealed:
            "it does not encrypt what it says to other nodes, and this node does (--encrypt)"
        case .sealed:
            "it encrypts what it says to other nodes, and this node has no key (--encrypt)"
        }
    }

    private static func text(_ versions: ClosedRange<UInt8>) -> String {
        versions.count == 1
            ? "version \(versions.lowerBound)"
            : "versions \(versions.lowerBound) to \(versions.upperBound)"
    }
}

/// Bytes at the beginning of a connection that are no greeting.
package enum PeerGreetingError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A client of HTTP/1.1.
    case http
    /// A client of HTTP/2, as those of gRPC are.
    case http2
    case tls
    case garbage
    case damaged(ByteError)

    fileprivate init(start bytes: ArraySlice<UInt8>) {
        func begins(_ text: String) -> Bool {
            bytes.starts(with: Array(text.utf8).prefix(bytes.count))
        }
        let methods = ["GET ", "HEAD ", "POST ", "PUT ", "PATCH ", "DELETE ", "OPTIONS "]
        self =
            begins("PRI * HTTP/2.0")
            ? .http2
            : methods.contains(where: begins) ? .http : bytes.starts(with: [0x16]) ? .tls : .garbage
    }

    package var description: String {
        switch self {
        case .http: "an HTTP client has come to the port for other nodes; the API has its own"
        case .http2:
            "a client of gRPC, perhaps an agent of Dkron, has come to the port for other nodes, "
                + "where gRPC is not spoken yet"
        case .tls: "a client of TLS has come to the port for other nodes, where it is not spoken"
        case .garbage: "it does not speak the protocol between nodes"
        case .damaged(let error): "its greeting is damaged: \(error)"
        }
    }
}
