/// The client of a SCRAM exchange (RFC 5802, RFC 7677): proves that it knows a password without
/// telling it, and has the server prove that it knows it too. Without channel binding.
///
/// User name and password are taken as they are: SASLprep changes nothing in ASCII, and servers
/// that know other letters differ about it.
struct SCRAMClient: Sendable {
    /// Why the exchange can't go on: a sentence without the full stop.
    struct Failure: Error, Hashable {
        let reason: String
    }

    private let kind: DigestKind
    private let password: [UInt8]
    private let nonce: String
    private let firstBare: String
    /// What the server has to answer at the end.
    private var serverSignature: [UInt8] = []

    /// - Parameter nonce: letters and digits that nobody can guess, other ones each time.
    init(_ kind: DigestKind, user: String, password: String, nonce: String) {
        self.kind = kind
        self.password = Array(password.utf8)
        self.nonce = nonce
        var name = ""
        for character in user.unicodeScalars {
            switch character {
            case "=": name += "=3D"
            case ",": name += "=2C"
            default: name.unicodeScalars.append(character)
            }
        }
        firstBare = "n=\(name),r=\(nonce)"
    }

    /// What the client says first.
    var first: [UInt8] { Array("n,,\(firstBare)".utf8) }

    /// What the client says to the server's first word.
    mutating func answer(_ bytes: [UInt8], on host: any ExecutorHost) throws(Failure) -> [UInt8] {
        let text = String(decoding: bytes, as: UTF8.self)
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        guard parts.count >= 3, let theirs = Self.value("r", parts[0]),
            let saltText = Self.value("s", parts[1]), let roundsText = Self.value("i", parts[2]),
            let salt = try? Base64Text.decode(saltText), !salt.isEmpty
        else { throw Failure(reason: "the server's first word is no SCRAM") }
        guard theirs.hasPrefix(nonce), theirs.utf8.count > nonce.utf8.count else {
            throw Failure(reason: "the server answers somebody else's SCRAM exchange")
        }
        let allowed = 4_096...ExecutorHostLimits.mostRounds
        guard let rounds = Int(roundsText), allowed.contains(rounds) else {
            throw Failure(
                reason: "the server wants \(roundsText.prefix(20)) rounds of PBKDF2; "
                    + "\(allowed.lowerBound) to \(allowed.upperBound) are allowed")
        }
        // "biws" is the "n,," of the first word.
        let withoutProof = "c=biws,r=\(theirs)"
        let whole = Array("\(firstBare),\(text),\(withoutProof)".utf8)
        do throws(ExecutorHostError) {
            let salted = try host.stretch(password, salt: salt, rounds: rounds, kind)
            let clientKey = try host.authenticate(Array("Client Key".utf8), key: salted, kind)
            let stored = try host.digest(kind, of: clientKey)
            let signature = try host.authenticate(whole, key: stored, kind)
            let serverKey = try host.authenticate(Array("Server Key".utf8), key: salted, kind)
            serverSignature = try host.authenticate(whole, key: serverKey, kind)
            let proof = zip(clientKey, signature).map { $0 ^ $1 }
            return Array("\(withoutProof),p=\(Base64Text.encode(proof))".utf8)
        } catch {
            throw Failure(reason: error.description)
        }
    }

    /// Whether the server's last word proves that it knows the password.
    func check(_ bytes: [UInt8]) throws(Failure) {
        let text = String(decoding: bytes, as: UTF8.self)
        let part = text.prefix { $0 != "," }
        if let error = Self.value("e", part) {
            throw Failure(reason: "the server refuses: \(error.prefix(100))")
        }
        guard let value = Self.value("v", part), let signature = try? Base64Text.decode(value),
            !serverSignature.isEmpty, signature == serverSignature
        else { throw Failure(reason: "the server does not prove that it knows the password") }
    }

    private static func value(_ name: String, _ part: Substring) -> String? {
        part.hasPrefix("\(name)=") ? String(part.dropFirst(2)) : nil
    }
}
