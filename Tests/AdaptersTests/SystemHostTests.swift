import Testing

@testable import Adapters
@testable import Core

@Suite("The machine as executors see it")
struct SystemHostTests {
    private let host = SystemHost()

    @Test("digests, HMAC and PBKDF2 give the values of FIPS 180-4, RFC 4231 and RFC 7914")
    func known() throws {
        func text(_ bytes: [UInt8]) -> String {
            bytes.prefix(8).map { String(Int($0) + 256, radix: 16).dropFirst() }.joined()
        }
        let abc = Array("abc".utf8)
        #expect(try text(host.digest(.sha256, of: abc)) == "ba7816bf8f01cfea")
        #expect(try text(host.digest(.sha512, of: abc)) == "ddaf35a193617aba")
        let (jefe, what) = (Array("Jefe".utf8), Array("what do ya want for nothing?".utf8))
        #expect(try text(host.authenticate(what, key: jefe, .sha256)) == "5bdcc146bf60754e")
        #expect(try text(host.authenticate(what, key: jefe, .sha512)) == "164b7a7bfcf819e2")
        #expect(try host.authenticate([], key: [], .sha256).count == 32)
        let key = try host.stretch(
            Array("passwd".utf8), salt: Array("salt".utf8), rounds: 1, .sha256)
        #expect(text(key) == "55ac046e56e3089f")
        #expect(throws: ExecutorHostError.self) {
            try host.stretch([1], salt: [1], rounds: 16_385, .sha256)
        }
    }

    /// The exchange of RFC 7677, section 3, and the same one with SHA-512, computed by Python.
    @Test(
        "SCRAM: the proof of the RFC's example, and a server that must prove itself",
        arguments: [
            (
                DigestKind.sha256, "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
                "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
            ),
            (
                DigestKind.sha512,
                "gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN"
                    + "8PPC6wdp6dybEmDYXYTxwnYPJQ==",
                "ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSe"
                    + "VGT4+5ZxXnJq199RVG2rR7N7Zw=="
            ),
        ])
    func scram(kind: DigestKind, proof: String, signature: String) throws {
        var client = SCRAMClient(
            kind, user: "user", password: "pencil", nonce: "rOprNGfwEbeRWgbNEkqO")
        #expect(String(decoding: client.first, as: UTF8.self) == "n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
        let first = Array("r=\(nonce),s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096".utf8)
        let answer = try client.answer(first, on: host)
        #expect(String(decoding: answer, as: UTF8.self) == "c=biws,r=\(nonce),p=\(proof)")
        try client.check(Array("v=\(signature)".utf8))
        for bad in ["v=AAAA", "", "e=invalid-proof", "x", "v=\(signature.dropLast(4))"] {
            #expect(throws: SCRAMClient.Failure.self) { try client.check(Array(bad.utf8)) }
        }
    }

    @Test(
        "SCRAM: first words that no server says",
        arguments: [
            ("", "no SCRAM"), ("r=abX,s=AAAA", "no SCRAM"), ("r=abX,s=!,i=4096", "no SCRAM"),
            ("m=x,r=abX,s=AAAA,i=4096", "no SCRAM"), ("r=ab,s=AAAA,i=4096", "somebody else's"),
            ("r=xyz,s=AAAA,i=4096", "somebody else's"),
            ("r=abX,s=AAAA,i=4095", "4096 to 16384 are allowed"),
            ("r=abX,s=AAAA,i=1000000000", "4096 to 16384 are allowed"),
        ])
    func scramRefusals(first: String, words: String) {
        var client = SCRAMClient(.sha256, user: "a=,b", password: "p", nonce: "ab")
        #expect(String(decoding: client.first, as: UTF8.self) == "n,,n=a=3D=2Cb,r=ab")
        let failure = #expect(throws: SCRAMClient.Failure.self) {
            try client.answer(Array(first.utf8), on: host)
        }
        #expect(failure?.reason.contains(words) == true, "\(failure?.reason ?? "")")
        #expect(throws: SCRAMClient.Failure.self) { try client.check(Array("v=".utf8)) }
    }

    @Test("keys that can't sign, libraries that are not there")
    func missing() throws {
        for pem in ["", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            let error = #expect(throws: ExecutorHostError.self) { try host.sign([1], pem: pem) }
            #expect(error?.description == "the private key is no PEM of a key without a password")
        }
        let error = #expect(throws: CryptographyError.self) {
            try DigestLibrary(library: "libnothing.so.3")
        }
        #expect(error?.description.hasPrefix("authentication needs OpenSSL 3") == true)
    }

    @Test("random bytes, variables and files")
    func surroundings() throws {
        #expect(try host.unguessable(18).count == 18)
        #expect(try host.unguessable(18) != host.unguessable(18))
        #expect(host.variable("PATH")?.isEmpty == false)
        #expect(host.variable("NO_SUCH_VARIABLE_HERE") == nil)
        #expect(try host.file("/no/such/file") == nil)
        #expect(try host.file("/proc/self/comm")?.isEmpty == false)
        for path in ["/proc", "/dev/zero"] {
            let error = #expect(throws: ExecutorHostError.self) { try host.file(path) }
            #expect(error?.description == "can't read \(path): it is no file")
        }
    }
}
