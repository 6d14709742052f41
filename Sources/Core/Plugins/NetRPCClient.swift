// Calls of Go's net/rpc on a stream of gob values: a header and an argument for each request, a
// header and a reply for each answer, which may come in any order.

struct NetRPCClient: Sendable {
    struct Answer: Sendable {
        let number: UInt64
        let result: Result<GobValue, GobError>
    }

    private static let request = GobType.structure(
        "Request", [GobField("ServiceMethod", .string), GobField("Seq", .uint)])

    private var encoder = GobEncoder()
    private var decoder: GobDecoder
    private var nextNumber: UInt64 = 1
    /// The header whose reply has not come.
    private var header: GobValue?

    init(messageLimit: Int = 64 << 20) { decoder = GobDecoder(messageLimit: messageLimit) }

    /// The bytes of a call, and the number of its answer.
    mutating func call(
        _ method: String, _ argument: GobValue, as type: GobType
    ) -> (number: UInt64, bytes: [UInt8]) {
        let number = nextNumber
        nextNumber += 1
        let head = GobValue.structure([
            GobMember("ServiceMethod", .string(method)), GobMember("Seq", .uint(number)),
        ])
        return (
            number, encoder.encode(head, as: Self.request) + encoder.encode(argument, as: type)
        )
    }

    /// The answers that these bytes complete. Throws when they are none.
    mutating func receive(_ bytes: [UInt8]) throws(GobError) -> [Answer] {
        decoder.receive(bytes)
        var answers: [Answer] = []
        while let value = try decoder.next() {
            guard let header else {
                guard case .structure = value else {
                    throw GobError("an answer begins as none does")
                }
                self.header = value
                continue
            }
            self.header = nil
            let error = header["Error"]?.text ?? ""
            answers.append(
                Answer(
                    number: header["Seq"]?.unsigned ?? 0,
                    result: error.isEmpty ? .success(value) : .failure(GobError(error))))
        }
        return answers
    }
}
