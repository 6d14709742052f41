import Adapters
import Core
import Glibc
import Testing

@Suite("What --check-config and the documents say")
struct ConfigurationReportTests {
    @Test func `values come with their places, without secrets`() throws {
        let text = """
            server: true
            bind-addr: "{{ GetPrivateIP }}"
            mail-password: swordfish
            webhook-headers: ["Authorization: swordfish"]
            webhook-url: https://example.org/swordfish
            backend-machine: redis://user:swordfish@10.0.0.1
            retry-join: ["provider=aws secret_access_key=swordfish", 10.0.0.2]
            encrypt: swordfish
            """
        var address = try #require(HostAddress("10.0.0.5/24", interface: "eth0"))
        address.isOnDefaultRoute = true
        let host = ConfigurationHost(
            environment: ["DKRON_REGION=r 1", "DKRON_PASSWORD=swordfish"],
            addresses: { [address] in [address] },
            read: { $0 == "/c.yml" ? Array(text.utf8) : nil })
        let options = try #require(
            try AgentOptions.read(
                ["--config", "/c.yml", "--check-config", "--rpc-port", "7"], host: host))
        #expect(options.checksConfiguration)
        let lines = options.report.split(separator: "\n").map {
            $0.split(separator: "  ").map { $0.filter { $0 != " " } }.filter { !$0.isEmpty }
        }
        #expect(lines.first == ["configurationfile:/c.yml"])
        #expect(lines.contains(["server", "true", "/c.yml:1"]))
        #expect(
            lines.contains(["bind-addr", "10.0.0.5:8946", "from\"{{GetPrivateIP}}\"", "/c.yml:2"]))
        #expect(lines.contains(["rpc-port", "7", "--rpc-port"]))
        #expect(lines.contains(["region", "\"r1\"", "DKRON_REGION"]))
        #expect(lines.contains(["datacenter", "dc1", "default"]))
        #expect(lines.contains(["mail-password", "(set,notshown)", "/c.yml:3"]))
        let everything = options.report + options.warnings.joined() + options.problems.joined()
        #expect(!everything.contains("swordfish"), "\(everything)")
        #expect(options.problems.count == 3, "\(options.problems)")
    }

    @Test func `names are unique, and each is recognised where it may stand`() throws {
        let names = AgentOptions.table.map(\.name)
        #expect(Set(names).count == names.count)
        for option in AgentOptions.table where option.places.contains(.file) {
            let host = ConfigurationHost(
                read: { $0 == "/c.yml" ? Array("\(option.name): {}\n".utf8) : nil })
            let options = try AgentOptions.read(["--server", "--config=/c.yml"], host: host)
            let isUnknown = options?.problems.contains { $0.contains("no option called") }
            #expect(isUnknown == false, "\(option.name)")
        }
    }

    @Test func `the help names what may stand on the command line`() {
        let help = AgentOptions.helpLines.joined(separator: "\n")
        for option in AgentOptions.table where option.places.contains(.commandLine) {
            if case .refused = option.standing { continue }
            #expect(help.contains("--\(option.name)"), "\(option.name)")
        }
        #expect(AgentOptions.helpLines.contains { $0.hasSuffix("(default: 60s)") })
    }

    @Test func `the document lists every option as the program knows it`() throws {
        let text = try document("docs/configuration.md")
        let lines = text.split(separator: "\n").map { String($0) }
        let rows = AgentOptions.table.compactMap { Self.row($0) }
        let first = try #require(lines.firstIndex { $0 == rows.first })
        #expect(Array(lines[first...].prefix { $0.hasPrefix("|") }) == rows)
        for option in AgentOptions.table {
            #expect(text.contains("`\(option.name)`"), "\(option.name)")
        }
    }

    /// The line of the document's table for an option that has an effect.
    private static func row(_ option: CommandLineOption) -> String? {
        guard case .used = option.standing else { return nil }
        let value =
            switch option.kind {
            case .flag: "true, false"
            case .value: option.placeholder
            case .list: "list of \(option.placeholder)"
            case .map: "map"
            }
        let place =
            switch option.places {
            case .everywhere: ""
            case .commandLine: "; command line only"
            default: "; not on the command line"
            }
        return "| `\(option.name)` | \(value) | \(option.standard) | \(option.help)\(place) |"
    }

    private func document(_ path: String) throws -> String {
        let resolved = realpath(#filePath, nil)
        defer { free(resolved) }
        let here = resolved.map { String(cString: $0) } ?? #filePath
        let root = here.split(separator: "/", omittingEmptySubsequences: false).dropLast(3)
        let full = root.joined(separator: "/") + "/" + path
        var content: [UInt8] = []
        let file = open(full, O_RDONLY)
        try #require(file >= 0, "\(full)")
        defer { close(file) }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(file, &buffer, buffer.count)
            guard count > 0 else { break }
            content += buffer[..<count]
        }
        return String(decoding: content, as: UTF8.self)
    }
}
