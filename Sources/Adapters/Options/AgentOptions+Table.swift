extension AgentOptions {
    /// Every option that `agent` of any release of Dkron knows, and our own: the one list from
    /// which the command line, the environment, the configuration file, the help and the
    /// documentation are made.
    package static let table: [CommandLineOption] = used + withoutEffect + older + refused

    private static let used: [CommandLineOption] = [
        .used(
            "server", .flag, "", "schedule jobs and serve the API, besides running jobs",
            standard: "false"),
        .used(
            "config", .value, "FILE",
            "read this configuration file (default: the first dkron.yml, dkron.yaml or dkron.json "
                + "in /etc/dkron, ~/.dkron, ./config)", places: .commandLine),
        .used(
            "check-config", .flag, "",
            "print what the options, the environment and the file come to, and exit",
            places: .commandLine),
        .used(
            "node-name", .value, "NAME", "unique name of this node", standard: "the host's name"),
        .used(
            "http-addr", .value, "HOST:PORT",
            "where the API listens; :8080 means every interface",
            standard: "127.0.0.1:8080 and [::1]:8080"),
        .used(
            "data-dir", .value, "DIR", "where jobs and results are kept", standard: "dkron.data"),
        .used("tag", .list, "NAME=VALUE", "tag of this node; may be repeated"),
        .used(
            "tags", .map, "", "tags of this node as a map; not beside tag",
            places: [.file, .environment]),
        .used(
            "default-timezone", .value, "ZONE",
            "zone of jobs that name none, fixed at the first start", standard: "the host's"),
        .used("log-level", .value, "LEVEL", "debug, info, warn or error", standard: "info"),
        .used(
            "log-format", .value, "FORM", "lines of key=value pairs (text) or of JSON (json)",
            standard: "text", form: .word(["text", "json"])),
        .used(
            "shutdown-timeout", .value, "DURATION", "how long a stop waits for running jobs",
            standard: "60s", form: .duration),
        .used("start-paused", .flag, "", "come up with all schedules paused", standard: "false"),
        .used(
            "max-running", .value, "N", "jobs that run at once; others wait", standard: "512",
            form: .number(1...1_000_000)),
        .used(
            "metrics-max-jobs", .value, "N", "jobs that /metrics tells about singly",
            standard: "1000", form: .number(0...1_000_000)),
        .used(
            "history-max-bytes", .value, "BYTES", "stored outputs; the oldest go beyond it",
            standard: "a tenth of the disk, at most 10 GiB",
            form: .number(1 << 20...1 << 50)),
        .used("hide-env", .list, "NAME", "environment variable that jobs don't get"),
        .used(
            "bind-addr", .value, "HOST:PORT", "address for other nodes",
            standard: "127.0.0.1:8946"),
        .used(
            "rpc-port", .value, "PORT", "port for other nodes", standard: "6868",
            form: .number(1...65_535)),
        .used(
            "bootstrap-expect", .value, "N", "number of servers of the cluster: 1",
            form: .number(0...1_000)),
        .used("region", .value, "NAME", "region of this node", standard: "global"),
        .used("datacenter", .value, "NAME", "data centre of this node", standard: "dc1"),
        .used(
            "backend", .value, "NAME", "boltdb, which means the data directory",
            standard: "boltdb"),
    ]

    private static let withoutEffect: [CommandLineOption] =
        CommandLineOption.withoutEffect(
            .value, "advertise-addr", "mail-host", "mail-username", "mail-from", "mail-payload",
            "mail-subject-prefix", "dog-statsd-addr", "statsd-addr", "otel-endpoint",
            "federation-mode")
        + CommandLineOption.withoutEffect(
            .value, form: .number(0...65_535), "advertise-rpc-port", "mail-port")
        + CommandLineOption.withoutEffect(
            .value, form: .number(0...1_000_000_000), "retry-max")
        + CommandLineOption.withoutEffect(.value, form: .number(1...10), "raft-multiplier")
        + CommandLineOption.withoutEffect(.value, form: .number(-1...1), "raft-duration")
        + CommandLineOption.withoutEffect(
            .value, form: .duration, "retry-interval", "serf-reconnect-timeout")
        + CommandLineOption.withoutEffect(
            .value, form: .word(["lan", "wan", "local"]), "profile")
        // Addresses of web hooks often hold a token, and so does what is sent to them.
        + CommandLineOption.withoutEffect(
            .value, isSecret: true, "mail-password", "webhook-url", "webhook-endpoint",
            "webhook-payload", "pre-webhook-endpoint", "pre-webhook-payload", "cronitor-endpoint")
        + CommandLineOption.withoutEffect(.list, "join", "retry-join", "dog-statsd-tags")
        + CommandLineOption.withoutEffect(
            .list, isSecret: true, "webhook-header", "webhook-headers", "pre-webhook-headers")
        + CommandLineOption.withoutEffect(
            .flag, "ui", "enable-prometheus", "disable-usage-stats", "fast", "disable-http-tls")

    /// Options of Dkron 1, and keys that only its files, or those of later releases, knew.
    private static let older: [CommandLineOption] =
        CommandLineOption.withoutEffect(
            .value, "backend-username", "keyspace", "etcd-config-file-path")
        + CommandLineOption.withoutEffect(.value, isSecret: true, "backend-password")
        + CommandLineOption.withoutEffect(.list, "backend-machine", "backend-machines")
        + CommandLineOption.withoutEffect(.flag, "backend-tls")
        + CommandLineOption.withoutEffect(
            .value, places: .file, "interface", "snapshot-path", "reconnect-interval",
            "reconnect-timeout", "tombstone-timeout")
        + CommandLineOption.withoutEffect(
            .value, form: .duration, places: .file, "reconcileinterval")
        + CommandLineOption.withoutEffect(
            .flag, places: .file, "disable-name-resolution", "rejoin-after-leave", "bootstrap",
            "devmode")

    private static let refused: [CommandLineOption] =
        CommandLineOption.refused(
            "encryption between nodes is not available in this version; leave the option out, and "
                + "keep the node on a private network", .value, "encrypt")
        + CommandLineOption.refused(
            "encryption between nodes is not available in this version; leave the option out, and "
                + "keep the node on a private network", .value, places: .file, "keyring-file")
        + CommandLineOption.refused(
            "access control is not available in this version; leave the option out, and keep the "
                + "API on a loopback address (--http-addr)", .value, "username", "password")
        + CommandLineOption.refused(
            "access control is not available in this version; leave the option out, and keep the "
                + "API on a loopback address (--http-addr)", .map, places: [.file, .environment],
            "acl")
        + CommandLineOption.refused(
            "TLS is not available in this version; leave the option out, and keep the API on a "
                + "loopback address (--http-addr)", .value, "cert-file", "key-file",
            "client-crl-file", "trusted-ca-file")
        + CommandLineOption.refused(
            "TLS is not available in this version; leave the option out, and keep the API on a "
                + "loopback address (--http-addr)", .flag, "client-cert-auth", "auto-tls")
        + CommandLineOption.refused(
            "not available in this version; leave it out", .value, "unknown-fields", "reads",
            "dead-server-timeout")
        + CommandLineOption.refused(
            "not available in this version; leave it out", .flag, "insecure-peers")
}
