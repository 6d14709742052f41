package import Core

/// What a node was told about the others.
package struct ClusterOptions: Sendable {
    package var advertiseAddress: Endpoint?
    /// As `rpcPort` when nil.
    package var advertiseRPCPort: UInt16?
    package var join: [JoinAddress] = []
    package var retryJoin: [JoinAddress] = []
    package var retryInterval = Duration.seconds(30)
    /// Without an end when nil.
    package var retryLimit: Int?
    package var profile = MembershipProfile.lan
    package var reconnectTimeout = Duration.hours(24)
    /// Never when nil.
    package var deadServerTimeout: Duration? = .hours(72)
    package var raftMultiplier: Int64 = 1
    /// 16, 24 or 32 bytes.
    package var key: [UInt8]?
    package var isInsecureAllowed = false
    /// Where a node that is no server answers `/metrics`.
    package var metricsAddress: Endpoint?
}

extension AgentOptions {
    /// The node was told of no others.
    package var isAlone: Bool {
        cluster.join.isEmpty && cluster.retryJoin.isEmpty && cluster.advertiseAddress == nil
            && bootstrapExpect <= 1
    }

    /// Where gossip listens, and messages with the port `rpcPort`.
    package var bindEndpoint: Endpoint { bindAddress ?? Endpoint(host: "127.0.0.1", port: 8946) }

    mutating func takeCluster(
        _ setting: inout Setting, _ host: ConfigurationHost
    ) throws(UsageError) {
        let value = setting.text
        let subject = setting.subject
        switch setting.option.name {
        case "advertise-addr":
            let endpoint = try Self.endpoint(&setting, host, defaultPort: 0)
            guard !endpoint.isEveryInterface else {
                throw UsageError("\(subject) must name an address that other nodes can reach")
            }
            cluster.advertiseAddress = endpoint
        case "advertise-rpc-port":
            cluster.advertiseRPCPort = UInt16(value).flatMap { $0 > 0 ? $0 : nil }
        case "join": cluster.join = try Self.hosts(setting, host)
        case "retry-join": cluster.retryJoin = try Self.hosts(setting, host)
        case "retry-interval":
            cluster.retryInterval = try Self.duration(value, subject)
            guard cluster.retryInterval >= .milliseconds(100) else {
                throw UsageError("\(subject) must be at least 100ms, not \"\(value)\"")
            }
        case "retry-max": cluster.retryLimit = Int(value).flatMap { $0 > 0 ? $0 : nil }
        case "profile": cluster.profile = MembershipProfile.named(value) ?? .lan
        case "serf-reconnect-timeout":
            cluster.reconnectTimeout = try Self.duration(value, subject)
        case "dead-server-timeout":
            let timeout = try Self.duration(value, subject)
            cluster.deadServerTimeout = timeout == .zero ? nil : timeout
        case "raft-multiplier": cluster.raftMultiplier = Int64(value) ?? 1
        case "encrypt": cluster.key = try Self.key(value, subject)
        case "insecure-peers": cluster.isInsecureAllowed = value == "true"
        case "metrics-addr":
            cluster.metricsAddress = try Self.endpoint(&setting, host, defaultPort: 8080)
        case let name: invariant(false, "the option \(name) is taken nowhere")
        }
    }

    private static func duration(
        _ value: String, _ subject: String
    ) throws(UsageError) -> Duration {
        do { return try DurationText.parse(value) } catch {
            throw UsageError("\(subject): \(error)")
        }
    }

    /// The key itself stands in no message.
    private static func key(_ value: String, _ subject: String) throws(UsageError) -> [UInt8]? {
        // As in Dkron's files; on a command line it is a variable that was meant to hold one.
        if value.isEmpty, subject != "--encrypt" { return nil }
        guard let key = try? Base64Text.decode(value), [16, 24, 32].contains(key.count) else {
            throw UsageError(
                "\(subject): a key is 16, 24 or 32 bytes in base64; dkron keygen prints one")
        }
        return key
    }

    /// Ports that are missing are 0 until the node's own is known.
    private static func hosts(
        _ setting: Setting, _ host: ConfigurationHost
    ) throws(UsageError) -> [JoinAddress] {
        var found: [JoinAddress] = []
        for item in setting.values where !item.text.isEmpty {
            let subject = setting.subject(item.origin)
            guard !item.text.contains("provider=") else {
                throw UsageError(
                    "\(subject): cloud discovery is not available in this version; name hosts, "
                        + "such as a DNS name with the addresses of all servers")
            }
            let endpoint: Endpoint
            do {
                let text =
                    AddressTemplate.isTemplate(item.text)
                    ? try AddressTemplate.evaluate(item.text, over: host.addresses()) : item.text
                endpoint = try Endpoint(text, defaultPort: 0)
            } catch {
                throw UsageError("\(subject): \(error.message)")
            }
            guard !endpoint.isEveryInterface else {
                throw UsageError("\(subject) must name a host, not \"\(item.text)\"")
            }
            found.append(JoinAddress(host: endpoint.host, port: endpoint.port))
        }
        return found
    }

    // MARK: What depends on several options

    /// Fills in what other options decide, and refuses what would leave a door open.
    mutating func settleCluster(_ host: ConfigurationHost) {
        guard problems.isEmpty else { return }
        if !isServer {
            if cluster.join.isEmpty, cluster.retryJoin.isEmpty {
                problems.append(
                    "an agent without --server needs a cluster: name a node of it with "
                        + "--retry-join HOST:PORT, or add --server (server: true in the file)")
            }
            if bootstrapExpect > 0 {
                warnings.append(
                    "\(subject("bootstrap-expect")) is for servers and has no effect here")
                bootstrapExpect = 0
            }
        } else if cluster.metricsAddress != nil {
            problems.append(
                "\(subject("metrics-addr")): a server answers /metrics at --http-addr; leave the "
                    + "option out")
        }
        if !cluster.join.isEmpty, !cluster.retryJoin.isEmpty {
            warnings.append("\(subject("join")) has no effect beside retry-join")
            cluster.join = []
        }
        settleAddresses(host)
    }

    private mutating func settleAddresses(_ host: ConfigurationHost) {
        if bindAddress == nil, !isAlone {
            do {
                let template = "{{ GetPrivateIP }}"
                let address = try AddressTemplate.evaluate(template, over: host.addresses())
                bindAddress = Endpoint(host: address, port: 8946)
            } catch {
                problems.append(
                    "this machine has no private address on which other nodes could reach it; "
                        + "name one with --bind-addr")
                return
            }
        }
        let bind = bindEndpoint
        func completed(_ addresses: [JoinAddress]) -> [JoinAddress] {
            addresses.map { JoinAddress(host: $0.host, port: $0.port == 0 ? bind.port : $0.port) }
        }
        cluster.join = completed(cluster.join)
        cluster.retryJoin = completed(cluster.retryJoin)
        if cluster.advertiseAddress?.port == 0 { cluster.advertiseAddress?.port = bind.port }
        guard !bind.isLoopback, cluster.key == nil, !cluster.isInsecureAllowed else { return }
        problems.append(
            "\(subject("bind-addr")) \(bind): other machines could connect there, and whoever does "
                + "can run commands on this one; give all nodes the same --encrypt KEY (dkron "
                + "keygen prints one), or, where only your nodes can connect, --insecure-peers")
    }
}
