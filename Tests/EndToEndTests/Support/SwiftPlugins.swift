// Plugins in Swift and Python, taken from the page that tells how to write them.

import Glibc
import Testing

enum DocumentedPlugins {
    struct Failure: Error { var reason: String }

    private static let root = String(
        #filePath.split(separator: "/").dropLast(4).map { "/" + $0 }.joined())
    private static let page = readText(root + "/docs/plugins.md")

    /// The block of code whose first lines hold a mark, without the fence.
    static func code(_ mark: String) throws -> String {
        let lines = page.split(separator: "\n", omittingEmptySubsequences: false)
        var start: Int?
        for (index, line) in lines.enumerated() where line.hasPrefix("```") {
            guard let first = start else {
                start = index + 1
                continue
            }
            start = nil
            if lines[first..<min(first + 2, index)].contains(where: { $0.contains(mark) }) {
                return lines[first..<index].joined(separator: "\n") + "\n"
            }
        }
        throw Failure(reason: "docs/plugins.md has no code that begins with \(mark)")
    }

    /// Whether a compiler is there: the one that has built these tests.
    static let hasCompiler = compiler != nil

    static let hasPython: Bool = {
        let check = ["python3", "-c", "import grpc, google.protobuf"]
        return (try? run(check, in: Scratch("protobuf")))?.ending == .exited(0)
    }()

    private static let compiler: String? = (getenv("PATH").map { String(cString: $0) } ?? "")
        .split(separator: ":").map { "\($0)/swiftc" }.first { access($0, X_OK) == 0 }

    /// The program of a block, compiled once against the modules that were built with the tests.
    static func program(_ name: String) throws -> String {
        switch name {
        case "dkron-executor-greet": try greeter.get()
        default: try redactor.get()
        }
    }

    private static let greeter = Result { try build("dkron-executor-greet") }
    private static let redactor = Result { try build("dkron-processor-redact") }

    private static func build(_ name: String) throws -> String {
        let folder = "\(products)/documented/\(name)"
        mkdir("\(products)/documented", 0o755)
        mkdir(folder, 0o755)
        let source = "\(folder)/main.swift"
        writeText(try code("Sources/\(name)/main.swift"), to: source)
        let log = "\(folder)/log"
        unlink(log)
        let objects = [
            ("Core", "Core"), ("Adapters", "Adapters"), ("CSystem", "Adapters/CSystem"),
            ("DkronPlugin", "DkronPlugin"),
        ].flatMap { module, sources in
            // Of sources that are still there: the folder keeps what earlier ones were made into.
            let names = Set(files(below: "\(root)/Sources/\(sources)").map { lastPart(of: $0) })
            return files(below: "\(products)/\(module).build").filter {
                $0.hasSuffix(".o") && names.contains(lastPart(of: String($0.dropLast(2))))
            }
        }
        let map = "\(products)/CSystem.build/module.modulemap"
        let process = try ChildProcess(
            [
                compiler ?? "swiftc", "-swift-version", "6", "-I", "\(products)/Modules", "-Xcc",
                "-fmodule-map-file=\(map)", source, "-o", "\(folder)/\(name)",
            ] + objects, log: log)
        guard process.wait(300) == .exited(0) else { throw Failure(reason: readText(log)) }
        return "\(folder)/\(name)"
    }

    /// Where these tests and what they are made of were built.
    private static let products: String = {
        guard let bundle = realpath("/proc/self/exe", nil) else { return "." }
        defer { free(bundle) }
        return String(cString: bundle).split(separator: "/").dropLast().map { "/" + $0 }.joined()
    }()

    private static func lastPart(of path: String) -> String {
        path.split(separator: "/").last.map(String.init) ?? ""
    }

    /// Everything below a folder that is no folder, or the path itself.
    private static func files(below path: String) -> [String] {
        var status = stat()
        guard stat(path, &status) == 0 else { return [] }
        guard status.st_mode & S_IFMT == S_IFDIR else { return [path] }
        return readNames(path).flatMap { files(below: "\(path)/\($0)") }
    }
}

/// What lies in a folder, sorted and without what is hidden; nothing if it is none.
func readNames(_ folder: String) -> [String] {
    guard let directory = opendir(folder) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if !name.hasPrefix(".") { names.append(name) }
    }
    return names.sorted()
}
