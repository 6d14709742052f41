// A plugin's program: how a life of it goes, and what it does with a call. It reads and writes the
// messages by itself; HTTP/2 and calls over it are Core's, which other implementations have tested.

import Core

/// How one life of a plugin goes.
enum PluginNature: CaseIterable, Sendable {
    case plain
    /// Can't be started.
    case refused
    /// Never says where it listens.
    case silent
    /// Ends before it says so.
    case quits
    case babbles
    /// Says where it listens, and nobody is there.
    case unreachable
    /// Takes the connection, and says nothing.
    case mute
    /// Says anything but its protocol, without end.
    case raves
    /// Works, and dies after a while.
    case mortal
    /// Works, and stands still after a while.
    case freezes

    var mark: PeerMark? {
        switch self {
        case .plain: nil
        case .refused: .pluginRefused
        case .silent: .pluginSilent
        case .quits: .pluginQuit
        case .babbles: .pluginBabbled
        case .unreachable: .pluginUnreachable
        case .mute: .pluginMute
        case .raves: .pluginRaved
        case .mortal: .pluginDied
        case .freezes: .pluginFroze
        }
    }
}

struct PluginProgram: Sendable {
    let file: PluginFile
    let nature: PluginNature
    var draws: DrawStream
    /// The process is there.
    var isUp = false
    var isFrozen = false
    var connection: ConnectionNumber?
    /// Where status updates are taken, by the ids that the host gave.
    var services: [UInt32: String] = [:]
    /// The call by which what is printed is relayed.
    var prints: UInt64?

    /// The socket's path.
    static func path(_ life: PluginLife) -> String { "/p/life-\(life)" }

    /// The first line that it prints, or what it prints in its place.
    mutating func greeting(_ life: PluginLife) -> [[UInt8]] {
        if nature == .babbles { return [Array("welcome to the plugin\n".utf8)] }
        let line = Array("1|1|unix|\(Self.path(life))|grpc|\n".utf8)
        let cut = draws.chance(1, 3) ? draws.int(0...line.count - 1) : 0
        return [Array(line[..<cut]), Array(line[cut...])].filter { !$0.isEmpty }
    }
}

/// What a program was asked to do.
struct PluginTask: Sendable {
    enum End: Sendable, Equatable {
        case answers, fails, crashes, hangs, refuses, garbage, twice, repeats
    }

    let execution: ExecutionID
    let life: PluginLife
    let connection: ConnectionNumber
    let call: UInt64
    let end: End
    let output: [UInt8]
    /// All of the output comes with the answer, too.
    let isWhole: Bool
    /// Between two updates, and before the end.
    let pause: Duration
    let updates: Int
    var toldUpdates = 0
    /// Updates without end.
    let floods: Bool
    /// Where updates are taken.
    let socket: String?
    var teller: ConnectionNumber?

    /// The next piece of the output.
    mutating func nextPiece() -> [UInt8] {
        let from = output.count * toldUpdates / max(1, updates)
        toldUpdates += 1
        return Array(output[from..<output.count * toldUpdates / max(1, updates)])
    }
}

/// The message `ExecuteRequest`, read field by field.
struct PluginRequest {
    var job = ""
    var config: [String: String] = [:]
    var service: UInt32 = 0

    init?(_ bytes: [UInt8]) {
        var reader = ProtobufReader(bytes[...])
        do {
            while let field = try reader.next() {
                switch field.number {
                case 1: job = try field.string()
                case 2:
                    let (key, value) = try Self.pair(field.message())
                    config[key] = value
                case 3: service = UInt32(truncatingIfNeeded: try field.varint())
                default: break
                }
            }
        } catch { return nil }
    }

    /// Texts of the fields 1 and 2.
    private static func pair(
        _ message: ProtobufReader
    ) throws(ProtobufError) -> (String, String) {
        var reader = message
        var pair = ("", "")
        while let field = try reader.next() {
            if field.number == 1 { pair.0 = try field.string() }
            if field.number == 2 { pair.1 = try field.string() }
        }
        return pair
    }

    /// What the broker's stream tells: an id and a path.
    static func connection(_ bytes: [UInt8]) -> (service: UInt32, path: String)? {
        var reader = ProtobufReader(bytes[...])
        var found: (service: UInt32, path: String) = (0, "")
        do {
            while let field = try reader.next() {
                if field.number == 1 {
                    found.service = UInt32(truncatingIfNeeded: try field.varint())
                }
                if field.number == 3 { found.path = try field.string() }
            }
        } catch { return nil }
        return found
    }

    /// `ExecuteResponse`.
    static func answer(_ output: [UInt8], error: String) -> [UInt8] {
        var writer = ProtobufWriter()
        if !output.isEmpty { writer.bytes(1, output) }
        if !error.isEmpty { writer.string(2, error) }
        return writer.output
    }

    /// `StatusUpdateRequest`.
    static func update(_ output: [UInt8]) -> [UInt8] {
        var writer = ProtobufWriter()
        writer.bytes(2, output)
        return writer.output
    }

    /// Something printed, on the standard output.
    static func printed(_ text: [UInt8]) -> [UInt8] {
        var writer = ProtobufWriter()
        writer.varint(1, 1)
        writer.bytes(2, text)
        return writer.output
    }
}

extension PluginTask {
    /// What the job's settings say that the program does: `run=exp:2s out=300 updates=3 fail=1/5`.
    init(
        _ request: PluginRequest, of execution: ExecutionID, on connection: ConnectionNumber,
        call: UInt64, life: PluginLife, socket: String?, key: UInt64, _ draws: inout DrawStream
    ) {
        let words = (request.config["does"] ?? "").split(separator: " ").map {
            $0.split(separator: "=", maxSplits: 1)
        }
        func value(_ name: String) -> Substring? {
            words.first { $0.count == 2 && $0[0] == name }?[1]
        }
        func happens(_ name: String) -> Bool {
            guard let ratio = value(name).flatMap({ Ratio($0) }) else { return false }
            return draws.chance(ratio.numerator, ratio.denominator)
        }
        let ends: [(String, End)] = [
            ("fail", .fails), ("crash", .crashes), ("hang", .hangs), ("refuse", .refuses),
            ("garbage", .garbage), ("twice", .twice), ("repeat", .repeats),
        ]
        end = ends.first { happens($0.0) }?.1 ?? .answers
        floods = happens("flood")
        updates = value("updates").flatMap { Int($0) } ?? 0
        let count = value("out").flatMap { Int($0) } ?? 0
        output = RealRun.output(key, 0..<count, binary: false)
        isWhole = updates == 0 || value("terse") == nil
        let text = value("run") ?? "10ms"
        let length =
            text.hasPrefix("exp:")
            ? draws.exponential(parseDuration(text.dropFirst(4)) ?? .zero)
            : parseDuration(text) ?? .zero
        pause = .nanoseconds(length.nanoseconds / Int64(updates + 1))
        self.execution = execution
        self.connection = connection
        self.call = call
        self.life = life
        self.socket = socket
    }
}
