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

    /// The program of a folder below `Plugins/src`, built once for all tests.
    static func program(_ name: String) throws -> String {
        try built.get()[name] ?? ""
    }

    private static let built: Result<[String: String], Failure> = {
        let output =
            String(binary.split(separator: "/").dropLast().map { "/" + $0 }.joined()) + "/go"
        mkdir(output, 0o755)
        var programs: [String: String] = [:]
        for name in ["executor", "processor", "host"] {
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
        let folder = #filePath.split(separator: "/").dropLast(2).map { "/" + $0 }.joined()
        let log = "\(file).log"
        unlink(log)
        let process: ChildProcess
        do {
            process = try ChildProcess(
                ["go", "build", "-trimpath", "-o", file, name], log: log,
                environment: [
                    "GOPATH": "\(folder)/Plugins:\(library)", "GO111MODULE": "off",
                    "GOCACHE": cache,
                ])
        } catch {
            throw Failure(reason: "\(error)")
        }
        guard process.wait(300) == .exited(0) else { throw Failure(reason: readText(log)) }
    }
}

/// A host on HashiCorp's library, as Dkron's is, for plugins of ours.
struct GoHost {
    let scratch: Scratch

    var variables: [String: String] { scratch.mark.merging(["TMPDIR": scratch.folder]) { $1 } }

    /// Has it start this program as a plugin and call it: what it prints, in lines, and its ending.
    func callAsFunction(
        _ kind: String, _ name: String, _ options: [String] = [], _ settings: [String],
        environment: [String: String] = [:]
    ) throws -> (ending: ChildProcess.Ending?, lines: [String]) {
        let link = scratch.path("dkron-\(kind)-\(name)")
        symlink(binary, link)
        let log = scratch.path("host-\(scratch.unique())")
        let process = try ChildProcess(
            [try GoPlugins.program("host"), kind, link] + options + ["--"] + settings,
            log: log, environment: variables.merging(environment) { $1 })
        process.wait(60)
        return (process.ending, readText(log).split(separator: "\n").map(String.init))
    }
}
