import Testing

@testable import Core

/// A frame as it stands on the wire, for tests that speak by hand.
struct RawFrame: Equatable, CustomStringConvertible {
    var kind: UInt8
    var flags: UInt8 = 0
    var stream: UInt32 = 0
    var payload: [UInt8] = []

    var bytes: [UInt8] {
        var output: [UInt8] = []
        HTTP2FrameHeader(length: payload.count, kind: kind, flags: flags, stream: stream)
            .write(to: &output)
        return output + payload
    }

    var description: String { "kind \(kind) flags \(flags) stream \(stream) \(payload)" }

    static func all(in bytes: ArraySlice<UInt8>) -> [RawFrame] {
        let bytes = Array(bytes)
        var frames: [RawFrame] = []
        var position = 0
        while position + 9 <= bytes.count {
            let header = HTTP2FrameHeader(bytes, at: position)
            let end = position + 9 + header.length
            frames.append(
                RawFrame(
                    kind: header.kind, flags: header.flags, stream: header.stream,
                    payload: Array(bytes[(position + 9)..<min(end, bytes.count)])))
            position = end
        }
        return frames
    }

    static func settings(_ values: (UInt16, UInt32)..., ack: Bool = false) -> RawFrame {
        var payload: [UInt8] = []
        for (name, value) in values {
            payload += [UInt8(name >> 8), UInt8(name & 0xff)]
            appendUInt32(value, to: &payload)
        }
        return RawFrame(kind: 4, flags: ack ? 1 : 0, payload: payload)
    }

    static let ack = RawFrame.settings(ack: true)

    static func headers(
        _ stream: UInt32, _ fields: HTTP2Fields, ends: Bool = false, last: Bool = true
    ) -> RawFrame {
        RawFrame(
            kind: 1, flags: (ends ? 1 : 0) | (last ? 4 : 0), stream: stream, payload: block(fields))
    }

    static func data(_ stream: UInt32, _ text: String, ends: Bool = false) -> RawFrame {
        RawFrame(kind: 0, flags: ends ? 1 : 0, stream: stream, payload: Array(text.utf8))
    }

    static func reset(_ stream: UInt32, _ code: HTTP2Code = .cancel) -> RawFrame {
        RawFrame(kind: 3, stream: stream, payload: number(code.rawValue))
    }

    static func window(_ stream: UInt32, _ increment: UInt32) -> RawFrame {
        RawFrame(kind: 8, stream: stream, payload: number(increment))
    }

    static func ping(ack: Bool = false, _ payload: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8]) -> RawFrame {
        RawFrame(kind: 6, flags: ack ? 1 : 0, payload: payload)
    }

    static func goAway(_ last: UInt32, _ code: HTTP2Code = .noError, _ words: String = "")
        -> RawFrame
    {
        RawFrame(kind: 7, payload: number(last) + number(code.rawValue) + Array(words.utf8))
    }

    static func number(_ value: UInt32) -> [UInt8] {
        var bytes: [UInt8] = []
        appendUInt32(value, to: &bytes)
        return bytes
    }

    /// A block that leaves all tables as they are.
    static func block(_ fields: HTTP2Fields) -> [UInt8] {
        var output: [UInt8] = []
        for field in fields.list {
            output.append(0)
            for text in [field.name, field.value] {
                HPACKEncoder.integer(text.utf8.count, prefix: 7, flags: 0, to: &output)
                output += Array(text.utf8)
            }
        }
        return output
    }
}

let plainRequest: HTTP2Fields = [
    HTTP2Field(":method", "POST"), HTTP2Field(":scheme", "http"), HTTP2Field(":path", "/a"),
    HTTP2Field(":authority", "b"),
]
let plainAnswer: HTTP2Fields = [HTTP2Field(":status", "200")]

/// A connection whose other side is played by hand.
final class HTTP2Bench {
    var connection: HTTP2Connection
    var now = Instant.zero
    /// Frames that the connection has sent since they were last looked at.
    private var frames: [RawFrame] = []
    private var events: [HTTP2Event] = []
    private var isFirst = true

    /// With `greeted`, the settings of both sides have come and are acknowledged.
    init(
        _ role: HTTP2Connection.Role = .server, limits: HTTP2Limits = HTTP2Limits(),
        timeouts: HTTP2Timeouts = HTTP2Timeouts(), greeted: Bool = true
    ) {
        connection = HTTP2Connection(role: role, limits: limits, timeouts: timeouts, at: .zero)
        guard greeted else { return }
        if role == .server { push(HTTP2Connection.preface) }
        push(.settings())
        push(.ack)
        _ = sent()
        _ = told()
    }

    func push(_ bytes: [UInt8]) {
        connection.receive(bytes.span, at: now)
        while let event = connection.nextEvent() { events.append(event) }
    }

    func push(_ frames: RawFrame...) { push(frames.flatMap(\.bytes)) }

    /// What the connection sends, all of which is taken.
    func sent() -> [RawFrame] {
        while connection.hasOutgoing {
            var bytes = connection.outgoing
            let count = bytes.count
            if isFirst, connection.role == .client {
                bytes = bytes.dropFirst(HTTP2Connection.preface.count)
            }
            isFirst = false
            frames += RawFrame.all(in: bytes)
            bytes = []
            connection.didSend(count, at: now)
        }
        while let event = connection.nextEvent() { events.append(event) }
        defer { frames = [] }
        return frames
    }

    func told() -> [HTTP2Event] {
        while let event = connection.nextEvent() { events.append(event) }
        defer { events = [] }
        return events
    }

    func wait(_ duration: Duration) {
        now = now + duration
        connection.expire(at: now)
    }

    /// The code with which the connection has ended by GOAWAY, and the reason it gives.
    func failure() -> HTTP2Failure? {
        guard case .closed(let failure?) = told().last, let frame = sent().last, frame.kind == 7,
            readUInt32(frame.payload, at: 4) == failure.code.rawValue
        else { return nil }
        return failure
    }

    /// The code with which a stream was broken off.
    func resetCode(_ stream: UInt32) -> HTTP2Code? {
        sent().last { $0.kind == 3 && $0.stream == stream }
            .map { HTTP2Code(rawValue: readUInt32($0.payload, at: 0)) }
    }

    func open(ends: Bool = false) throws -> UInt32 {
        try connection.open(plainRequest, ends: ends, at: now)
    }

    func send(_ stream: UInt32, _ text: String, ends: Bool = false) -> Bool {
        connection.send(stream, Array(text.utf8), ends: ends, at: now)
    }

    func send(_ stream: UInt32, zeros: Int, ends: Bool = false) -> Bool {
        connection.send(stream, [UInt8](repeating: 0, count: zeros), ends: ends, at: now)
    }

    func respond(_ stream: UInt32, ends: Bool = false) -> Bool {
        (try? connection.respond(stream, plainAnswer, ends: ends, at: now)) ?? false
    }
}
