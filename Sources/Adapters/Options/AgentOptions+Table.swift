extension AgentOptions {
    /// Every option that `agent` of any release of Dkron knows, and our own.
    package static let table: [CommandLineOption] = used + withoutEffect + refused

    private static let used: [CommandLineOption] = [
        .used("server", .flag, "", "schedule jobs and serve the API, besides running jobs"),
        .used("node-name", .value, "NAME", "unique name of this node (default: the host's name)"),
        .used(
            "http-addr", .value, "HOST:PORT",
            "where the API listens; :8080 means every interface (default: 127.0.0.1:8080 and "
                + "[::1]:8080)"),
        .used("data-dir", .value, "DIR", "where jobs and results are kept (default: dkron.data)"),
        .used("tag", .list, "NAME=VALUE", "tag of this node; may be repeated"),
        .used(
            "default-timezone", .value, "ZONE",
            "zone of jobs that name none, fixed at the first start (default: the host's)"),
        .used("log-level", .value, "LEVEL", "debug, info, warn or error (default: info)"),
        .used(
            "shutdown-timeout", .value, "DURATION",
            "how long a stop waits for running jobs (default: 60s)"),
        .used("start-paused", .flag, "", "come up with all schedules paused"),
        .used("max-running", .value, "N", "jobs that run at once; others wait (default: 512)"),
        .used("hide-env", .list, "NAME", "environment variable that jobs don't get"),
        .used("bind-addr", .value, "HOST:PORT", "address for other nodes (default: loopback)"),
        .used("rpc-port", .value, "PORT", "port for other nodes (default: 6868)"),
        .used("bootstrap-expect", .value, "N", "number of servers of the cluster: 1"),
        .used("region", .value, "NAME", "region of this node (default: global)"),
        .used("datacenter", .value, "NAME", "data centre of this node (default: dc1)"),
        .used("backend", .value, "NAME", "boltdb, which means the data directory"),
    ]

    private static let withoutEffect: [CommandLineOption] =
        CommandLineOption.withoutEffect(
            .value, "advertise-addr", "advertise-rpc-port", "profile", "retry-max",
            "retry-interval", "serf-reconnect-timeout", "raft-multiplier", "mail-host",
            "mail-port", "mail-username", "mail-password", "mail-from", "mail-payload",
            "mail-subject-prefix", "webhook-url", "webhook-endpoint", "webhook-payload",
            "pre-webhook-endpoint", "pre-webhook-payload", "cronitor-endpoint", "dog-statsd-addr",
            "statsd-addr", "otel-endpoint", "backend-password", "backend-username", "keyspace",
            "raft-duration", "federation-mode", "etcd-config-file-path")
        + CommandLineOption.withoutEffect(
            .list, "join", "retry-join", "webhook-header", "webhook-headers",
            "pre-webhook-headers", "dog-statsd-tags", "backend-machine")
        + CommandLineOption.withoutEffect(
            .flag, "ui", "enable-prometheus", "disable-usage-stats", "backend-tls", "fast",
            "disable-http-tls")

    private static let refused: [CommandLineOption] =
        CommandLineOption.refused(
            "encryption between nodes is not available in this version; leave the option out, and "
                + "keep the node on a private network", .value, "encrypt")
        + CommandLineOption.refused(
            "access control is not available in this version; leave the option out, and keep the "
                + "API on a loopback address (--http-addr)", .value, "username", "password")
        + CommandLineOption.refused(
            "TLS is not available in this version; leave the option out, and keep the API on a "
                + "loopback address (--http-addr)", .value, "cert-file", "key-file",
            "client-crl-file", "trusted-ca-file")
        + CommandLineOption.refused(
            "TLS is not available in this version; leave the option out, and keep the API on a "
                + "loopback address (--http-addr)", .flag, "client-cert-auth", "auto-tls")
        + CommandLineOption.refused(
            "configuration files are not read in this version; give the settings as options",
            .value, "config")
        + CommandLineOption.refused(
            "not available in this version; leave it out", .value, "unknown-fields", "reads",
            "dead-server-timeout")
        + CommandLineOption.refused(
            "not available in this version; leave it out", .flag, "insecure-peers")
}
