/// Go's net/rpc on a stream of gob values, from the side that is called.
struct NetRPCServer: Sendable {
    struct Request: Hashable, Sendable {
        let method: String
        /// The caller's, for the answer.
        let number: UInt64
        let argument: GobValue
    }

    private static let response = GobType.structure(
        "Response",
        [
            GobField("ServiceMethod", .string), GobField("Seq", .uint), GobField("Error", .string),
        ])
    /// What Go's library answers where there is nothing to say.
    static let nothing = GobType.structure("", [])

    private var encoder = GobEncoder()
    private var decoder: GobDecoder
    /// The header whose argument has not come.
    private var header: GobValue?

    /// - Parameter messageLimit: bytes of one value.
    init(messageLimit: Int = 64 << 20) { decoder = GobDecoder(messageLimit: messageLimit) }

    /// The requests that these bytes complete. Throws when they are none.
    mutating func receive(_ bytes: [UInt8]) throws(GobError) -> [Request] {
        decoder.receive(bytes)
        var requests: [Request] = []
        while let value = try decoder.next() {
            guard let header else {
                guard case .structure = value else {
                    throw GobError("a request begins as none does")
                }
                self.header = value
                continue
            }
            self.header = nil
            requests.append(
                Request(
                    method: header["ServiceMethod"]?.text ?? "",
                    number: header["Seq"]?.unsigned ?? 0, argument: value))
        }
        return requests
    }

    /// The bytes of an answer.
    mutating func answer(
        _ request: Request, _ value: GobValue = .structure([]), as type: GobType = nothing
    ) -> [UInt8] {
        head(request, error: "") + encoder.encode(value, as: type)
    }

    /// The bytes of a refusal.
    /// - Parameter error: a sentence without the full stop, not empty.
    mutating func refuse(_ request: Request, _ error: String) -> [UInt8] {
        head(request, error: error) + encoder.encode(.structure([]), as: Self.nothing)
    }

    private mutating func head(_ request: Request, error: String) -> [UInt8] {
        let members = [
            GobMember("ServiceMethod", .string(request.method)),
            GobMember("Seq", .uint(request.number)), GobMember("Error", .string(error)),
        ]
        return encoder.encode(.structure(members), as: Self.response)
    }
}
