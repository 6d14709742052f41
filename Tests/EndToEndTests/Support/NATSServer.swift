import Glibc
import Testing

/// A real NATS server for one test.
final class NATSServer {
    static let isInstalled = ["/usr/sbin", "/usr/bin", "/usr/local/bin"].contains {
        access($0 + "/nats-server", X_OK) == 0
    }

    let port = freePort()
    private let scratch: Scratch
    private let options: [String]
    private var process: ChildProcess?

    init(in scratch: Scratch, _ options: String...) throws {
        self.scratch = scratch
        self.options = options
        try start()
    }

    deinit { process?.destroy() }

    func start() throws {
        let log = scratch.path("nats-\(scratch.unique())")
        process = try ChildProcess(
            [
                "nats-server", "-a", "127.0.0.1", "-p", "\(port)", "-js", "-sd",
                scratch.path("jetstream"),
            ] + options, log: log)
        let isReady = eventually(10) { readText(log).contains("Server is ready") }
        try #require(isReady, "\(readText(log))")
    }

    func kill() {
        process?.signal(SIGKILL)
        process?.wait(10)
    }

    /// Says something and gives what is answered within a moment.
    func ask(_ text: String, seconds: Int = 1) throws -> String {
        let connection = try #require(Connection(port: port, timeout: seconds))
        connection.send("CONNECT {\"headers\":true}\r\n" + text)
        return String(decoding: connection.receiveAll(), as: UTF8.self)
    }

    /// A request to the server's own interface for streams.
    func ask(api subject: String, _ body: String = "") throws -> String {
        try ask(
            "SUB answer 1\r\nPUB $JS.API.\(subject) answer \(body.utf8.count)\r\n\(body)\r\n")
    }

    /// What a stream has stored: the id by which it tells the message from others, and the text.
    typealias Message = (identifier: Substring, text: String)

    func stored(_ stream: String) throws -> [Message] {
        let wanted = """
            {"stream_name": "\(stream)", "config":
             {"deliver_subject": "look", "ack_policy": "none", "deliver_policy": "all"}}
            """
        let heard = try ask(
            "SUB look 2\r\nSUB answer 1\r\n"
                + "PUB $JS.API.CONSUMER.CREATE.\(stream) answer \(wanted.utf8.count)\r\n"
                + wanted + "\r\n", seconds: 3)
        return Self.messages(in: Array(heard.utf8)[...])
    }

    /// What is told to the subscription 2, by the lengths in front of each message.
    private static func messages(in bytes: ArraySlice<UInt8>) -> [Message] {
        var rest = bytes
        var found: [Message] = []
        while let end = rest.firstIndex(of: 0x0a) {
            let line = String(decoding: rest[..<end], as: UTF8.self)
            let words = line.split { $0 == " " || $0 == "\r" }
            rest = rest[(end + 1)...]
            guard line.hasPrefix("HMSG ") || line.hasPrefix("MSG "),
                let length = words.last.flatMap({ Int($0) }), length <= rest.count
            else { continue }
            if line.hasPrefix("HMSG "), words[2] == "2", let headLength = Int(words[4]) {
                let header = String(decoding: rest.prefix(headLength), as: UTF8.self)
                found.append(
                    (
                        header.firstMatch(of: /Nats-Msg-Id: ?(\S+)/)?.1 ?? "",
                        String(decoding: rest.prefix(length).dropFirst(headLength), as: UTF8.self)
                    ))
            }
            rest = rest.dropFirst(length)
        }
        return found
    }
}
