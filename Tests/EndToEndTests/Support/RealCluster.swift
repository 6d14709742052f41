// Several real servers that make one cluster.

import Testing

enum RealCluster {
    /// Servers on ports of their own, each told of all.
    static func make(_ name: String, count: Int = 3, more: [String] = []) -> [Server] {
        let first = Server("\(name)1")
        let others = (1..<count).map { Server("\(name)\($0 + 1)", in: first.scratch) }
        let servers = [first] + others
        for server in servers {
            server.extraArguments = ["--bootstrap-expect", "\(count)"] + joining(servers) + more
        }
        return servers
    }

    /// Options of a node that is told of these.
    static func joining(_ servers: [Server]) -> [String] {
        let addresses = servers.map { "\($0.host):\($0.gossipPort)" }.joined(separator: ",")
        return ["--retry-join", addresses, "--retry-interval", "1s", "--profile", "local"]
    }

    /// Starts them and waits until all serve.
    static func start(_ servers: [Server]) throws {
        for server in servers { try server.launch() }
        let isReady = eventually(30) { servers.allSatisfy(\.isServing) }
        try #require(isReady, "not ready: \(logs(of: servers))")
    }

    static func logs(of servers: [Server]) -> String {
        servers.map { "\($0.node): \($0.log.suffix(2_000))" }.joined(separator: "\n")
    }

    /// The one server that says that it leads, once exactly one does.
    static func leader(of servers: [Server], within seconds: Double = 20) -> Server? {
        var found: [Server] = []
        _ = eventually(seconds) {
            found = servers.filter(leads)
            return found.count == 1
        }
        return found.count == 1 ? found[0] : nil
    }

    static func leads(_ server: Server) -> Bool {
        server.get("/v1/isleader", timeout: 2)?.status == 200
    }

    static func names(on server: Server, status: String) -> [String] {
        let members = server.get("/v1/members")?.json.elements ?? []
        return members.filter { $0["statusText"].string == status }
            .compactMap { $0["Name"].string }.sorted()
    }

    static func successes(of job: String, on server: Server) -> Int {
        server.executions(of: job).count { $0["success"].bool == true }
    }

    /// Runs a command of the product against a server; what it printed.
    @discardableResult
    static func dkron(
        _ server: Server, _ arguments: String..., status: Int32 = 0,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> String {
        let address = ["--address", "http://127.0.0.1:\(server.httpPort)"]
        let (ending, output) = try run([binary] + arguments + address, in: server.scratch)
        #expect(
            ending == .exited(status), "\(arguments): \(output)", sourceLocation: sourceLocation)
        return output
    }

    /// The rows of `raft list-peers` by the names of their nodes: id, address, state, voter.
    static func seats(on server: Server) throws -> [String: [Substring]] {
        let lines = try dkron(server, "raft", "list-peers").split(separator: "\n")
        #expect(lines.first?.hasPrefix("NODE") == true)
        return lines.dropFirst().reduce(into: [:]) { seats, line in
            let cells = line.split(separator: " ")
            if let name = cells.first { seats[String(name)] = Array(cells.dropFirst()) }
        }
    }
}
