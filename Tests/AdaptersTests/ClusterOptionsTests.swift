import Adapters
import Core
import Testing

@Suite("Options of agent about other nodes")
struct ClusterOptionsTests {
    private static let key = "kPpdjphiipNSsjd4QHWbkA=="

    private func read(
        _ line: String, addresses: [String] = ["10.0.0.5/24"]
    ) throws -> AgentOptions {
        let found = addresses.compactMap { text in
            var address = HostAddress(text, interface: "eth0")
            address?.isOnDefaultRoute = true
            return address
        }
        let host = ConfigurationHost(addresses: { found })
        let arguments = line.split(separator: " ").map { String($0) }
        guard let options = try AgentOptions.read(arguments, host: host) else {
            throw UsageError("asked for help")
        }
        return options
    }

    @Test func `alone, a node is for its own machine`() throws {
        for line in ["--server", "--server --bootstrap-expect 1"] {
            let options = try read(line)
            #expect(options.problems == [])
            #expect(options.isAlone)
            #expect(options.bindEndpoint == Endpoint(host: "127.0.0.1", port: 8946))
            #expect(options.cluster.retryInterval == .seconds(30))
            #expect(options.cluster.retryLimit == nil)
            #expect(options.cluster.deadServerTimeout == .hours(72))
            #expect(options.cluster.reconnectTimeout == .hours(24))
        }
    }

    @Test(arguments: [
        "--join a", "--retry-join a", "--advertise-addr 1.2.3.4", "--bootstrap-expect 3",
    ])
    func `in a cluster it takes the private address`(line: String) throws {
        let options = try read("--server --encrypt \(Self.key) \(line)")
        #expect(options.problems == [])
        #expect(options.bindEndpoint == Endpoint(host: "10.0.0.5", port: 8946))
        let problems = try read("--server --encrypt \(Self.key) \(line)", addresses: []).problems
        #expect(problems.count == 1)
        #expect(problems.first?.contains("--bind-addr") == true, "\(problems)")
    }

    @Test func `every option is taken`() throws {
        let options = try read(
            """
            --server --bind-addr 10.0.0.1:7 --advertise-addr example.org:8 --rpc-port 9 \
            --advertise-rpc-port 10 --retry-join a,b:11,[::1]:12,::2 --retry-join 10.0.0.9 \
            --retry-interval 2s --retry-max 4 --bootstrap-expect 5 --encrypt \(Self.key) \
            --profile wan --serf-reconnect-timeout 1h --dead-server-timeout 0s --raft-multiplier 3
            """)
        #expect(options.problems == [])
        #expect(options.warnings == [])
        #expect(options.bindEndpoint == Endpoint(host: "10.0.0.1", port: 7))
        let cluster = options.cluster
        #expect(cluster.advertiseAddress == Endpoint(host: "example.org", port: 8))
        #expect(options.rpcPort == 9)
        #expect(cluster.advertiseRPCPort == 10)
        #expect(
            cluster.retryJoin.map(\.description) == [
                "a:7", "b:11", "[::1]:12", "[::2]:7", "10.0.0.9:7",
            ])
        #expect(cluster.retryInterval == .seconds(2))
        #expect(cluster.retryLimit == 4)
        #expect(options.bootstrapExpect == 5)
        #expect(cluster.key?.count == 16)
        #expect(cluster.profile == .wan)
        #expect(cluster.reconnectTimeout == .hours(1))
        #expect(cluster.deadServerTimeout == nil)
        #expect(cluster.raftMultiplier == 3)
    }

    @Test func `join gives way to retry-join, and advertises with the port of gossip`() throws {
        let options = try read(
            "--server --bind-addr 127.0.0.1:7 --advertise-addr 127.0.0.2 --join a --retry-join b")
        #expect(options.problems == [])
        #expect(options.warnings == ["--join has no effect beside retry-join"])
        #expect(options.cluster.join == [])
        #expect(options.cluster.retryJoin == [JoinAddress(host: "b", port: 7)])
        #expect(options.cluster.advertiseAddress == Endpoint(host: "127.0.0.2", port: 7))
    }

    @Test(arguments: [
        ("--server --bind-addr 10.0.0.1", "--bind-addr 10.0.0.1:8946: other machines could"),
        ("--server --bind-addr 0.0.0.0", "--bind-addr 0.0.0.0:8946: other machines could"),
        ("--server --retry-join a", "--bind-addr 10.0.0.5:8946: other machines could connect"),
        ("--server --retry-join provider=aws", "--retry-join: cloud discovery is not available"),
        ("--server --retry-join 0.0.0.0", "--retry-join must name a host"),
        ("--server --join a:b", "--join: the port of the address a:b must be a number"),
        ("--server --advertise-addr :80", "--advertise-addr must name an address"),
        ("--server --retry-interval 1ms", "--retry-interval must be at least 100ms"),
        ("--server --metrics-addr :9", "--metrics-addr: a server answers /metrics at --http-addr"),
        ("", "an agent without --server needs a cluster"),
        ("--node-name a", "an agent without --server needs a cluster"),
    ])
    func `what is refused is refused in words`(line: String, message: String) throws {
        let problems = try read(line).problems
        #expect(problems.count == 1)
        #expect(problems.first?.hasPrefix(message) == true, "\(problems)")
    }

    @Test(arguments: ["--encrypt \(key)", "--insecure-peers"])
    func `a key or a word of one's own opens the port`(line: String) throws {
        #expect(try read("--server --bind-addr 10.0.0.1 \(line)").problems == [])
    }

    @Test func `an agent is no server, and founds nothing`() throws {
        let options = try read(
            "--retry-join 10.0.0.9 --encrypt \(Self.key) --bootstrap-expect 3 --metrics-addr :9")
        #expect(options.problems == [])
        #expect(!options.isServer)
        #expect(options.bootstrapExpect == 0)
        #expect(
            options.warnings == ["--bootstrap-expect is for servers and has no effect here"])
        #expect(options.cluster.metricsAddress == Endpoint(host: "", port: 9))
    }
}
