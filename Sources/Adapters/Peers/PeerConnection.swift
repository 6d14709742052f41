internal import Core

/// Who this node is for the others.
struct PeerIdentity {
    let id: ServerID
    let incarnation: UInt64
    /// Empty while it is not known.
    var cluster = ""
    /// Nil: nothing is sealed.
    var ring: GossipKeyRing?

    func hello(to other: ServerID) -> PeerHello {
        PeerHello(
            id: id, addressee: other, incarnation: incarnation,
            nonce: Entropy.bytes(PeerHello.nonceBytes), cluster: cluster, isSealed: ring != nil)
    }
}

/// Why a connection ended, as the rest of a sentence.
enum PeerFailure: Error, CustomStringConvertible {
    case greeting(PeerGreetingError)
    case refused(PeerRefusal)
    /// What the other side sealed does not open.
    case noKeyFits
    case cryptography(CryptographyError)
    case damaged(ByteError)
    case lost(String)
    /// The other side has ended it in order.
    case ended(String)

    var isOrderly: Bool { if case .ended = self { true } else { false } }

    /// The connection is gone, and nobody said anything wrong.
    var isLoss: Bool {
        switch self {
        case .lost, .ended: true
        case .greeting, .refused, .noKeyFits, .cryptography, .damaged: false
        }
    }

    var description: String {
        switch self {
        case .greeting(let error): error.description
        case .refused(let refusal): refusal.description
        case .noKeyFits: "none of this node's keys opens what it sends (--encrypt)"
        case .cryptography(let error): error.description
        case .damaged(let error): "what it sends is damaged: \(error)"
        case .lost(let reason), .ended(let reason): reason
        }
    }
}

/// One connection with another node: greeting, proof of the key, frames. It carries messages in one
/// direction, from the side that opened it; so two nodes that open one at the same time do not
/// collide. Touches no socket.
final class PeerConnection {
    enum Role: Equatable {
        case opener(to: ServerID)
        case accepter
    }

    enum Phase {
        case connecting
        /// The other one's greeting is awaited.
        case greeting
        /// Its first frame is.
        case proving
        case open
    }

    enum News {
        case opened(by: ServerID)
        case message([UInt8])
    }

    let descriptor: Int32
    let serial: UInt64
    let role: Role
    /// Of the other side, for people.
    let address: String
    private(set) var phase: Phase
    private(set) var other: PeerGreeting?
    private var own: PeerGreeting?
    /// The cluster that this node has named here, and the one that the other side has.
    private var namedCluster = ""
    private(set) var otherCluster = ""
    private var start: [UInt8] = []
    private var reader = PeerFrameReader(trailerBytes: PeerFrame.checksumBytes)
    private var assembler: PeerAssembler
    private var writing: PeerSeal?
    private var reading: PeerSeal?
    /// One for each key of the ring, until the first frame shows which the other side uses.
    private var candidates: [PeerSeal] = []

    /// Bytes to be sent.
    private(set) var output: [UInt8] = []
    private(set) var sentCount = 0
    var interest: EventLoop.Interest = []
    var endsAt: Instant
    var openedAt: Instant?

    init(
        _ descriptor: Int32, _ serial: UInt64, _ role: Role, _ address: String,
        phase: Phase, endsAt: Instant, limits: PeerLimits
    ) {
        self.descriptor = descriptor
        self.serial = serial
        self.role = role
        self.address = address
        self.phase = phase
        self.endsAt = endsAt
        assembler = PeerAssembler(limit: limits.messageBytes)
    }

    var isOpen: Bool { if case .open = phase { true } else { false } }
    var pendingCount: Int { output.count - sentCount }
    var heldBytes: Int { assembler.heldBytes }

    /// The keys of the ring on which it rests, or may come to rest.
    var origins: [[UInt8]] { ([reading, writing].compactMap { $0 } + candidates).map(\.origin) }

    // MARK: Sending

    /// The socket has its connection.
    func connected(_ identity: PeerIdentity) {
        guard case .opener(let id) = role, case .connecting = phase else { return }
        phase = .greeting
        greet(id, identity)
    }

    private func greet(_ id: ServerID, _ identity: PeerIdentity) {
        let hello = identity.hello(to: id)
        let greeting = PeerGreeting(hello: hello, bytes: hello.encoded)
        own = greeting
        namedCluster = hello.cluster
        output += greeting.bytes
    }

    func write(_ frame: PeerFrame, _ payload: ArraySlice<UInt8>) throws(PeerFailure) {
        if writing == nil {
            output += frame.checked(payload)
            return
        }
        do throws(CryptographyError) {
            let head = frame.head
            output += head
            output += try writing?.seal(payload, head: head) ?? []
        } catch {
            throw .cryptography(error)
        }
    }

    /// Tells the other side the cluster that was not known when this one greeted.
    func name(cluster: String) throws(PeerFailure) {
        guard isOpen, role != .accepter, namedCluster.isEmpty, !cluster.isEmpty else { return }
        namedCluster = cluster
        let payload = Array(cluster.utf8)
        try write(PeerFrame(.belongs, length: payload.count), payload[...])
    }

    /// Words for somebody who speaks another protocol.
    func write(_ text: String) { output += Array(text.utf8) }

