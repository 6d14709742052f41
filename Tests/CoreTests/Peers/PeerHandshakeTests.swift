import Core
import Testing

@Suite("Greetings between nodes")
struct PeerHandshakeTests {
    private let hello = PeerHello(
        id: 1 << 127 | 5, addressee: 6, incarnation: 7, nonce: (0..<32).map { UInt8($0) },
        cluster: "c-1", isSealed: true)

    private func other(_ change: (inout PeerHello) -> Void = { _ in }) -> PeerHello {
        var other = PeerHello(
            id: hello.addressee, addressee: hello.id, incarnation: 1,
            nonce: [UInt8](repeating: 0, count: 32), cluster: "c-1", isSealed: true)
        change(&other)
        return other
    }

    @Test func `a greeting comes back as it was, however it is cut`() throws {
        for hello in [hello, other { $0.cluster = "" }] {
            let bytes = hello.encoded
            for count in 0..<bytes.count { #expect(try PeerHello.read(bytes[..<count]) == nil) }
            let (found, count) = try #require(try PeerHello.read((bytes + [1, 2])[...]))
            #expect(found == hello)
            #expect(count == bytes.count)
        }
    }

    @Test func `every changed byte is found`() {
        let bytes = hello.encoded
        for place in bytes.indices {
            var changed = bytes
            changed[place] ^= 0x10
            // A longer length waits for more, anything else is refused.
            #expect((try? PeerHello.read(changed[...])) == nil, "at \(place)")
        }
    }

    @Test func `fields that a later version adds are passed over`() throws {
        var bytes = hello.encoded.dropLast(4)
        bytes += [9, 9, 9]
        bytes[10] += 3
        let sum = Checksum.crc32c(bytes)
        bytes += (0..<4).map { UInt8(truncatingIfNeeded: sum >> (8 * $0)) }
        #expect(try PeerHello.read(bytes)?.0 == hello)
    }

    @Test func `the same end at both sides`() {
        let cases: [(PeerHello, PeerRefusal?, PeerRefusal?)] = [
            (other(), nil, nil),
            (other { $0.cluster = "" }, nil, nil),
            (other { $0.versions = 1...9 }, nil, nil),
            (
                other { $0.cluster = "c-2" }, .otherCluster(ours: "c-1", theirs: "c-2"),
                .otherCluster(ours: "c-2", theirs: "c-1")
            ),
            (
                other { $0.versions = 2...3 }, .versions(ours: 1...1, theirs: 2...3),
                .versions(ours: 2...3, theirs: 1...1)
            ),
            (other { $0.isSealed = false }, .notSealed, .sealed),
            (other { $0.id = 9 }, .otherNode(9), .otherNode(6)),
            (other { $0.addressee = 9 }, .otherNode(9), .otherNode(9)),
        ]
        for (other, ours, theirs) in cases {
            #expect(hello.refusal(of: other) == ours)
            #expect((other.refusal(of: hello) == nil) == (theirs == nil), "\(other)")
            if case .otherNode = theirs { continue }
            #expect(other.refusal(of: hello) == theirs)
        }
        #expect(hello.refusal(of: hello) == .itself)
    }

    @Test func `whoever speaks another protocol is known by the first bytes`() {
        func error(_ text: String) -> PeerGreetingError? {
            do throws(PeerGreetingError) {
                _ = try PeerHello.read(Array(text.utf8)[...])
                return nil
            } catch {
                return error
            }
        }
        #expect(error("GET / HTTP/1.1") == .http)
        #expect(error("PATCH /v1/jobs") == .http)
        #expect(error("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == .http2)
        #expect(error("\u{16}\u{3}\u{1}") == .tls)
        #expect(error("nonsense") == .garbage)
        #expect(error("") == nil)
    }
}
