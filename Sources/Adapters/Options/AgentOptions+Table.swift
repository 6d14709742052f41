extension AgentOptions {
    /// Every option that `agent` of any release of Dkron knows, and our own: the one list from
    /// which the command line, the environment, the configuration file, the help and the
    /// documentation are made.
    package static let table: [CommandLineOption] =
        used + notifying + withoutEffect + older + refused

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
            "http-tls-cert", .value, "FILE",
            "speak https: the API's certificate and those of its issuers, PEM"),
        .used("http-tls-key", .value, "FILE", "the certificate's private key, PEM"),
        .used(
            "http-tls-client-ca", .value, "FILE",
            "serve only clients with a certificate of these authorities, PEM"),
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
        .used("executors", .list, "NAME", "executor by which this node runs jobs; no others then"),
        .used("secrets-dir", .value, "DIR", "where files with the secrets of jobs lie"),
        .used("hide-env", .list, "NAME", "environment variable that jobs don't get"),
        .used(
            "bind-addr", .value, "HOST:PORT",
            "address for other nodes: gossip, and with the port of rpc-port messages",
            standard: "127.0.0.1:8946, in a cluster the private address"),
        .used(
            "advertise-addr", .value, "HOST:PORT",
            "address under which other nodes reach this one", standard: "bind-addr"),
        .used(
            "rpc-port", .value, "PORT", "port for messages of other nodes", standard: "6868",
            form: .number(1...65_535)),
        .used(
            "advertise-rpc-port", .value, "PORT", "port under which other nodes reach rpc-port",
            standard: "rpc-port", form: .number(0...65_535)),
        .used(
            "join", .list, "HOST:PORT",
            "as retry-join, without an end"),
        .used(
            "retry-join", .list, "HOST:PORT",
            "nodes of the cluster, asked until one takes this one in"),
        .used(
            "retry-interval", .value, "DURATION", "between two attempts of retry-join",
            standard: "30s", form: .duration),
        .used(
            "retry-max", .value, "N",
            "attempts of retry-join after the first before giving up; 0: no end",
            standard: "0", form: .number(0...1_000_000_000)),
        .used(
            "bootstrap-expect", .value, "N",
            "found a cluster as soon as N servers that were told so have met",
            form: .number(0...1_000)),
        .used(
            "encrypt", .value, "KEY",
            "encrypt what nodes say to each other; dkron keygen prints a key", isSecret: true),
        .used(
            "insecure-peers", .flag, "",
            "let other machines connect although nothing is encrypted", standard: "false"),
        .used(
            "profile", .value, "NAME", "how patient gossip is: lan, wan or local",
            standard: "lan", form: .word(["lan", "wan", "local"])),
        .used(
            "serf-reconnect-timeout", .value, "DURATION", "a failed node is forgotten after it",
            standard: "24h", form: .duration),
        .used(
            "dead-server-timeout", .value, "DURATION",
            "a server that does not answer loses its seat after it; 0: never", standard: "72h",
            form: .duration),
        .used(
            "raft-multiplier", .value, "N",
            "multiplies the times in which servers notice the loss of their leader",
            standard: "1", form: .number(1...10)),
        .used(
            "metrics-addr", .value, "HOST:PORT",
            "where a node without server answers /metrics; servers do so at http-addr"),
        .used("region", .value, "NAME", "region of this node", standard: "global"),
        .used("datacenter", .value, "NAME", "data centre of this node", standard: "dc1"),
        .used(
            "backend", .value, "NAME", "boltdb, which means the data directory",
            standard: "boltdb"),
    ]

    /// How people are told of executions. Addresses of web hooks often hold a token, and so does
    /// what is sent to them.
    private static let notifying: [CommandLineOption] = [
        .used(
            "mail-host", .value, "HOST",
            "mail server by which the owner_email of a job hears of its executions"),
        .used(
            "mail-port", .value, "PORT", "of mail-host; 465 speaks TLS from the first byte on",
            form: .number(0...65_535)),
        .used("mail-username", .value, "NAME", "who sends, with mail-password"),
        .used("mail-password", .value, "PASSWORD", "of mail-username", isSecret: true),
        .used("mail-from", .value, "ADDRESS", "the sender of mails"),
        .used(
            "mail-payload", .value, "TEMPLATE", "the text of mails",
            standard: "the execution's output"),
        .used(
            "mail-subject-prefix", .value, "TEXT", "in front of the subject",
            standard: "[Dkron]"),
        .used(
            "webhook-endpoint", .value, "URL", "gets a POST when an execution is over",
            isSecret: true),
        .used(
            "webhook-url", .value, "URL", "older name of webhook-endpoint", isSecret: true),
        .used("webhook-payload", .value, "TEMPLATE", "the body of that POST", isSecret: true),
        .used(
            "webhook-headers", .list, "HEADER", "\"Name: value\", for that POST",
            isSecret: true),
        .used(
            "webhook-header", .list, "HEADER", "older name of webhook-headers", isSecret: true),
        .used(
            "pre-webhook-endpoint", .value, "URL", "gets a POST when an execution starts",
            isSecret: true),
        .used("pre-webhook-payload", .value, "TEMPLATE", "the body of that POST", isSecret: true),
        .used(
            "pre-webhook-headers", .list, "HEADER", "\"Name: value\", for that POST",
            isSecret: true),
        .used(
            "cronitor-endpoint", .value, "URL", "Cronitor's URL, told of starts and ends",
            isSecret: true),
    ]

    private static let withoutEffect: [CommandLineOption] =
        CommandLineOption.withoutEffect(
            .value, "dog-statsd-addr", "statsd-addr", "otel-endpoint", "federation-mode")
        + CommandLineOption.withoutEffect(.value, form: .number(-1...1), "raft-duration")
        + CommandLineOption.withoutEffect(.list, "dog-statsd-tags")
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
            "keys that were changed while the cluster ran are kept in the data directory; leave "
                + "the option out", .value, places: .file, "keyring-file")
        + CommandLineOption.refused(
            "access control is not available in this version; leave the option out, and keep the "
                + "API on a loopback address (--http-addr)", .value, "username", "password")
        + CommandLineOption.refused(
            "access control is not available in this version; leave the option out, and keep the "
                + "API on a loopback address (--http-addr)", .map, places: [.file, .environment],
            "acl")
        + CommandLineOption.refused(
            "the API's certificate is given by --http-tls-cert, --http-tls-key and "
                + "--http-tls-client-ca", .value, "cert-file", "key-file", "trusted-ca-file")
        + CommandLineOption.refused(
            "lists of revoked certificates are not looked at; leave the option out, and replace "
                + "the authority in --http-tls-client-ca", .value, "client-crl-file")
        + CommandLineOption.refused(
            "clients show certificates if --http-tls-client-ca is given; leave the option out",
            .flag, "client-cert-auth")
        + CommandLineOption.refused(
            "a certificate is not made up; give one with --http-tls-cert, or leave the option out",
            .flag, "auto-tls")
        + CommandLineOption.refused(
            "not available in this version; leave it out", .value, "unknown-fields", "reads")
}
