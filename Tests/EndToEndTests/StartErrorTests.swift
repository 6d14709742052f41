import Glibc
import Testing

extension EndToEnd {
    @Suite("Starts that are refused", .serialized)
    struct StartErrorTests {
        /// Runs the server to its end; it must exit with the status and tell all the words.
        private func expectRefusal(
            _ server: Server, status: Int32 = 1, _ words: String...,
            sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            try server.launch()
            let ending = server.process?.wait(10)
            if ending == nil { server.process?.destroy() }
            #expect(ending == .exited(status), "\(server.log)", sourceLocation: sourceLocation)
            for word in words {
                #expect(
                    server.log.contains(word), "no \"\(word)\" in: \(server.log)",
                    sourceLocation: sourceLocation)
            }
        }

        @Test(
            "options that are wrong",
            arguments: [
                (["--no-such-flag"], ["--no-such-flag"]),
                (["--rpc-port", "many"], ["--rpc-port", "many"]),
                (["--rpc-port", "70000"], ["--rpc-port", "70000"]),
                (["--rpc-port"], ["--rpc-port"]),
                (["--bootstrap-expect", "none"], ["--bootstrap-expect", "none"]),
                (["--http-addr", "127.0.0.1:http"], ["--http-addr", "127.0.0.1:http"]),
                (["--tag", "nonsense"], ["--tag", "nonsense", "="]),
                (["--shutdown-timeout", "soon"], ["--shutdown-timeout", "90s"]),
                (["--backend", "etcd"], ["--backend"]),
                (["--encrypt", "kPpdjphiipNSsjd4"], ["--encrypt", "keygen"]),
                (["--bind-addr", "0.0.0.0"], ["--bind-addr", "--encrypt", "--insecure-peers"]),
                (["--metrics-addr", ":9"], ["--metrics-addr", "--http-addr"]),
                (["--config", "none.yml"], ["none.yml", "no such file"]),
                (["stray"], ["stray"]),
            ])
        func options(arguments: [String], words: [String]) throws {
            let server = Server("options", arguments: arguments)
            try server.launch()
            let ending = server.process?.wait(10)
            #expect(ending == .exited(1), "\(arguments): \(server.log)")
            for word in words { #expect(server.log.contains(word), "\(word): \(server.log)") }
            // Nothing is made on the disk before the options are understood.
            #expect(access(server.dataDirectory, F_OK) != 0)
        }

        @Test("an unknown command")
        func unknownCommand() throws {
            let scratch = Scratch("command")
            let (ending, output) = try run([binary, "agnet"], in: scratch)
            #expect(ending == .exited(2))
            #expect(output.contains("agnet") && output.contains("agent"), "\(output)")
        }

        @Test("a port that somebody has")
        func port() throws {
            let first = Server("first")
            try first.start()
            let second = Server("second", in: first.scratch)
            second.extraArguments = ["--http-addr", "127.0.0.1:\(first.httpPort)"]
            try expectRefusal(second, "127.0.0.1:\(first.httpPort)", "--http-addr", "in use")
        }

        @Test("two processes on one directory")
        func twice() throws {
            let first = Server("first")
            try first.start()
            let second = Server("second", in: first.scratch)
            second.extraArguments = ["--data-dir", first.dataDirectory]
            try expectRefusal(
                second, first.dataDirectory, "process \(first.processID)", "--data-dir")
            #expect(first.isServing)
        }

        @Test("a directory written by a later version, and one that is damaged")
        func format() throws {
            let server = Server("format")
            try server.start()
            try server.save(shellJob("kept", "true"))
            server.process?.signal(SIGTERM)
            #expect(server.process?.wait(10) == .exited(0))
            let file = server.dataDirectory + "/format"
            let good = readText(file)
            try #require(good.contains("version "))

            let later = good.split(separator: "\n").map {
                $0.hasPrefix("version ") ? "version 99" : $0
            }
            writeText(later.joined(separator: "\n") + "\n", to: file)
            try expectRefusal(server, server.dataDirectory, "99", "newer")

            writeText("hello\n", to: file)
            try expectRefusal(server, file, "damaged", "backup")

            writeText(good, to: file)
            try server.start()
            #expect(server.get("/v1/jobs/kept")?.status == 200)
        }

        @Test("a directory of Dkron's own", arguments: ["raft/raft.db", "dkron.db"])
        func foreign(name: String) throws {
            let server = Server("foreign")
            mkdir(server.dataDirectory, 0o700)
            mkdir(server.dataDirectory + "/raft", 0o700)
            writeText("x", to: server.dataDirectory + "/" + name)
            try expectRefusal(server, name, "restore", "--data-dir")
            #expect(readText(server.dataDirectory + "/" + name) == "x")
            #expect(access(server.dataDirectory + "/format", F_OK) != 0)
        }

        @Test("a file in the place of the directory")
        func file() throws {
            let server = Server("file")
            writeText("x", to: server.dataDirectory)
            try expectRefusal(server, server.dataDirectory, "not a directory", "--data-dir")
        }

        @Test("a disk mounted read-only", .enabled(if: canMount, "needs the right to mount"))
        func readOnly() throws {
            let server = Server("read-only")
            let mounted = try Mount(server.scratch.path("disk"), size: "1m")
            try mounted.remountReadOnly()
            server.extraArguments = ["--data-dir", mounted.path + "/data"]
            try expectRefusal(server, mounted.path, "read-only", "--data-dir")
            withExtendedLifetime(mounted) {}
        }

        @Test("a log damaged in its middle")
        func damagedLog() throws {
            let server = Server("damaged")
            try server.start()
            for number in 0..<40 { try server.save(shellJob("job\(number)", "true")) }
            server.crash()
            let folder = server.dataDirectory + "/journal"
            let (_, listing) = try run(["ls", "-S", folder], in: server.scratch)
            let largest =
                folder + "/" + (listing.split(separator: "\n").first.map(String.init) ?? "")
            let descriptor = open(largest, O_RDWR | O_CLOEXEC)
            try #require(descriptor >= 0)
            var byte: UInt8 = 0
            pread(descriptor, &byte, 1, 3_000)
            byte ^= 0x40
            pwrite(descriptor, &byte, 1, 3_000)
            close(descriptor)
            try expectRefusal(server, status: 2, "journal", "damaged at byte", "backup")
        }
    }
}
