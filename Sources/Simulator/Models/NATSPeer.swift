// A NATS server at the other end of one connection. How it behaves is data in the job's own
// message, so that a plan says everything: `sim mute=1/4 cut=1/4 garbage=1/4 at=login`. It reads
// what it is told by itself, independently of Core.

import Core

/// What a server does that it should not.
enum PeerManner: String, CaseIterable, Sendable {
    case plain
    /// Takes everything, keeps what is published, and says nothing.
    case mute
    /// Says a part of it and closes the connection, or breaks it.
    case cut
    case garbage
    /// Speaks without end.
    case flood
    case late
    /// Says everything twice.
    case twice
    /// Refuses, and keeps nothing.
    case deny
    /// Keeps it, and closes the connection.
    case lose
    /// A stream that does not store.
    case unstored
    /// Takes small messages only.
    case small
    /// Wants TLS.
    case secure
    /// Asks whether the client lives.
    case ping

    var mark: PeerMark {
        switch self {
        case .plain: .peerKept
        case .mute: .peerMuted
        case .cut: .peerCutOff
        case .garbage: .peerSpokeGarbage
        case .flood: .peerFlooded
        case .late: .peerWasLate
        case .twice: .peerRepeated
        case .deny: .peerDenied
        case .lose: .peerLostAnswer
        case .unstored: .peerDidNotStore
        case .small: .peerTookLess
        case .secure: .peerWantedTLS
        case .ping: .peerPinged
        }
    }
}

struct NATSPeer: Sendable {
    /// When the manner shows.
    enum Stage: String, CaseIterable, Sendable {
        case greeting, login, publication
    }

    /// What a server says, and does.
    enum Word: Sendable {
        /// `whole`: with the last of it the client knows that its message was kept.
        case send([UInt8], whole: Bool)
        /// Again and again, until the client has gone.
        case flood([UInt8], every: Duration)
        case close
        case reset
    }

    struct Publication: Hashable, Sendable {
        var subject = ""
        var reply = ""
        var headers: [Plan.Setting] = []
        var payload: [UInt8] = []
    }

    let manner: PeerManner
    let stage: Stage
    private var draws: DrawStream
    private var buffer: [UInt8] = []
    private var hasGreeted = false
    private var isDeaf = false
    private var inbox: (subject: String, number: String)?
    /// What is to be told when the client asks whether everything was read.
    private var pending: (kept: Bool, words: [UInt8])?
    /// The manner has shown.
    private(set) var hasShown = false

    init(_ text: String, _ draws: DrawStream) {
        var draws = draws
        let words = text.split(separator: " ").map { $0.split(separator: "=", maxSplits: 1) }
        func value(_ name: String) -> Substring? {
            words.first { $0.count == 2 && $0[0] == name }?[1]
        }
        manner =
            PeerManner.allCases.first {
                guard let ratio = value($0.rawValue).flatMap({ Ratio($0) }) else { return false }
                return draws.chance(ratio.numerator, ratio.denominator)
            } ?? .plain
        let drawn = Stage.allCases[draws.weighted([1, 1, 2])]
        stage = value("at").flatMap { Stage(rawValue: String($0)) } ?? drawn
        self.draws = draws
    }

    /// Takes what a client has sent, or that it is there.
    /// - Parameter number: of the next message in a stream.
    mutating func receive(
        _ bytes: [UInt8], next number: Int
    ) -> (kept: [Publication], asked: [Publication], words: [(after: Duration, Word)]) {
        guard !isDeaf else { return ([], [], []) }
        var kept: [Publication] = []
        var asked: [Publication] = []
        var said: [(after: Duration, Word)] = []
        if !hasGreeted {
            hasGreeted = true
            said += say(greeting, at: .greeting)
        }
        buffer += bytes
        while !isDeaf, let line = nextLine() {
            if line == ["PING"], let answer = pending {
                pending = nil
                said += say(answer.words, at: .publication, tellsAll: answer.kept)
            } else if line == ["PING"] {
                said += say(Array("PONG\r\n".utf8), at: .login)
            } else if line.count == 3, line[0] == "SUB" {
                inbox = (line[1], line[2])
            } else if line[0] == "PUB" || line[0] == "HPUB" {
                guard let publication = publication(line) else { break }
                asked.append(publication)
                let isKept = take(publication, number)
                if isKept { kept.append(publication) }
            }
        }
        return (kept, asked, said)
    }

    // MARK: Reading

    /// Words of the next line. A publication's line stays until its payload is there.
    private mutating func nextLine() -> [String]? {
        guard let end = buffer.firstIndex(of: 0x0a) else { return nil }
        let text = String(decoding: buffer[..<end], as: UTF8.self)
        let words = text.split { $0 == " " || $0 == "\r" }.map(String.init)
        guard let first = words.first else { return nil }
        if first == "PUB" || first == "HPUB" {
            guard let size = words.last.flatMap({ Int($0) }), buffer.count >= end + 1 + size + 2
            else { return nil }
        } else {
            buffer.removeSubrange(...end)
        }
        return words
    }

