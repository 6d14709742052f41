// Frames (RFC 9113 sections 4 and 6).

/// The first nine bytes of a frame.
struct HTTP2FrameHeader: Hashable, Sendable {
    static let size = 9

    enum Kind {
        static let data: UInt8 = 0
        static let headers: UInt8 = 1
        static let priority: UInt8 = 2
        static let reset: UInt8 = 3
        static let settings: UInt8 = 4
        static let pushPromise: UInt8 = 5
        static let ping: UInt8 = 6
        static let goAway: UInt8 = 7
        static let windowUpdate: UInt8 = 8
        static let continuation: UInt8 = 9
    }

    enum Flag {
        static let ack: UInt8 = 0x1
        static let endStream: UInt8 = 0x1
        static let endHeaders: UInt8 = 0x4
        static let padded: UInt8 = 0x8
        static let priority: UInt8 = 0x20
    }

    private static let names = [
        "DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY",
        "WINDOW_UPDATE", "CONTINUATION",
    ]

    let length: Int
    let kind: UInt8
    let flags: UInt8
    let stream: UInt32

    init(length: Int, kind: UInt8, flags: UInt8, stream: UInt32) {
        self.length = length
        self.kind = kind
        self.flags = flags
        self.stream = stream
    }

    /// There are nine bytes at the offset.
    init(_ bytes: [UInt8], at offset: Int) {
        length = Int(bytes[offset]) << 16 | Int(bytes[offset + 1]) << 8 | Int(bytes[offset + 2])
        kind = bytes[offset + 3]
        flags = bytes[offset + 4]
        stream = readUInt32(bytes, at: offset + 5) & 0x7fff_ffff
    }

    func has(_ flag: UInt8) -> Bool { flags & flag != 0 }

    /// `PING`, or a number for a kind that nobody has defined.
    var name: String {
        kind < Self.names.count ? Self.names[Int(kind)] : "frame of type \(kind)"
    }

    func write(to output: inout [UInt8]) {
        output.append(UInt8(truncatingIfNeeded: length >> 16))
        output.append(UInt8(truncatingIfNeeded: length >> 8))
        output.append(UInt8(truncatingIfNeeded: length))
        output.append(kind)
        output.append(flags)
        appendUInt32(stream, to: &output)
    }
}

/// Four bytes, the highest first.
func readUInt32(_ bytes: [UInt8], at offset: Int) -> UInt32 {
    UInt32(bytes[offset]) << 24 | UInt32(bytes[offset + 1]) << 16
        | UInt32(bytes[offset + 2]) << 8 | UInt32(bytes[offset + 3])
}

func appendUInt32(_ value: UInt32, to output: inout [UInt8]) {
    output.append(UInt8(truncatingIfNeeded: value >> 24))
    output.append(UInt8(truncatingIfNeeded: value >> 16))
    output.append(UInt8(truncatingIfNeeded: value >> 8))
    output.append(UInt8(truncatingIfNeeded: value))
}

/// Names of settings (RFC 9113 section 6.5.2).
enum HTTP2Setting {
    static let headerTableSize: UInt16 = 1
    static let enablePush: UInt16 = 2
    static let maxConcurrentStreams: UInt16 = 3
    static let initialWindowSize: UInt16 = 4
    static let maxFrameSize: UInt16 = 5
    static let maxHeaderListSize: UInt16 = 6
}
