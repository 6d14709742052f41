import Testing

/// Somebody who listens and does everything wrong, in a process of its own.
final class BadPeer {
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

extension Server {
    /// It answers, and runs other jobs, whatever becomes of those under way.
    func requireHealth(_ name: String) throws {
        #expect(self.get("/health", timeout: 2)?.status == 200)
        try save(shellJob("other-\(name)", "echo fine"))
        #expect(send("POST", "/v1/jobs/other-\(name)/run?wait=5")?.status == 200)
        let done = try execution(of: "other-\(name)") { $0["state"].string == "success" }
        #expect(done["output"].string == "fine\n")
    }
}
