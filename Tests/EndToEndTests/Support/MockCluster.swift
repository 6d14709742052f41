import Glibc
import Testing

/// Three brokers of librdkafka.
struct MockCluster {
    private let program: PythonProgram
    private let port = freePort()
    private let scratch: Scratch
    let brokers: String

    static let isInstalled: Bool = {
        let folders = getenv("PATH").map { String(cString: $0) }?.split(separator: ":") ?? []
        return ["kcat", "python3"].allSatisfy { name in
            folders.contains { access("\($0)/\(name)", X_OK) == 0 }
        }
    }()

    init(in scratch: Scratch) throws {
        self.scratch = scratch
        program = try PythonProgram(KafkaPrograms.cluster, "\(port)", in: scratch)
        _ = eventually(5) { [log = program.log] in readText(log).contains(" !") }
        let words = readText(program.log).split { $0 == " " || $0 == "\n" }
        let ready = words.firstIndex(of: "ready").map { words[words.index(after: $0)] }
        brokers = String(try #require(ready))
    }

    func order(_ line: String) throws {
        let link = try #require(Connection(port: port))
        link.send(line + "\n")
        #expect(String(decoding: link.receiveAll(), as: UTF8.self) == "done")
    }

    /// Everything that is stored, by another client.
    func stored(_ topic: String, _ format: String) throws -> String {
        let (ending, output) = try run(
            [
                "kcat", "-C", "-q", "-e", "-b", brokers, "-t", topic, "-o", "beginning", "-f",
                format,
            ], in: scratch, seconds: 60)
        #expect(ending == .exited(0), "\(output)")
        return output
    }
}
