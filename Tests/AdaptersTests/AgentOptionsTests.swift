import Adapters
import Core
import Testing

@Suite("Options of agent")
struct AgentOptionsTests {
    private func parse(_ line: String, environment: [String] = []) throws(UsageError)
        -> AgentOptions
    {
        let arguments = ["--server"] + line.split(separator: " ").map { String($0) }
        let addresses = [HostAddress("10.0.0.5/24", interface: "eth0")].compactMap { $0 }
        let host = ConfigurationHost(environment: environment, addresses: { addresses })
        guard let options = try AgentOptions.parse(arguments, host: host) else {
            throw UsageError("asked for help")
        }
        return options
    }

    private func refusal(_ line: String, environment: [String] = []) -> String? {
        do {
            _ = try parse(line, environment: environment)
            return nil
        } catch {
            return error.message
        }
    }

    @Test func `defaults are those of a server on its own`() throws {
        let options = try parse("")
        #expect(options.isServer)
        #expect(options.nodeName == nil)
        #expect(options.httpAddress == nil)
        #expect(options.bindAddress == nil)
        #expect(options.rpcPort == 6868)
        #expect(options.dataDirectory == "dkron.data")
        #expect(options.shutdownTimeout == .seconds(60))
        #expect(options.logLevel == .info)
        #expect(options.region == "global")
        #expect(options.datacenter == "dc1")
        #expect(!options.startPaused)
        #expect(options.maxRunning == nil)
        #expect(options.warnings.isEmpty)
    }

