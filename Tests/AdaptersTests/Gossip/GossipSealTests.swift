import Core
import Testing

@testable import Adapters

@Suite struct GossipSealTests {
    private let key = (0..<32).map { UInt8($0) }

    /// Packets and streams that two Go nodes sealed, with the key in the table's second line.
    @Test func recordedTrafficOpens() throws {
        let lines = GossipTable.lines("gossip-enc.tsv")
        let text = try #require(lines.first { $0.hasPrefix("# gossip key") })
        let key = GossipTable.base64(text.split(separator: " ").last.map(String.init) ?? "")
        #expect(key.count == 32)
        let seal = try GossipSeal(GossipKeyRing([self.key, key]))
        var packets = 0
        for line in lines where !line.hasPrefix("#") {
            let cells = line.split(separator: "\t").map(String.init)
            let bytes = GossipTable.bytes(cells[4])
            if cells[0] == "udp" {
                let packet = GossipPacket(try seal.open(bytes[...])[...])
                #expect(packet.problems == [])
                #expect(!packet.messages.isEmpty)
                packets += 1
            } else {
                var frame = GossipFrame()
                try frame.receive(bytes)
                let message = try seal.openStream(try #require(frame.message))
                guard case .pushPull(let state) = try GossipStreamMessage(message[...]) else {
                    Issue.record("not a push/pull")
                    continue
                }
                var reader = state.reader
                #expect(try reader.next() != nil)
                #expect(try reader.next() == nil)
                #expect(try !reader.userState().isEmpty)
            }
        }
        #expect(packets == 25)
    }

    @Test(arguments: [16, 24, 32])
    func whatIsSealedOpens(size: Int) throws {
        let seal = try GossipSeal(GossipKeyRing([Array(key.prefix(size))]))
        for plain: [UInt8] in [[], [1], Array(repeating: 7, count: 1_400)] {
            let packet = try seal.seal(plain)
            #expect(packet.count == plain.count + GossipSeal.overhead)
            #expect(try seal.open(packet[...]) == plain)
            #expect(try seal.seal(plain) != packet, "a nonce is used once")
            let stream = try seal.sealStream(plain)
            #expect(try seal.openStream(stream[...]) == plain)
            var frame = GossipFrame()
            try frame.receive(stream)
            #expect(frame.message == stream[...])
        }
    }

    @Test func everyChangedBitIsFound() throws {
        let seal = try GossipSeal(GossipKeyRing([key]))
        let packet = try seal.seal([1, 2, 3])
        let stream = try seal.sealStream([1, 2, 3])
        for position in packet.indices {
            var changed = packet
            changed[position] ^= 0x80
            #expect(throws: GossipSealError.self) { try seal.open(changed[...]) }
        }
        for position in stream.indices {
            var changed = stream
            changed[position] ^= 1
            #expect(throws: GossipSealError.self) { try seal.openStream(changed[...]) }
        }
        for length in packet.indices {
            #expect(throws: GossipSealError.self) { try seal.open(packet[..<length]) }
        }
    }

    /// The first test case of AES-256 with data and additional data in the paper of McGrew and
    /// Viega, "The Galois/Counter Mode of Operation", 2005: number 16.
    @Test func aPublishedCase() throws {
        let crypto = try OpenSSL.load()
        let key = GossipTable.bytes(
            "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308")
        let nonce = GossipTable.bytes("cafebabefacedbaddecaf888")
        let plain = GossipTable.bytes(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                + "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39")
        let data = GossipTable.bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2")
        let sealed = try crypto.sealGCM(plain, key: key, nonce: nonce, authenticating: data)
        #expect(
            sealed
                == GossipTable.bytes(
                    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                        + "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
                        + "76fc6ece0f4e1768cddf8853bb2d551b"))
        #expect(crypto.openGCM(sealed[...], key: key, nonce: nonce, authenticating: data) == plain)
        #expect(crypto.openGCM(sealed[...], key: key, nonce: nonce, authenticating: []) == nil)
    }

    /// The padded form, which old nodes send.
    @Test func paddingIsTakenOff() throws {
        let crypto = try OpenSSL.load()
        let seal = try GossipSeal(GossipKeyRing([key]))
        let nonce = [UInt8](repeating: 3, count: 12)
        func sealed(_ padding: [UInt8]) throws -> [UInt8] {
            [0] + nonce
                + (try crypto.sealGCM([5, 6] + padding, key: key, nonce: nonce, authenticating: []))
        }
        let good = try sealed([UInt8](repeating: 14, count: 14))
        #expect(try seal.open(good[...]) == [5, 6])
        for bad: [UInt8] in [[0], [17], [200], [3, 2]] {
            let packet = try sealed(bad)
            #expect(throws: GossipSealError.badPadding) { try seal.open(packet[...]) }
        }
    }

    @Test func keysAreChangedOneNodeAtATime() throws {
        let (old, new) = (key, key.map { $0 ^ 0xff })
        var ring = try GossipKeyRing([old])
        let before = try GossipSeal(ring)
        #expect(throws: CryptographyError.self) { try ring.use(new) }
        try ring.install(new)
        try ring.install(new)
        #expect(ring.keys == [old, new])
        let between = try GossipSeal(ring)
        #expect(try before.open(between.seal([1])[...]) == [1])
        try ring.use(new)
        let after = try GossipSeal(ring)
        #expect(try between.open(after.seal([2])[...]) == [2])
        let strange = try after.seal([3])
        #expect(throws: GossipSealError.noKeyFits) { try before.open(strange[...]) }
        #expect(throws: CryptographyError.self) { try ring.remove(new) }
        try ring.remove(old)
        #expect(ring.keys == [new])
        for size in [0, 15, 17, 31, 33] {
            #expect(throws: CryptographyError.self) {
                try GossipKeyRing([[UInt8](repeating: 0, count: size)])
            }
        }
        #expect(throws: CryptographyError.self) { try GossipKeyRing([]) }
    }

    @Test func withoutTheLibraryTheErrorSaysWhatToInstall() {
        let error = #expect(throws: CryptographyError.self) {
            try OpenSSL(library: "libcrypto.so.0")
        }
        #expect(error?.description.contains("libcrypto.so.0 can't be loaded") == true)
        #expect(error?.description.contains("libssl3") == true)
    }
}
