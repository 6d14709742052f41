// Why a stream or a connection ends.

/// An error code as it stands in RST_STREAM and GOAWAY (RFC 9113 section 7).
package struct HTTP2Code: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let noError = HTTP2Code(rawValue: 0)
    package static let protocolError = HTTP2Code(rawValue: 1)
    package static let internalError = HTTP2Code(rawValue: 2)
    package static let flowControlError = HTTP2Code(rawValue: 3)
    package static let settingsTimeout = HTTP2Code(rawValue: 4)
    package static let streamClosed = HTTP2Code(rawValue: 5)
    package static let frameSizeError = HTTP2Code(rawValue: 6)
    package static let refusedStream = HTTP2Code(rawValue: 7)
    package static let cancel = HTTP2Code(rawValue: 8)
    package static let compressionError = HTTP2Code(rawValue: 9)
    package static let connectError = HTTP2Code(rawValue: 10)
    package static let enhanceYourCalm = HTTP2Code(rawValue: 11)
    package static let inadequateSecurity = HTTP2Code(rawValue: 12)
    package static let http11Required = HTTP2Code(rawValue: 13)

    private static let names = [
        "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
        "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR",
        "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
    ]

    /// The name in the RFC; a number if there is none.
    package var description: String {
        rawValue < Self.names.count ? Self.names[Int(rawValue)] : "error code \(rawValue)"
    }
}

/// An error of a stream or a connection: its code, and the reason for a person on call.
package struct HTTP2Failure: Error, Hashable, Sendable, CustomStringConvertible {
    package let code: HTTP2Code
    /// A sentence without its full stop.
    package let reason: String

    package init(_ code: HTTP2Code, _ reason: String) {
        self.code = code
        self.reason = reason
    }

    package var description: String { "\(reason) (\(code))" }
}

/// The end of one stream before its time.
package struct HTTP2Reset: Hashable, Sendable {
    package let failure: HTTP2Failure
    /// We have found the fault, not the other side.
    package let isOurs: Bool
    /// The other side has said that it did nothing for this stream: it may be asked again.
    package let isUnprocessed: Bool

    package init(_ failure: HTTP2Failure, isOurs: Bool, isUnprocessed: Bool = false) {
        self.failure = failure
        self.isOurs = isOurs
        self.isUnprocessed = isUnprocessed
    }
}
