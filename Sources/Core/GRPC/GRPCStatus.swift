// How calls end (github.com/grpc/grpc/blob/master/doc/statuscodes.md and PROTOCOL-HTTP2.md).

/// A status code. Numbers that nobody has defined are kept.
package struct GRPCCode: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let ok = GRPCCode(rawValue: 0)
    package static let cancelled = GRPCCode(rawValue: 1)
    package static let unknown = GRPCCode(rawValue: 2)
    package static let invalidArgument = GRPCCode(rawValue: 3)
    package static let deadlineExceeded = GRPCCode(rawValue: 4)
    package static let notFound = GRPCCode(rawValue: 5)
    package static let alreadyExists = GRPCCode(rawValue: 6)
    package static let permissionDenied = GRPCCode(rawValue: 7)
    package static let resourceExhausted = GRPCCode(rawValue: 8)
    package static let failedPrecondition = GRPCCode(rawValue: 9)
    package static let aborted = GRPCCode(rawValue: 10)
    package static let outOfRange = GRPCCode(rawValue: 11)
    /// UNIMPLEMENTED: there is no such method, or it can't be called like this.
    package static let unsupported = GRPCCode(rawValue: 12)
    package static let internalError = GRPCCode(rawValue: 13)
    package static let unavailable = GRPCCode(rawValue: 14)
    package static let dataLoss = GRPCCode(rawValue: 15)
    package static let unauthenticated = GRPCCode(rawValue: 16)

    private static let names = [
        "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
        "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
        "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
        "UNAUTHENTICATED",
    ]
    private static let shortNames = [
        "OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound",
        "AlreadyExists", "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
        "Aborted", "OutOfRange", "Unimplemented", "Internal", "Unavailable", "DataLoss",
        "Unauthenticated",
    ]

    /// `DEADLINE_EXCEEDED`; `Code(99)` for a number without a name.
    package var description: String {
        rawValue < Self.names.count ? Self.names[Int(rawValue)] : "Code(\(rawValue))"
    }

    /// `DeadlineExceeded`, as Go's programs print it.
    package var shortName: String {
        rawValue < Self.shortNames.count ? Self.shortNames[Int(rawValue)] : "Code(\(rawValue))"
    }
}

/// The end of a call: a code, and words for a person.
package struct GRPCStatus: Error, Hashable, Sendable, CustomStringConvertible {
    package let code: GRPCCode
    package let message: String

    package init(_ code: GRPCCode, _ message: String = "") {
        self.code = code
        self.message = message
    }

    package static let ok = GRPCStatus(.ok)

    package var isOK: Bool { code == .ok }

    package var description: String { message.isEmpty ? "\(code)" : "\(code): \(message)" }

    /// What an HTTP status means that no gRPC server has answered with.
    init(httpStatus: Int) {
        let code: GRPCCode =
            switch httpStatus {
            case 400: .internalError
            case 401: .unauthenticated
            case 403: .permissionDenied
            case 404: .unsupported
            case 429, 502, 503, 504: .unavailable
            default: .unknown
            }
        self.init(code, "the server answered with the HTTP status \(httpStatus), not in gRPC")
    }

    /// What the end of a stream means that has no trailing fields.
    init(_ reset: HTTP2Reset) {
        let code: GRPCCode =
            switch reset.failure.code {
            case _ where reset.isUnprocessed: .unavailable
            case .refusedStream: .unavailable
            case .cancel: .cancelled
            case .enhanceYourCalm: .resourceExhausted
            case .inadequateSecurity: .permissionDenied
            case .streamClosed: .unknown
            default: .internalError
            }
        self.init(code, reset.failure.description)
    }

    /// From the fields that end a call.
    init(trailers fields: HTTP2Fields) {
        guard let text = fields["grpc-status"] else {
            self.init(.unknown, "the server ended the call without a status")
            return
        }
        guard let number = UInt32(text) else {
            self.init(.unknown, "the server ended the call with the status \"\(text)\"")
            return
        }
        self.init(
            GRPCCode(rawValue: number), GRPCPercent.decode(fields["grpc-message"] ?? ""))
    }

    func write(to fields: inout HTTP2Fields) {
        fields.append("grpc-status", "\(code.rawValue)")
        if !message.isEmpty { fields.append("grpc-message", GRPCPercent.encode(message)) }
    }
}

/// The coding of `grpc-message`: bytes outside of printable ASCII, and the percent sign.
enum GRPCPercent {
    private static let digits = Array("0123456789ABCDEF".utf8)

    static func encode(_ text: String) -> String {
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            if 0x20...0x7e ~= byte, byte != UInt8(ascii: "%") {
                bytes.append(byte)
            } else {
                bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        // A field's value has no white space around it.
        if bytes.first == 0x20 { bytes.replaceSubrange(0..<1, with: "%20".utf8) }
        if bytes.last == 0x20 { bytes.replaceSubrange((bytes.count - 1)..., with: "%20".utf8) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// What is no valid code stays as it is.
    static func decode(_ text: String) -> String {
        let bytes = Array(text.utf8)
        var result: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "%"), index + 2 < bytes.count,
                let high = hexadecimalDigit(bytes[index + 1]),
                let low = hexadecimalDigit(bytes[index + 2])
            {
                result.append(high << 4 | low)
                index += 3
            } else {
                result.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
