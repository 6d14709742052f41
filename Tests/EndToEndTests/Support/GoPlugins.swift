// Plugins in Go, built from the sources beside these tests.

import Glibc
import Testing

enum GoPlugins {
    /// Whether there is a Go with the library that Dkron's plugins stand on, as Debian has it.
    static let isThere: Bool = {
        let programs = ["/usr/bin/go", "/usr/local/go/bin/go", "/usr/local/bin/go"]
        return programs.contains { access($0, X_OK) == 0 }
            && access(library + "/src/github.com/hashicorp/go-plugin/plugin.go", R_OK) == 0
    }()

    private static let library = "/usr/share/gocode"

    /// The program of a folder below `Plugins`, built once for all tests.
    static func program(_ name: String) throws -> String {
        try built.get()[name] ?? ""
    }

    private static let built: Result<[String: String], Failure> = {
        let output =
            String(binary.split(separator: "/").dropLast().map { "/" + $0 }.joined()) + "/go"
        mkdir(output, 0o755)
        var programs: [String: String] = [:]
        for name in ["executor", "processor"] {
            programs[name] = "\(output)/\(name)"
            do throws(Failure) {
                try build(name, to: "\(output)/\(name)", cache: "\(output)/cache")
            } catch {
                return .failure(error)
            }
        }
        return .success(programs)
    }()

    struct Failure: Error { var reason: String }

    private static func build(_ name: String, to file: String, cache: String) throws(Failure) {
        let folder = String(#filePath.split(separator: "/").dropLast(2).map { "/" + $0 }.joined())
        let log = "\(file).log"
        unlink(log)
        let process: ChildProcess
        do {
            process = try ChildProcess(
                ["go", "build", "-trimpath", "-o", file, "\(folder)/Plugins/\(name)/main.go"],
                log: log,
                environment: ["GOPATH": library, "GO111MODULE": "off", "GOCACHE": cache])
        } catch {
            throw Failure(reason: "\(error)")
        }
        guard process.wait(300) == .exited(0) else { throw Failure(reason: readText(log)) }
    }
}
