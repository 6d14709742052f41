import Testing

/// Somebody who listens and does everything wrong, in a process of its own.
private final class BadPeer {
    static let isInstalled: Bool = {
        let scratch = Scratch("python")
        return (try? run(["python3", "-c", ""], in: scratch))?.ending == .exited(0)
    }()

    private let process: ChildProcess
    let port: Int

    init(in scratch: Scratch, _ manner: String, _ words: [UInt8]) throws {
        let log = scratch.path("bad-\(scratch.unique())")
        let text = words.map { String($0, radix: 16) }.map { $0.count < 2 ? "0" + $0 : $0 }.joined()
        process = try ChildProcess(
            ["python3", "-c", Self.program, manner, text], log: log, environment: scratch.mark)
        _ = eventually(20) { readText(log).hasSuffix("\n") }
        port = try #require(Int(readText(log).dropLast()), "\(readText(log))")
    }

    private static let program = #"""
        import os, socket, sys, threading, time

        manner, words = sys.argv[1], bytes.fromhex(sys.argv[2])

        def serve(peer):
            try:
                if manner == "silent":
                    time.sleep(60)
                elif manner == "half-way":
                    peer.sendall(words[:len(words) // 2])
                    time.sleep(0.1)
                elif manner == "garbage":
                    peer.sendall(bytes([0xfe, 0x00, 0x0d, 0x0a]) + os.urandom(100_000))
                    time.sleep(60)
                else:
                    while True:
                        peer.sendall(words)
            except OSError:
                pass
            peer.close()

        listener = socket.create_server(("127.0.0.1", 0))
        print(listener.getsockname()[1], flush=True)
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
        """#
}

extension EndToEnd {
    @Suite("Bad peers", .serialized, .enabled(if: BadPeer.isInstalled, "needs python3"))
    struct BadPeerTests {
        /// An executor, its settings for a peer, and what the protocol's servers may say at first.
        struct Case: CustomTestStringConvertible {
            let executor: String
            let settings: String
            let words: [UInt8]

            var testDescription: String { executor }
        }

        private static let cases = [
            Case(
                executor: "http", settings: #""url": "http://PEER/", "method": "GET""#,
                words: Array("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n".utf8)),
            Case(
                executor: "nats", settings: #""url": "nats://PEER", "subject": "a""#,
                words: Array("INFO {}\r\n".utf8)),
            Case(
                executor: "rabbitmq", settings: #""url": "amqp://PEER", "queue": "a""#,
                words: [8, 0, 0, 0, 0, 0, 0, 0xce]),
            Case(
                executor: "grpc", settings: #""url": "PEER/s.S/M""#,
                words: [0, 0, 0, 4, 0, 0, 0, 0, 0]),
        ]

        @Test(
            "silent, half-way, nonsense, without end: an execution fails in time, and that is all",
            arguments: cases)
        func badPeers(_ each: Case) throws {
            let server = Server("bad-\(each.executor)")
            try server.start()
            for manner in ["silent", "half-way", "garbage", "forever"] {
                let peer = try BadPeer(in: server.scratch, manner, each.words)
                let place = "127.0.0.1:\(peer.port)"
                let settings = each.settings.replacing("PEER", with: place)
                try server.save(
                    """
                    {"name": "\(manner)", "schedule": "@manually", "executor": "\(each.executor)",
                     "executor_config": {\(settings), "timeout": "3"}}
                    """)
                let began = uptime()
                #expect(server.send("POST", "/v1/jobs/\(manner)/run?wait=20")?.status == 200)
                #expect(uptime() - began < 8, "\(manner)")
                let ended = try server.execution(of: manner) { $0["finished_at"].string != nil }
                let error = ended["error"].string ?? ""
                #expect(ended["state"].string == "failed", "\(manner)")
                #expect(error.contains(place), "\(manner): \(error)")
                #expect(server.isServing)
            }
        }
    }
}