    func sent(_ count: Int) {
        sentCount += count
        guard sentCount == output.count else { return }
        output.removeAll(keepingCapacity: true)
        sentCount = 0
    }

    // MARK: Receiving

    func receive(
        _ bytes: UnsafeBufferPointer<UInt8>, as identity: PeerIdentity, into news: inout [News]
    ) throws(PeerFailure) {
        if other == nil {
            start += bytes
            guard try readGreeting(identity) else { return }
        } else {
            reader.receive(bytes)
        }
        while let (frame, payload) = try nextFrame() {
            try take(frame.kind, payload, as: identity, into: &news)
        }
    }

    /// Returns whether it is there.
    private func readGreeting(_ identity: PeerIdentity) throws(PeerFailure) -> Bool {
        let found: (PeerHello, count: Int)?
        do throws(PeerGreetingError) { found = try PeerHello.read(start[...]) } catch {
            throw .greeting(error)
        }
        guard let (hello, count) = found else { return false }
        let greeting = PeerGreeting(hello: hello, bytes: Array(start[..<count]))
        other = greeting
        otherCluster = hello.cluster
        if own == nil { greet(hello.id, identity) }
        guard let own else { return false }
        // An opener that means this node, but as another one, reads that here.
        if let refusal = own.hello.refusal(of: hello) { throw .refused(refusal) }
        if let ring = identity.ring { try makeSeals(ring, own, greeting) }
        reader = PeerFrameReader(
            trailerBytes: writing == nil ? PeerFrame.checksumBytes : OpenSSL.tagBytes)
        reader.receive(start[count...])
        start = []
        phase = .proving
        try write(PeerFrame(.ready, length: 0), [])
        return true
    }

    private func makeSeals(
        _ ring: GossipKeyRing, _ own: PeerGreeting, _ other: PeerGreeting
    ) throws(PeerFailure) {
        let isOpener = role != .accepter
        let (opener, accepter) = isOpener ? (own, other) : (other, own)
        do throws(CryptographyError) {
            func seal(
                _ direction: PeerSeal.Direction, _ key: [UInt8]
            ) throws(CryptographyError) -> PeerSeal {
                try PeerSeal(direction, origin: key, opener: opener, accepter: accepter)
            }
            writing = try seal(isOpener ? .fromOpener : .fromAccepter, ring.keys[0])
            for key in ring.keys {
                candidates.append(try seal(isOpener ? .fromAccepter : .fromOpener, key))
            }
        } catch {
            throw .cryptography(error)
        }
    }

    private func nextFrame() throws(PeerFailure) -> (PeerFrame, ArraySlice<UInt8>)? {
        let next: (frame: PeerFrame, head: [UInt8], sealed: ArraySlice<UInt8>)?
        do throws(ByteError) { next = try reader.next() } catch { throw .damaged(error) }
        guard let (frame, head, sealed) = next else { return nil }
        guard writing == nil else { return (frame, try opened(sealed, head: head)[...]) }
        guard let payload = PeerFrame.payload(head: head, sealed) else {
            throw .damaged(.malformed(offset: 0, what: "a frame with a wrong checksum"))
        }
        return (frame, payload)
    }

    private func opened(
        _ sealed: ArraySlice<UInt8>, head: [UInt8]
    ) throws(PeerFailure) -> [UInt8] {
        guard reading == nil else {
            guard let payload = reading?.open(sealed, head: head) else {
                throw .damaged(.malformed(offset: 0, what: "a frame that was not sealed here"))
            }
            return payload
        }
        for var candidate in candidates {
            guard let payload = candidate.open(sealed, head: head) else { continue }
            reading = candidate
            candidates = []
            return payload
        }
        throw .noKeyFits
    }

    private func take(
        _ kind: PeerFrame.Kind, _ payload: ArraySlice<UInt8>, as identity: PeerIdentity,
        into news: inout [News]
    ) throws(PeerFailure) {
        guard isOpen else {
            guard kind == .ready, payload.isEmpty, let other else {
                throw .damaged(.malformed(offset: 0, what: "a frame before the first one"))
            }
            phase = .open
            try name(cluster: identity.cluster)
            return news.append(.opened(by: other.hello.id))
        }
        guard role == .accepter else {
            throw .damaged(.malformed(offset: 0, what: "a message against the direction"))
        }
        if kind == .belongs {
            let text = payload.prefix(PeerHello.mostClusterBytes)
            otherCluster = String(decoding: text, as: UTF8.self)
            let refusal = PeerRefusal(ours: identity.cluster, theirs: otherCluster)
            if let refusal { throw .refused(refusal) }
            return
        }
        do throws(ByteError) {
            if let message = try assembler.receive(kind, payload) { news.append(.message(message)) }
        } catch {
            throw .damaged(error)
        }
    }

    /// What the other side's end of the connection means at this point.
    var ending: PeerFailure {
        switch phase {
        case .connecting, .greeting: .ended("it ended the connection without a word")
        case .proving where writing != nil:
            .ended(
                "it ended the connection when it was shown a key; its keys may be others "
                    + "(--encrypt)")
        case .proving: .ended("it ended the connection in the middle of the greeting")
        case .open: .ended("it ended the connection")
        }
    }
}
