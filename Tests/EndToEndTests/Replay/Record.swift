// The record: requests to a Dkron 4.0.9 and its answers, and the same requests to a server of ours.

struct Exchange {
    var number: Int
    var method: String
    var target: String
    var headers: [(String, String)]
    var body: String
    var answer: ReplayAnswer

    /// The record, with the addresses of the recorded server replaced by those of ours.
    static func all(for server: Server, in text: String) -> [Exchange] {
        var text = text
        for (theirs, ours) in [
            ("127.0.0.1:28080", "127.0.0.1:\(server.httpPort)"),
            ("127.0.0.1:26868", "127.0.0.1:\(server.rpcPort)"),
            (#"\"port\":\"26868\""#, #"\"port\":\"\#(server.rpcPort)\""#),
            (#"\"Port\":28946"#, #"\"Port\":\#(server.gossipPort)"#),
        ] {
            text = text.split(separator: theirs, omittingEmptySubsequences: false)
                .joined(separator: ours)
        }
        return text.split(separator: "\n").enumerated().map { index, line in
            Exchange(number: index + 1, JSON(Array(line.utf8)))
        }
    }

    private init(number: Int, _ line: JSON) {
        let (request, response) = (line["request"], line["response"])
        self.number = number
        method = request["method"].string ?? ""
        target = request["path"].string ?? ""
        headers = request["headers"].members.map { ($0.name, $0.value.string ?? "") }
        body = request["body"].string ?? ""
        answer = ReplayAnswer(
            status: Int(response["status"].integer ?? 0),
            headers: response["headers"].members.map {
                ($0.name.lowercased(), $0.value.string ?? "")
            }, body: response["body"].string ?? "")
    }
}

enum Replay {
    static let node = "node1"

    /// Sends every request of the record, in its order, to a fresh server set up like the recorded
    /// one. Nil when that took so long that the first job (every 10 s) may have run.
    static func run(_ text: String, _ rules: MemberRules) throws -> Comparison? {
        let server = Server(
            node, arguments: ["--tag", "my_role=web", "--default-timezone", "UTC"])
        try server.start()
        var comparison = Comparison(rules)
        let began = uptime()
        for exchange in Exchange.all(for: server, in: text) {
            // The recording waited for runs that went on beside it.
            if exchange.target.contains("/executions") {
                _ = eventually(5) { server.get("/v1/busy")?.text == "[]" }
            }
            let answer = server.send(
                exchange.method, comparison.translated(exchange.target), exchange.body,
                headers: exchange.headers)
            guard let answer else { throw NoAnswer(number: exchange.number, log: server.log) }
            comparison.compare(
                exchange.number, exchange.method, exchange.target, recorded: exchange.answer,
                ours: ReplayAnswer(
                    status: answer.status, headers: answer.headers, body: answer.text))
        }
        return uptime() - began < 9 ? comparison : nil
    }

    struct NoAnswer: Error {
        var number: Int
        var log: String
    }
}
