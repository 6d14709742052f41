// Short answers over many connections, beside a web server that has them in a file.

import Core
import Glibc

func readBenchmark() throws {
    let scratch = try Scratch("read")
    let server = try Server(scratch)
    try server.start()
    let single = try server.client()
    try single.ask(httpRequest("POST", "/v1/jobs", jobText("job", "0 30 2 * * *")))
    for path in ["/v1/jobs/job", "/health"] {
        let request = httpRequest("GET", path)
        let length = try single.ask(request).utf8.count
        let ceiling = try StaticServer(scratch, bodyBytes: length)
        let client = try server.client(connections: 32)
        let other = try LoadClient(port: ceiling.port, connections: 32)
        let file = httpRequest("GET", "/body")
        var rates: [Double] = []
        var ceilings: [Double] = []
        var processor: [Double] = []
        var ceilingProcessor: [Double] = []
        let rounds = 5
        for round in 1...rounds {
            progress("read: \(path), round \(round) of \(rounds)")
            var used = ceiling.processorSeconds
            let best = try exchange(other, file)
            ceilings.append(best.rate)
            ceilingProcessor.append((ceiling.processorSeconds - used) * 1e6 / best.count)
            used = server.processorSeconds
            let ours = try exchange(client, request)
            rates.append(ours.rate)
            processor.append((server.processorSeconds - used) * 1e6 / ours.count)
        }
        reportRatio(
            "GET \(path), 32 connections, \(length) bytes", rates, of: ceiling.name, ceilings,
            ceiling.isNginx ? .atLeast(0.8) : nil)
        reportFigure("  processor time for each, the client's excluded", median(processor), "µs")
        if ceiling.processorSeconds > 0 {
            reportFigure("  and of \(ceiling.name)", median(ceilingProcessor), "µs")
        }
    }
}

/// Asks for about a second.
private func exchange(
    _ client: LoadClient, _ request: [UInt8]
) throws -> (count: Double, rate: Double) {
    let began = monotonic()
    var count = 0
    try client.drive({ _ in seconds(since: began) < 1 ? request : nil }) { _, answer in
        guard answer.status == 200 else { throw Failure("answer \(answer.status)") }
        count += 1
    }
    return (Double(count), Double(count) / seconds(since: began))
}

/// nginx with one worker and a file, or what comes close to it where there is no nginx.
private final class StaticServer {
    let port: UInt16
    let name: String
    private var nginx: Program?
    private var own: FixedServer?

    init(_ scratch: Scratch, bodyBytes: Int) throws {
        let folder = scratch.path("nginx-\(bodyBytes)")
        mkdir(folder, 0o700)
        let port = try freePort()
        writeText(String(repeating: "x", count: bodyBytes), to: folder + "/body")
        writeText(
            """
            daemon off; master_process off; worker_processes 1; pid \(folder)/pid;
            error_log stderr;
            events { worker_connections 256; }
            http {
                access_log off; keepalive_requests 1000000000; sendfile on;
                open_file_cache max=16; default_type application/json;
                client_body_temp_path \(folder)/1; proxy_temp_path \(folder)/2;
                fastcgi_temp_path \(folder)/3; uwsgi_temp_path \(folder)/4;
                scgi_temp_path \(folder)/5;
                server { listen 127.0.0.1:\(port); root \(folder); }
            }
            """, to: folder + "/conf")
        let program = try? Program(
            ["nginx", "-e", "stderr", "-p", folder, "-c", folder + "/conf"],
            log: folder + "/log")
        if let program {
            let isUp = eventually(5) {
                guard program.isRunning else { return true }
                return (try? LoadClient(port: port, connections: 1)) != nil
            }
            guard isUp, program.isRunning else {
                throw Failure("nginx does not start: \(readText(folder + "/log"))")
            }
            (self.port, name, nginx) = (port, "nginx", program)
        } else {
            let server = try FixedServer(bodyBytes: bodyBytes)
            reportNote("nginx is not installed: a minimal server in this process stands in for it")
            (self.port, name, own) = (server.port, "a minimal epoll server", server)
        }
    }

    /// Whether what was wanted can be judged.
    var isNginx: Bool { nginx != nil }
    /// 0 where it is not a process of its own.
    var processorSeconds: Double { nginx?.processorSeconds ?? 0 }

    deinit { own?.end() }
}

func writeText(_ text: String, to path: String) {
    guard let file = fopen(path, "w") else { return }
    fputs(text, file)
    fclose(file)
}