    @Test func `every option that is used is taken, in both forms`() throws {
        let options = try parse(
            """
            --node-name=n1 --bind-addr 10.0.0.1 --http-addr=:9090 --rpc-port 7000 --data-dir=/d \
            --bootstrap-expect 1 --tag a=1,b=2 --tag c=x=y --log-level debug \
            --shutdown-timeout 1m30s --default-timezone Europe/Madrid --start-paused \
            --hide-env A,B --hide-env C --max-running 7 --region r --datacenter d --backend boltdb \
            --insecure-peers
            """)
        #expect(options.nodeName == "n1")
        #expect(options.bindAddress == Endpoint(host: "10.0.0.1", port: 8946))
        #expect(options.httpAddress == Endpoint(host: "", port: 9090))
        #expect(options.rpcPort == 7000)
        #expect(options.dataDirectory == "/d")
        #expect(
            options.tags == [
                TagEntry(name: "a", value: "1"), TagEntry(name: "b", value: "2"),
                TagEntry(name: "c", value: "x=y"),
            ])
        #expect(options.logLevel == .debug)
        #expect(options.shutdownTimeout == .seconds(90))
        #expect(options.defaultZone == "Europe/Madrid")
        #expect(options.startPaused)
        #expect(options.hideEnvironment == ["A", "B", "C"])
        #expect(options.maxRunning == 7)
        #expect(options.region == "r")
        #expect(options.datacenter == "d")
    }

    @Test(arguments: [("", true), ("=true", true), ("=1", true), ("=false", false), ("=F", false)])
    func `booleans`(form: String, expected: Bool) throws {
        #expect(try parse("--start-paused\(form)").startPaused == expected)
    }

    @Test func `the last value counts`() throws {
        #expect(try parse("--node-name a --node-name b").nodeName == "b")
        #expect(try parse("--start-paused --start-paused=false").startPaused == false)
    }

    @Test(arguments: [
        ("debug", LogRecord.Level.debug), ("trace", .debug), ("INFO", .info), ("warn", .warning),
        ("warning", .warning), ("error", .error), ("fatal", .error), ("panic", .error),
    ])
    func `log levels`(word: String, level: LogRecord.Level) throws {
        let options = try parse("--log-level \(word)")
        #expect(options.logLevel == level)
        #expect(options.warnings.isEmpty)
    }

    @Test(arguments: [
        ("--htp-addr x", "unknown option --htp-addr; did you mean --http-addr?"),
        ("--nodename x", "unknown option --nodename; did you mean --node-name?"),
        ("--zzzzzzzzzz", "unknown option --zzzzzzzzzz"),
        ("-server", "unknown option -server: options begin with --, try --server"),
        ("extra", "\"extra\" is not an option of agent; options begin with --"),
        ("--node-name", "--node-name needs a value"),
        ("--start-paused=maybe", "--start-paused is either true or false, not \"maybe\""),
        ("--rpc-port 70000", "--rpc-port must be a number from 1 to 65535, not \"70000\""),
        ("--rpc-port x", "--rpc-port must be a number from 1 to 65535, not \"x\""),
        ("--max-running 0", "--max-running must be a number from 1 to 1000000, not \"0\""),
        ("--log-level loud", "--log-level must be debug, info, warn or error, not \"loud\""),
        ("--tag web", "--tag must have the form name=value, not \"web\""),
        ("--tag =x", "--tag must have the form name=value, not \"=x\""),
        ("--tag a=1,,b=2", "--tag must have the form name=value, not \"\""),
        ("--node-name a/b", "--node-name must be 1 to 128 bytes"),
        ("--node-name=", "--node-name must be 1 to 128 bytes"),
        ("--shutdown-timeout 10", "--shutdown-timeout: column 3: a unit is missing"),
        ("--shutdown-timeout -1s", "--shutdown-timeout must not be negative"),
        ("--default-timezone ../x", "--default-timezone: time zone \"../x\": "),
        ("--http-addr 1.2.3.4:99999", "--http-addr: the port of the address 1.2.3.4:99999 must be"),
        ("--http-addr {{GetPrivateIP}}:1", "--http-addr: the template {{GetPrivateIP}} finds no"),
        ("--http-addr {GetPrivateIP}:1", "--http-addr: an address template needs double braces"),
        ("--http-addr [::1", "--http-addr: the ] is missing"),
        ("--backend etcd", "--backend etcd: jobs are kept in the data directory"),
        ("--encrypt abc", "--encrypt: a key is 16, 24 or 32 bytes in base64"),
        ("--encrypt=", "--encrypt: a key is 16, 24 or 32 bytes in base64"),
        ("--cert-file f", "--cert-file: the API's certificate is given by --http-tls-cert"),
        ("--client-cert-auth", "--client-cert-auth: clients show certificates if"),
        ("--http-tls-cert f", "--http-tls-cert needs the key too"),
        ("--http-tls-key f", "--http-tls-key needs the certificate too"),
        ("--http-tls-client-ca f", "--http-tls-client-ca needs a certificate of the API's own"),
        ("--password p", "--password: access control is not available in this version"),
        ("--config f.yml", "--config f.yml: there is no such file"),
        ("--raft-multiplier 0", "--raft-multiplier must be a number from 1 to 10, not \"0\""),
        ("--profile wlan", "--profile must be lan, wan or local, not \"wlan\""),
        ("--tags a=b", "unknown option --tags; did you mean --tag?"),
        ("--data-dir=", "--data-dir must name a directory"),
    ])
    func `what is refused is refused in words`(line: String, message: String) {
        #expect(refusal(line)?.hasPrefix(message) == true, "\(refusal(line) ?? "accepted")")
    }

    @Test func `options without effect warn once each`() throws {
        let options = try parse(
            "--dog-statsd-tags a,b --dog-statsd-tags c --ui=false --enable-prometheus "
                + "--statsd-addr p --auto-tls=false")
        #expect(
            options.warnings == [
                "option --dog-statsd-tags has no effect yet", "option --ui has no effect yet",
                "option --enable-prometheus has no effect yet",
                "option --statsd-addr has no effect yet", "option --auto-tls has no effect yet",
            ])
    }

    @Test func `how people are told`() throws {
        let hook = "--webhook-payload {{.JobName}}"
        let options = try parse("\(hook) --webhook-url http://h/x --server")
        #expect(options.notifications.channels == .webhook && options.warnings.isEmpty)
        let both = try parse(
            "\(hook) --webhook-url http://h/x --webhook-endpoint http://h/y --server")
        #expect(both.warnings == ["--webhook-url has no effect beside webhook-endpoint"])
        let halves = try parse(
            "--server --webhook-url http://h/x --pre-webhook-payload x --mail-host m")
        #expect(
            halves.warnings == [
                "--mail-host has no effect without mail-port: no mail is sent",
                "--webhook-url has no effect without webhook-payload: nothing is sent",
                "--pre-webhook-payload has no effect without pre-webhook-endpoint: nothing is "
                    + "sent",
            ])
        #expect(halves.notifications.channels == [])
        let all = try parse(
            "--server \(hook) --webhook-endpoint http://h/ --pre-webhook-endpoint http://h/ "
                + "--pre-webhook-payload x --cronitor-endpoint http://c --mail-host m "
                + "--mail-port 25 --mail-from a@b --mail-subject-prefix=")
        #expect(all.notifications.channels.rawValue == 31 && all.warnings.isEmpty)
        #expect(
            refusal("--server --webhook-payload {{.X}}")?.hasPrefix(
                "--webhook-payload: column 1: \"{{.X}}\" is nothing that can be filled in") == true)
        #expect(
            refusal("--server \(hook) --webhook-url http://h --webhook-header geheim")
                == "--webhook-header: entry 1 has no colon; a list of \"Name: value\" is wanted, "
                + "such as [\"Accept: text/plain\"]")
    }

    @Test func `everything that is wrong is told at once`() {
        #expect(
            refusal("--rpc-port x --node-name a/b --password p")?.split(separator: "\n").count == 3)
    }

    @Test func `help wins over what follows it`() throws {
        #expect(try AgentOptions.parse(["--help", "--nonsense"]) == nil)
        #expect(try AgentOptions.parse(["--server", "-h"]) == nil)
    }

    @Test(arguments: [
        ("127.0.0.1:80", "127.0.0.1", 80, "127.0.0.1:80"), (":80", "", 80, ":80"),
        ("host", "host", 1, "host:1"), ("::1", "::1", 1, "[::1]:1"),
        ("[::1]:80", "::1", 80, "[::1]:80"), ("[::1]", "::1", 1, "[::1]:1"),
        ("0.0.0.0:0", "0.0.0.0", 0, "0.0.0.0:0"),
    ])
    func `addresses`(text: String, host: String, port: UInt16, printed: String) throws {
        let endpoint = try Endpoint(text, defaultPort: 1)
        #expect(endpoint == Endpoint(host: host, port: port))
        #expect(endpoint.description == printed)
    }

    @Test(arguments: ["", "a b:1", "h:", "h:x", "h:-1", "[::1]x", "[::1:80"])
    func `what is no address`(text: String) {
        #expect(throws: UsageError.self) { try Endpoint(text, defaultPort: 1) }
    }

    @Test func `loopback is known by its forms`() {
        for host in ["127.0.0.1", "127.9.9.9", "::1", "localhost"] {
            #expect(Endpoint(host: host, port: 1).isLoopback)
        }
        for host in ["", "0.0.0.0", "::", "10.0.0.1", "127.0.0.1.example.org", "example.org"] {
            #expect(!Endpoint(host: host, port: 1).isLoopback)
        }
    }
}