    private mutating func publication(_ line: [String]) -> Publication? {
        guard let end = buffer.firstIndex(of: 0x0a), let size = line.last.flatMap({ Int($0) })
        else { return nil }
        let isHeaded = line[0] == "HPUB"
        var publication = Publication(subject: line[1])
        let fixed = isHeaded ? 4 : 3
        if line.count == fixed + 1 { publication.reply = line[2] }
        var payload = buffer[(end + 1)..<(end + 1 + size)]
        if isHeaded, let headSize = Int(line[line.count - 2]) {
            let head = String(decoding: payload.prefix(headSize), as: UTF8.self)
            for field in head.split(separator: "\r\n").dropFirst() {
                let parts = field.split(separator: ":", maxSplits: 1)
                let value = parts.count == 2 ? parts[1].drop { $0 == " " } : ""
                publication.headers.append(
                    Plan.Setting(name: String(parts[0]), value: String(value)))
            }
            payload = payload.dropFirst(headSize)
        }
        publication.payload = Array(payload)
        buffer.removeSubrange(..<(end + 1 + size + 2))
        return publication
    }

    /// Whether the message is kept; what is said about it comes with the answer to the next ping.
    private mutating func take(_ publication: Publication, _ number: Int) -> Bool {
        let isStream = !publication.reply.isEmpty
        let shows = stage == .publication
        if manner == .deny, shows {
            hasShown = true
            pending = (false, Array("-ERR 'Permissions Violation for Publish'\r\n".utf8))
            return false
        }
        let pong = Array("PONG\r\n".utf8)
        guard isStream, let inbox, inbox.subject == publication.reply else {
            pending = (true, pong)
            return true
        }
        let target = "\(inbox.subject) \(inbox.number)"
        if manner == .unstored {
            hasShown = true
            let error = #"{"error":{"code":503,"description":"no room"}}"#
            let words =
                draws.chance(1, 2)
                ? "HMSG \(target) 16 16\r\nNATS/1.0 503\r\n\r\n\r\n"
                : "MSG \(target) \(error.utf8.count)\r\n\(error)\r\n"
            let text = Array(words.utf8)
            pending = (false, draws.chance(1, 2) ? text + pong : pong + text)
            return false
        }
        let stored = #"{"stream":"sim", "seq":\#(number)}"#
        let text = Array("MSG \(target) \(stored.utf8.count)\r\n\(stored)\r\n".utf8)
        pending = (true, draws.chance(1, 2) ? text + pong : pong + text)
        return true
    }

    // MARK: Speaking

    private var greeting: [UInt8] {
        let most = manner == .small ? 3 : 1_048_576
        let tls = manner == .secure ? #","tls_required":true"# : ""
        let text =
            #"INFO {"server_id":"sim","headers":true,"max_payload":\#(most)\#(tls)}"# + "\r\n"
        return Array(text.utf8)
    }

    /// What the server makes of words that are due: it may do something else instead.
    private mutating func say(
        _ words: [UInt8], at stage: Stage, tellsAll: Bool = false
    ) -> [(after: Duration, Word)] {
        var quick: Duration { .milliseconds(1) }
        switch manner {
        case .small, .secure: hasShown = true
        case .plain: hasShown = hasShown || tellsAll
        default: break
        }
        guard stage == self.stage, manner != .plain else {
            return pieces(words, whole: tellsAll, after: quick)
        }
        // Those that show elsewhere have said so there.
        if manner != .unstored, manner != .deny || stage != .publication { hasShown = true }
        switch manner {
        case .plain, .unstored, .small, .secure:
            return pieces(words, whole: tellsAll, after: quick)
        case .mute:
            isDeaf = true
            return []
        case .lose:
            isDeaf = true
            return [(quick, draws.chance(1, 2) ? .close : .reset)]
        case .cut:
            isDeaf = true
            let part = Array(words.prefix(draws.int(0...words.count - 1)))
            return pieces(part, whole: false, after: quick)
                + [(quick, draws.chance(1, 2) ? .close : .reset)]
        case .garbage:
            isDeaf = draws.chance(1, 2)
            return [(quick, .send(garbage(draws.int(1...2_000)), whole: false))]
        case .flood:
            isDeaf = true
            return [(quick, flood())]
        case .late:
            return pieces(words, whole: tellsAll, after: draws.exponential(.seconds(20)))
        case .twice:
            let again = stage == .login ? greeting : words
            return pieces(words, whole: tellsAll, after: quick)
                + pieces(again, whole: false, after: quick)
        case .deny:
            // A publication that is denied is answered by what was made ready for it.
            if stage == .publication { return pieces(words, whole: false, after: quick) }
            isDeaf = true
            let refusal = Array("-ERR 'Authorization Violation'\r\n".utf8)
            return pieces(refusal, whole: false, after: quick) + [(quick, .close)]
        case .ping:
            return pieces(Array("PING\r\n+OK\r\n".utf8) + words, whole: tellsAll, after: quick)
        }
    }

    private mutating func garbage(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: draws.next()) }
    }

    private mutating func flood() -> Word {
        switch draws.int(0...2) {
        case 0: .flood([UInt8](repeating: 0x78, count: 16 << 10), every: .milliseconds(5))
        case 1: .flood(Array("PING\r\n".utf8), every: .milliseconds(300))
        default:
            .flood(Array(String(repeating: "+OK\r\n", count: 50).utf8), every: .milliseconds(500))
        }
    }

    /// A connection cuts what is sent wherever it likes.
    private mutating func pieces(
        _ words: [UInt8], whole: Bool, after pause: Duration
    ) -> [(after: Duration, Word)] {
        guard !words.isEmpty else { return [] }
        let cut = draws.chance(1, 3) ? draws.int(0...words.count - 1) : 0
        guard cut > 0 else { return [(pause, .send(words, whole: whole))] }
        return [
            (pause, .send(Array(words[..<cut]), whole: false)),
            (draws.exponential(.milliseconds(5)), .send(Array(words[cut...]), whole: whole)),
        ]
    }
}
