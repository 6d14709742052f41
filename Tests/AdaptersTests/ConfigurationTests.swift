import Adapters
import Core
import Testing

/// A machine with these files, variables and addresses.
private func host(
    _ files: [String: String] = [:], environment: [String] = []
) -> ConfigurationHost {
    ConfigurationHost(
        environment: environment, read: { path in files[path].map { Array($0.utf8) } })
}

private let path = "/etc/dkron/dkron.yml"

@Suite("Configuration from file and environment")
struct ConfigurationTests {
    private func read(
        _ text: String, environment: [String] = [], arguments: String = ""
    ) throws -> AgentOptions {
        let arguments = arguments.split(separator: " ").map { String($0) }
        let host = host([path: text], environment: environment)
        return try #require(try AgentOptions.read(arguments, host: host))
    }

    @Test func `every kind of value is read from YAML`() throws {
        let options = try read(
            """
            server: true            # a comment
            Node-Name: "n1"
            http-addr: ":9090"
            rpc-port: 7000
            tag:
            - role=web
            - zone=a,b=c
            shutdown-timeout: 1m30s
            hide-env: A,B
            start-paused: "true"
            region:
            """)
        #expect(options.problems.isEmpty, "\(options.problems)")
        #expect(options.warnings.isEmpty)
        #expect(options.configurationFile == path)
        #expect(options.isServer)
        #expect(options.nodeName == "n1")
        #expect(options.httpAddress == Endpoint(host: "", port: 9090))
        #expect(options.rpcPort == 7000)
        #expect(
            options.tags == [
                TagEntry(name: "role", value: "web"), TagEntry(name: "zone", value: "a,b=c"),
            ])
        #expect(options.shutdownTimeout == .seconds(90))
        #expect(options.hideEnvironment == ["A", "B"])
        #expect(options.startPaused)
        #expect(options.region == "global")
    }

    @Test func `JSON says the same`() throws {
        let json = """
            {"server": true, "rpc-port": 7000,
             "tags": {"Role": "web", "n": 1},
             "region": null, "hide-env": ["A", "B"]}
            """
        let files = ["/srv/n1.json": json]
        let options = try #require(
            try AgentOptions.read(["--config", "/srv/n1.json"], host: host(files)))
        #expect(options.problems.isEmpty, "\(options.problems)")
        #expect(options.isServer)
        #expect(options.rpcPort == 7000)
        // Names keep their case.
        #expect(
            options.tags == [
                TagEntry(name: "Role", value: "web"), TagEntry(name: "n", value: "1"),
            ])
        #expect(options.hideEnvironment == ["A", "B"])
        #expect(
            options.settings.first { $0.option.name == "hide-env" }?.place == "/srv/n1.json:3")
    }

    @Test func `the command line is stronger than the environment, that than the file`() throws {
        let text = "server: true\nregion: file\ndatacenter: file\nlog-level: debug\ntag: [a=1]\n"
        let options = try read(
            text, environment: ["DKRON_REGION=environment", "DKRON_DATACENTER=environment"],
            arguments: "--datacenter line --tag b=2 --tag c=3")
        #expect(options.problems.isEmpty)
        #expect(options.region == "environment")
        #expect(options.datacenter == "line")
        #expect(options.logLevel == .debug)
        #expect(options.tags.map(\.name) == ["b", "c"])
        #expect(
            options.settings.map { "\($0.option.name) \($0.place)" } == [
                "server \(path):1", "region DKRON_REGION", "datacenter --datacenter",
                "log-level \(path):4", "tag --tag",
            ])
    }

    @Test func `a stronger place may take back what a weaker one turned on`() throws {
        #expect(
            try read("server: true\nstart-paused: true", arguments: "--start-paused=false")
                .startPaused == false)
        #expect(try read("server: true", environment: ["DKRON_SERVER=f"]).isServer == false)
        #expect(
            try read("server: true\nauto-tls: true", arguments: "--auto-tls=false")
                .problems.isEmpty)
    }

    @Test(arguments: [
        ("server: maybe", ":1: server is either true or false, not \"maybe\""),
        ("server: true\nrpc-port: x", ":2: rpc-port must be a number from 1 to 65535, not \"x\""),
        (
            "server: true\nhttp-adr: x",
            ":2: there is no option called \"http-adr\"; did you mean http-addr?"
        ),
        ("zzzzzzzzzzzz: x", ":1: there is no option called \"zzzzzzzzzzzz\""),
        ("config: x", ":1: config can stand only on the command line, as --config"),
        ("region: [a]", ":1: region must be a single value, not a list"),
        ("tag: {a: b}", ":1: tag must be a list, not a map"),
        ("tags: [a=b]", ":1: tags must be a map, not a list"),
        ("tag:\n- a=b\n- c", ":3: tag must have the form name=value, not \"c\""),
        ("tag:\n- [a]", ":2: tag is a list of single values"),
        ("region: a\nRegion: b", ":2: Region stands here a second time, after line 1"),
        ("shutdown-timeout: 10", ":1: shutdown-timeout: column 3: a unit is missing"),
        ("retry-interval: soon", ":1: retry-interval: column 1:"),
        ("mail-port: 99999", ":1: mail-port must be a number from 0 to 65535"),
        ("bootstrap-expect: x", ":1: bootstrap-expect must be a number from 0 to 1000"),
        ("backend: etcd", ":1: backend etcd: jobs are kept in the data directory"),
        ("encrypt: abc", ":1: encrypt: a key is 16, 24 or 32 bytes in base64"),
        ("keyring-file: f", ":1: keyring-file: keys that were changed while the cluster ran"),
        ("retry-join:\n- a\n- provider=aws", ":3: retry-join: cloud discovery is not available"),
        ("client-cert-auth: true", ":1: client-cert-auth: clients show certificates"),
        ("cert-file: f", ":1: cert-file: the API's certificate is given"),
        ("username: u", ":1: username: access control is not available"),
        ("acl: {enabled: true}", ":1: acl: access control is not available"),
        ("node-name: \"a\\0\"", ":1: node-name holds a zero byte"),
        ("- server", ":1: a configuration file is a map of options"),
        ("server: &a true", ": line 1, column 9: anchors"),
        ("bind-addr: {{ GetPrivateIP }}:8946", ": line 1, column 13: complex keys"),
    ])
    func `what is wrong in a file is told with its place`(text: String, message: String) throws {
        let problem = try read(text).problems.first ?? "accepted"
        #expect(problem.hasPrefix(path + message), "\(problem)")
    }

    @Test func `all problems of a file are told`() throws {
        let options = try read("rpc-port: x\nregoin: r\nencrypt: k\nnode-name: a/b\n")
        #expect(options.problems.count == 4, "\(options.problems)")
        #expect(throws: UsageError.self) {
            try AgentOptions.parse([], host: host([path: "server: true\nregoin: r"]))
        }
    }

    @Test func `a file of something else is answered shortly`() throws {
        let problems = try read((1...100).map { "key-\($0): x\n" }.joined()).problems
        #expect(problems.count == 21)
        #expect(problems.last == "\(path): line 21 and those after it were not looked at")
    }

    @Test func `what is turned off or empty is no danger`() throws {
        let options = try read(
            "server: true\nencrypt: \"\"\nacl: {enabled: false}\nclient-cert-auth: false\n"
                + "password:\n", environment: ["DKRON_ENCRYPT="])
        #expect(options.problems.isEmpty, "\(options.problems)")
    }

    @Test func `options without effect warn once, with their place`() throws {
        let options = try read(
            "server: true\ndog-statsd-tags: [a, b]\nbackend-machines: x\ndevmode: true\n",
            environment: ["DKRON_DOG_STATSD_TAGS=c", "DKRON_STATSD_ADDR=x"],
            arguments: "--ui --ui=false")
        #expect(
            options.warnings == [
                "environment variable DKRON_DOG_STATSD_TAGS has no effect yet",
                "option backend-machines (\(path):3) has no effect yet",
                "option devmode (\(path):4) has no effect yet",
                "environment variable DKRON_STATSD_ADDR has no effect yet",
                "option --ui has no effect yet",
            ])
    }

    @Test func `the environment`() throws {
        let options = try read(
            "server: true",
            environment: [
                "DKRON_NODE_NAME=x", "DKRON_TAG=a=1  b=2,3", "DKRON_HIDE_ENV=A,B", "DKRON_REGION=",
                "DKRON_EXECUTION_ID=1", "DKRON_REGOIN=r", "DKRON_CONFIG=f", "DKRON_DEVMODE=1", "A",
                "DKRON_FOO=1",
            ])
        #expect(options.problems.isEmpty)
        #expect(options.nodeName == "x")
        #expect(options.tags.map { "\($0.name)=\($0.value)" } == ["a=1", "b=2,3"])
        #expect(options.hideEnvironment == ["A", "B"])
        #expect(options.region == "global")
        #expect(
            options.warnings == [
                "environment variable DKRON_REGOIN is not known and has no effect; did you mean "
                    + "DKRON_REGION?",
                "environment variable DKRON_CONFIG has no effect; config can stand only on the "
                    + "command line",
                "environment variable DKRON_DEVMODE has no effect; devmode can stand only in a "
                    + "file", "environment variable DKRON_FOO is not known and has no effect",
            ])
        for (entry, message) in [
            ("DKRON_ENCRYPT=k", "environment variable DKRON_ENCRYPT: a key is 16, 24 or 32"),
            ("DKRON_RPC_PORT=x", "environment variable DKRON_RPC_PORT must be a number"),
            ("DKRON_SERVER=yes", "environment variable DKRON_SERVER is either true or false"),
            ("DKRON_TAGS=a", "environment variable DKRON_TAGS must hold a JSON object: line 1"),
        ] {
            let problem = try read("server: true", environment: [entry]).problems.first ?? ""
            #expect(problem.hasPrefix(message), "\(problem)")
        }
    }

    @Test func `tag hides tags, and says so`() throws {
        let text = "server: true\ntags: {a: b}\n"
        #expect(try read(text).tags == [TagEntry(name: "a", value: "b")])
        let options = try read(text, environment: ["DKRON_TAG=c=d"])
        #expect(options.tags == [TagEntry(name: "c", value: "d")])
        #expect(
            options.warnings == [
                "\(path):2: tags is passed over, because tag (DKRON_TAG) says which tags hold"
            ])
        let object = try read("server: true", environment: [#"DKRON_TAGS={"a": 1}"#])
        #expect(object.tags == [TagEntry(name: "a", value: "1")])
    }

    // MARK: Which file

    private func found(
        _ files: [String: String], _ arguments: [String] = [], home: String = "/h"
    ) throws -> AgentOptions {
        let host = host(files, environment: ["HOME=\(home)"])
        return try #require(try AgentOptions.read(arguments, host: host))
    }

    @Test func `the first folder with a file counts`() throws {
        var files = ["config/dkron.yaml": "server: true\nregion: r3\n"]
        #expect(try found(files).region == "r3")
        files["/h/.dkron/dkron.json"] = #"{"server": true, "region": "r2"}"#
        #expect(try found(files).region == "r2")
        #expect(try found(files, home: "").region == "r3")
        files["/etc/dkron/dkron.yml"] = "server: true\nregion: r1\n"
        #expect(try found(files).region == "r1")
        files["/x.yml"] = "server: true\nregion: r0\n"
        #expect(try found(files, ["--config", "/x.yml"]).region == "r0")
        #expect(try found([:], ["--server"]).configurationFile == nil)
    }

    @Test func `a file that can't be meant is no default`() throws {
        #expect(
            try found(["/etc/dkron/dkron.yml": "", "/etc/dkron/dkron.json": "{}"]).problems.first?
                .hasPrefix("both /etc/dkron/dkron.yml and /etc/dkron/dkron.json exist") == true)
        #expect(
            try found(["/etc/dkron/dkron.toml": ""]).problems.first?
                .hasPrefix("/etc/dkron/dkron.toml: configuration files are read as YAML") == true)
        #expect(
            try found(["/x.conf": ""], ["--config", "/x.conf"]).problems.first?
                .hasPrefix("/x.conf: configuration files are read as YAML") == true)
        #expect(
            try found(["/x.json": #"{"a": 1, "a": 2}"#], ["--config=/x.json"]).problems.first
                == "/x.json: line 1, column 10: the key \"a\" stands here twice")
        let locked = ConfigurationHost(
            read: { (path) throws(SystemError) in throw SystemError("read \(path)", code: 13) })
        #expect(
            try AgentOptions.read([], host: locked)?.problems.first
                == "/etc/dkron/dkron.yml: Permission denied")
    }
}
