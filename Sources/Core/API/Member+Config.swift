// What a node tells others about itself.

extension Member {
    /// The member that a node's own configuration and tags make. The reserved tags win over those
    /// of the user, except that a node keeps a `role` of its own.
    package init(_ config: Config, tags own: [TagEntry]) {
        var tags = own.map { Setting(name: $0.name, value: $0.value) }
        func set(_ name: String, _ value: String) {
            tags.removeAll { $0.name == name }
            tags.append(Setting(name: name, value: value))
        }
        set("dc", config.datacenter)
        set("region", config.region)
        if !tags.contains(where: { $0.name == "role" }) { set("role", "dkron") }
        set("version", config.version)
        set("port", "\(config.rpcPort)")
        let host = config.rpcAddress.contains(":") ? "[\(config.rpcAddress)]" : config.rpcAddress
        set("rpc_addr", "\(host):\(config.rpcPort)")
        for name in ["server", "bootstrap", "expect"] { tags.removeAll { $0.name == name } }
        if config.isServer {
            set("server", "true")
            if config.bootstrapExpect > 0 { set("expect", "\(config.bootstrapExpect)") }
        }
        self.init(
            name: config.nodeName, id: config.dataID, address: config.gossipAddress,
            port: config.gossipPort,
            tags: tags)
        featureLevel = config.featureLevel
    }
}
