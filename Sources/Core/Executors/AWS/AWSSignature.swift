/// Signs requests to Amazon's services: Signature Version 4, of which the services' JSON protocols
/// need POST to one path without a query.
struct AWSSignature: Sendable {
    struct Keys: Hashable, Sendable {
        var id: String
        var secret: String
        /// Of keys that are good for a while only.
        var token: String?
    }

    let keys: Keys
    let region: String
    /// As in the name of its host: `ecs`.
    let service: String

    /// The time as the signature has it: `20150830T123600Z`.
    static func stamp(_ wall: WallTime) -> String {
        String(RFC3339.print(WallTime(seconds: wall.seconds)).filter { $0 != "-" && $0 != ":" })
    }

    /// Adds the headers that sign the request, with all the headers that it has.
    func sign(
        _ exchange: inout HTTPExchange, at wall: WallTime, on host: any ExecutorHost
    ) throws(ExecutorHostError) {
        let stamp = Self.stamp(wall)
        exchange.headers.append("X-Amz-Date", stamp)
        if let token = keys.token { exchange.headers.append("X-Amz-Security-Token", token) }
        exchange.headers.append(
            "Authorization", try authorization(exchange, stamp, on: host))
    }

    private func authorization(
        _ exchange: HTTPExchange, _ stamp: String, on host: any ExecutorHost
    ) throws(ExecutorHostError) -> String {
        var fields = exchange.headers.fields.map { (name: $0.name.lowercased(), value: $0.value) }
        fields.append(("host", exchange.url.hostField))
        fields.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        let names = fields.map(\.name).joined(separator: ";")
        let body = Hexadecimal.text(ofBytes: try host.digest(.sha256, of: exchange.body))
        let lines =
            ["\(exchange.method)", exchange.url.target, ""]
            + fields.map { "\($0.name):\(Self.trimmed($0.value))" } + ["", names, body]
        let request = try host.digest(
            .sha256, of: Array(lines.joined(separator: "\n").utf8))
        let day = String(stamp.prefix(8))
        let scope = "\(day)/\(region)/\(service)/aws4_request"
        let text = "AWS4-HMAC-SHA256\n\(stamp)\n\(scope)\n\(Hexadecimal.text(ofBytes: request))"
        var key = Array("AWS4\(keys.secret)".utf8)
        for part in [day, region, service, "aws4_request"] {
            key = try host.authenticate(Array(part.utf8), key: key, .sha256)
        }
        let signature = Hexadecimal.text(
            ofBytes: try host.authenticate(Array(text.utf8), key: key, .sha256))
        return "AWS4-HMAC-SHA256 Credential=\(keys.id)/\(scope), SignedHeaders=\(names), "
            + "Signature=\(signature)"
    }

    /// Without blanks around it, and one in place of several.
    private static func trimmed(_ value: String) -> String {
        value.split(separator: " ").joined(separator: " ")
    }
}
