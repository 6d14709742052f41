// What an agent and its supervisor say to each other over a Unix stream socket.
//
// A frame is the length of its body (32 bits, little-endian), then the body: one byte of kind and
// the fields of that kind. Both ends run on one machine, but not always from the same release: an
// upgraded agent meets the supervisor that its predecessor left behind. Hence the version in the
// first frame of each side; frames before it are never sent.

internal import Core

/// From the agent.
enum SupervisorRequest: Equatable {
    /// First on every connection. `environment` is what runs inherit, as `NAME=value`.
    case hello(version: UInt32, environment: [[UInt8]])
    case start(RunSpec)
    case adopt(ExecutionID, ProcessIdentity?)
    case stop(ExecutionID)
    case release(ExecutionID)
    case renewFences(ago: Duration)
    /// End every run, then yourself.
    case endAll
    /// From now on, the end of this connection means the same; the directory goes as well.
    case bind
}

/// From the supervisor.
enum SupervisorNews: Equatable {
    /// The answer to `hello`. The agent gives up a supervisor of another version.
    case welcome(version: UInt32, processID: Int32)
    /// Another agent is connected; the connection closes.
    case busy
    case event(ExecutionID, RunEvent)
    case log(LogRecord)
}

enum SupervisorWire {
    static let version: UInt32 = 1
    /// A start carries its payload in one frame. Beyond this a length is damage.
    static let longestBody = 1 << 30

    static func frame(_ request: SupervisorRequest) -> [UInt8] {
        framed { writer in
            switch request {
            case .hello(let version, let environment):
                writer.u8(1)
                writer.u32(version)
                writer.array(environment) { $0.bytes($1) }
            case .start(let spec):
                writer.u8(2)
                write(spec, to: &writer)
            case .adopt(let id, let identity):
                writer.u8(3)
                writer.string(id.text)
                writer.optional(identity) { write($1, to: &$0) }
            case .stop(let id):
                writer.u8(4)
                writer.string(id.text)
            case .release(let id):
                writer.u8(5)
                writer.string(id.text)
            case .renewFences(let ago):
                writer.u8(6)
                writer.i64(ago.nanoseconds)
            case .endAll:
                writer.u8(7)
            case .bind:
                writer.u8(8)
            }
        }
    }

    static func frame(_ news: SupervisorNews) -> [UInt8] {
        framed { writer in
            switch news {
            case .welcome(let version, let processID):
                writer.u8(1)
                writer.u32(version)
                writer.u32(UInt32(bitPattern: processID))
            case .busy:
                writer.u8(2)
            case .event(let id, let event):
                writer.u8(3)
                writer.string(id.text)
                write(event, to: &writer)
            case .log(let record):
                writer.u8(4)
                writer.u8(record.level.rawValue)
                writer.string(record.message)
                writer.array(record.fields) {
                    $0.string($1.name)
                    $0.string($1.value)
                }
            }
        }
    }

    static func request(_ body: ArraySlice<UInt8>) throws(ByteError) -> SupervisorRequest {
        var reader = ByteReader(body)
        let kind = try reader.u8()
        let request: SupervisorRequest
        switch kind {
        case 1:
            let version = try reader.u32()
            request = .hello(
                version: version,
                environment: try reader.array { reader throws(ByteError) in try reader.bytes() })
        case 2: request = .start(try spec(&reader))
        case 3:
            let id = ExecutionID(try reader.string())
            request = .adopt(id, try reader.optional(identity))
        case 4: request = .stop(ExecutionID(try reader.string()))
        case 5: request = .release(ExecutionID(try reader.string()))
        case 6: request = .renewFences(ago: Duration(nanoseconds: try reader.i64()))
        case 7: request = .endAll
        case 8: request = .bind
        default: throw .malformed(offset: 0, what: "a request of kind \(kind)")
        }
        try reader.expectEnd()
        return request
    }

    static func news(_ body: ArraySlice<UInt8>) throws(ByteError) -> SupervisorNews {
        var reader = ByteReader(body)
        let kind = try reader.u8()
        let news: SupervisorNews
        switch kind {
        case 1:
            let version = try reader.u32()
            news = .welcome(version: version, processID: try int32(&reader))
        case 2: news = .busy
        case 3:
            let id = ExecutionID(try reader.string())
            news = .event(id, try event(&reader))
        case 4:
            let level = try reader.u8()
            guard let level = LogRecord.Level(rawValue: level) else {
                throw .malformed(offset: 1, what: "a log level of \(level)")
            }
            let message = try reader.string()
            let fields = try reader.array(elementSize: 2) { reader throws(ByteError) in
                LogRecord.Field(try reader.string(), try reader.string())
            }
            news = .log(LogRecord(level, message, fields))
        default: throw .malformed(offset: 0, what: "news of kind \(kind)")
        }
        try reader.expectEnd()
        return news
    }

    private static func framed(_ write: (inout ByteWriter) -> Void) -> [UInt8] {
        var writer = ByteWriter()
        writer.u32(0)
        write(&writer)
        let length = writer.count - 4
        invariant(length <= longestBody, "a frame to or from the supervisor fits its limit")
        writer.patch(u32: UInt32(length), at: 0)
        return writer.output
    }
}

/// Cuts a stream into the bodies of its frames.
struct FrameReader {
    private var buffer: [UInt8] = []
    private var consumed = 0

    mutating func append(_ bytes: UnsafeRawBufferPointer) { buffer.append(contentsOf: bytes) }

    /// The next whole body, or nil until more bytes came in. Throws at an impossible length.
    mutating func next() throws(ByteError) -> ArraySlice<UInt8>? {
        guard buffer.count - consumed >= 4 else {
            compact()
            return nil
        }
        var reader = ByteReader(buffer[consumed...])
        let length = Int(try reader.u32())
        guard length <= SupervisorWire.longestBody else {
            throw .malformed(offset: 0, what: "a frame of \(length) bytes")
        }
        guard reader.remaining >= length else {
            compact()
            return nil
        }
        consumed += 4 + length
        return try reader.raw(length)
    }

    /// Moves the beginning of an incomplete frame to the front, and gives back the memory that a
    /// large one took.
    private mutating func compact() {
        guard consumed > 0 else { return }
        if consumed == buffer.count {
            buffer.removeAll(keepingCapacity: buffer.capacity <= 1 << 16)
        } else {
            buffer.removeFirst(consumed)
        }
        consumed = 0
    }
}

/// Bytes on their way to a socket that takes them when it likes.
struct WriteQueue {
    private var buffer: [UInt8] = []
    private var sent = 0

    var count: Int { buffer.count - sent }
    var isEmpty: Bool { count == 0 }

    mutating func append(_ bytes: [UInt8]) { buffer.append(contentsOf: bytes) }

    /// Hands over what the socket takes; `send` answers how many bytes it took, or nil when it
    /// takes no more for now.
    mutating func drain(_ send: (UnsafeRawBufferPointer) -> Int?) {
        while !isEmpty {
            let taken = buffer.withUnsafeBytes {
                send(UnsafeRawBufferPointer(rebasing: $0[sent...]))
            }
            guard let taken else { break }
            sent += taken
        }
        if isEmpty {
            buffer.removeAll(keepingCapacity: buffer.capacity <= 1 << 16)
            sent = 0
        } else if sent > buffer.count / 2 {
            buffer.removeFirst(sent)
            sent = 0
        }
    }

    mutating func removeAll() { self = WriteQueue() }
}
