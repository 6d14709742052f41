// Asking a server what its methods look like (grpc/reflection/v1/reflection.proto; v1alpha has the
// same messages under another name).

/// Collects the descriptors of a service by the reflection service's stream: send `request`, hand
/// each answer to `receive`, and go on while there is a `request`.
package struct GRPCReflection: Sendable {
    /// Methods to try, one after the other while they are UNIMPLEMENTED.
    package static let methods = ["v1", "v1alpha"].map {
        "/grpc.reflection.\($0).ServerReflection/ServerReflectionInfo"
    }

    /// How many files a service may be spread over.
    private static let fileLimit = 1_000

    package private(set) var schema = ProtobufSchema()
    private let service: String
    private var asked = 0
    /// The question that is not answered yet.
    private var question: Question?

    struct Question: ProtobufMessage {
        var file: String?
        var symbol: String?

        static let fields: [ProtobufRule<Question>] = [
            .optionalString(3, \.file), .optionalString(4, \.symbol),
        ]
    }

    struct Files: ProtobufMessage {
        var files: [[UInt8]] = []

        static let fields: [ProtobufRule<Files>] = [.byteStrings(1, \.files)]
    }

    struct Failure: ProtobufMessage {
        var code: Int32 = 0
        var message = ""

        static let fields: [ProtobufRule<Failure>] = [.integer(1, \.code), .string(2, \.message)]
    }

    struct Answer: ProtobufMessage {
        var files: Files?
        var failure: Failure?

        static let fields: [ProtobufRule<Answer>] = [
            .message(4, \.files), .message(7, \.failure),
        ]
    }

    /// Begins with the file that declares a service, by its full name.
    package init(service: String) {
        self.service = service
        var first = Question()
        first.symbol = service
        question = first
    }

    /// The question to send now, or nil when everything is known.
    package var request: [UInt8]? { question?.protobuf }

    /// Takes the answer to `request`. Throws when the server does not know, or sends what can't be
    /// read.
    package mutating func receive(_ message: [UInt8]) throws(GRPCStatus) {
        guard let question else {
            throw GRPCStatus(.internalError, "the reflection service answers what nobody asked")
        }
        let answer: Answer
        do throws(ProtobufError) {
            answer = try Answer(protobuf: message)
            if let failure = answer.failure {
                let code = GRPCCode(rawValue: UInt32(bitPattern: failure.code))
                throw ProtobufError(
                    "\(question.symbol ?? question.file ?? ""): \(failure.message) (\(code))")
            }
            for bytes in answer.files?.files ?? [] {
                try schema.add(try ProtobufFile(protobuf: bytes))
            }
        } catch {
            throw GRPCStatus(
                .failedPrecondition, "the reflection service failed: \(error.description)")
        }
        asked += 1
        let missing = schema.missingFiles
        if let file = question.file, missing.contains(file) {
            throw GRPCStatus(
                .failedPrecondition, "the reflection service does not describe the file \(file)")
        }
        guard asked < Self.fileLimit else {
            throw GRPCStatus(
                .resourceExhausted, "\(service) is spread over more than \(Self.fileLimit) files")
        }
        self.question = missing.first.map {
            var next = Question()
            next.file = $0
            return next
        }
    }
}
