import Testing

@testable import Core

/// A caller whose network is the test. What it wants is told in words.
private struct Fixture {
    var caller: HTTPCaller
    var now = Instant(nanoseconds: 1_000_000_000)
    var sent: [ConnectionNumber: String] = [:]
    var next: HTTPCallNumber = 1

    init(_ change: (inout HTTPCaller.Limits) -> Void = { _ in }) {
        var limits = HTTPCaller.Limits()
        change(&limits)
        caller = HTTPCaller(limits: limits)
    }

    mutating func get(
        _ url: String, _ method: HTTPMethod = .get, headers: HTTPHeaders = [:], body: String = "",
        timeout: Duration? = .seconds(30), fence: Duration? = nil, tls: TLSSettings? = nil,
        proxy: String? = nil
    ) throws -> [String] {
        let number = next
        next += 1
        var exchange = HTTPExchange(
            method: method, url: try HTTPURL(url), headers: headers,
            openHeaders: ["Dkron-Group": "1"], body: Array(body.utf8))
        if let tls { exchange.tls = tls }
        exchange.proxy = try proxy.map { try HTTPProxy($0) }
        return act {
            $0.begin(number, exchange, timeout: timeout, fence: fence, at: $1, into: &$2)
        }
    }

    mutating func take(_ event: SocketEvent) -> [String] {
        act { $0.take(event, at: $1, into: &$2) }
    }

    mutating func receive(_ connection: ConnectionNumber, _ text: String) -> [String] {
        take(.received(connection, Array(text.utf8)))
    }

    /// Opens a connection and lets the whole request leave.
    mutating func open(_ connection: ConnectionNumber) -> [String] {
        let words = take(.opened(connection))
        return words + wrote(connection)
    }

    mutating func wrote(_ connection: ConnectionNumber) -> [String] {
        take(.wrote(connection, count: sent[connection]?.utf8.count ?? 0))
    }

    mutating func cancel(_ number: HTTPCallNumber) -> [String] {
        act { $0.cancel(number, at: $1, into: &$2) }
    }

    mutating func wait(_ time: Duration) -> [String] {
        now = now + time
        return act { $0.deadline(at: $1, into: &$2) }
    }

    private mutating func act(
        _ body: (inout HTTPCaller, Instant, inout [HTTPCaller.Action]) -> Void
    ) -> [String] {
        var actions: [HTTPCaller.Action] = []
        body(&caller, now, &actions)
        return actions.map { words($0) }
    }

    private mutating func words(_ action: HTTPCaller.Action) -> String {
        switch action {
        case .socket(.resolve(let host)): return "resolve \(host)"
        case .socket(.open(let number, let address, let port, let peer)):
            let tls = peer.map {
                " as \($0.host)\($0.settings.certificate.map { " with \($0.file)" } ?? "")"
            }
            return "open \(number) \(address) \(port)\(tls ?? "")"
        case .socket(.send(let number, let bytes)):
            sent[number] = String(decoding: bytes, as: UTF8.self)
            return "send \(number)"
        case .socket(.close(let number)): return "close \(number)"
        case .socket(.secure(let number, let peer)): return "secure \(number) as \(peer.host)"
        case .news(let number, let news):
            switch news {
            case .started: return "\(number) started"
            case .sending(let exchange):
                return "\(number) \(exchange.method) \(exchange.url.target)"
            case .redirected(let head): return "\(number) redirected \(head.status)"
            case .head(let head): return "\(number) head \(head.status)"
            case .body(let bytes): return "\(number) body \(String(decoding: bytes, as: UTF8.self))"
            case .ended(.answered): return "\(number) answered"
            case .ended(.failed(let reason)): return "\(number) failed: \(reason)"
            case .ended(.timedOut(let reason)): return "\(number) timed out: \(reason)"
            case .ended(.fenced): return "\(number) fenced"
            case .ended(.cancelled): return "\(number) cancelled"
            }
        }
    }
}

private let plain = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

private func elsewhere(_ status: Int, _ location: String) -> String {
    "HTTP/1.1 \(status) Elsewhere\r\nLocation: \(location)\r\nContent-Length: 0\r\n\r\n"
}

@Suite("HTTP caller")
struct HTTPCallerTests {
    @Test("a name, a connection, a request, an answer; and the connection serves the next")
    func reuse() throws {
        var f = Fixture()
        #expect(try f.get("http://h:81/a") == ["1 started", "resolve h"])
        // Another one waits for the same name.
        #expect(try f.get("http://h:81/b") == ["2 started"])
        #expect(
            f.take(.resolved(host: "h", addresses: ["10.0.0.1"], problem: ""))
                == ["open 1 10.0.0.1 81", "open 2 10.0.0.1 81"])
        #expect(f.open(1) == ["1 GET /a", "send 1"])
        #expect(f.sent[1]?.hasPrefix("GET /a HTTP/1.1\r\nHost: h:81\r\nDkron-Group: 1\r\n") == true)
        #expect(f.receive(1, String(plain.prefix(30))) == [])
        #expect(
            f.receive(1, String(plain.dropFirst(30))) == ["1 head 200", "1 body hi", "1 answered"])
        #expect(try f.get("http://h:81/c") == ["3 started", "3 GET /c", "send 1"])
        #expect(try f.get("http://h:81/d", .post).contains("resolve h"), "never on a used one")
        _ = f.wrote(1)
        _ = f.receive(1, plain)
        #expect(f.caller.keptCount == 1)
        #expect(f.wait(.seconds(4)) == ["close 1"])
        #expect(f.caller.keptCount == 0)
    }

    @Test("a connection that is not fit for another request is closed")
    func unfit() throws {
        let answers = [
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", plain + "more",
        ]
        for answer in answers {
            var f = Fixture()
            _ = try f.get("http://10.0.0.1/")
            _ = f.open(1)
            let words = f.receive(1, answer)
            #expect(words.contains("close 1") && words.contains("1 answered"), "\(words)")
        }
        var f = Fixture()
        _ = try f.get("http://10.0.0.1/", .put, body: "long")
        _ = f.take(.opened(1))
        _ = f.take(.wrote(1, count: 3))
        #expect(f.receive(1, plain).contains("close 1"), "answered before the request had left")
        f = Fixture()
        _ = try f.get("http://10.0.0.1/")
        _ = f.open(1)
        _ = f.receive(1, plain)
        #expect(f.receive(1, "unasked") == ["close 1"])
        #expect(f.caller.keptCount == 0)
    }

    @Test("a kept connection that turns out to be closed is replaced once, unless it answered")
    func stale() throws {
        for ending in [SocketEvent.receivedEnd(1), .failed(1, reason: "reset")] {
            var f = Fixture()
            _ = try f.get("http://10.0.0.1/")
            _ = f.open(1)
            _ = f.receive(1, plain)
            #expect(try f.get("http://10.0.0.1/b") == ["2 started", "2 GET /b", "send 1"])
            _ = f.wrote(1)
            #expect(f.take(ending) == ["close 1", "open 2 10.0.0.1 80"])
            _ = f.open(2)
            let words = f.take(.receivedEnd(2))
            #expect(words.last?.contains("closed without an answer") == true, "\(words)")
            f = Fixture()
            _ = try f.get("http://10.0.0.1/")
            _ = f.open(1)
            _ = f.receive(1, plain)
            _ = try f.get("http://10.0.0.1/b")
            _ = f.receive(1, "HTTP/1.1 2")
            #expect(f.take(ending).last?.hasPrefix("2 failed: ") == true)
        }
    }

    @Test("every address is tried, and the last reason is told with host and port")
    func addresses() throws {
        var f = Fixture()
        _ = try f.get("http://h:81/")
        let found = SocketEvent.resolved(
            host: "h", addresses: ["::1", "10.0.0.1"], problem: "")
        #expect(f.take(found) == ["open 1 ::1 81"])
        #expect(f.wait(.seconds(10)) == ["close 1", "open 2 10.0.0.1 81"])
        #expect(
            f.take(.failed(2, reason: "Connection refused"))
                == ["close 2", "1 failed: can't connect to h:81: Connection refused"])
        _ = try f.get("http://h:81/")
        #expect(
            f.take(.resolved(host: "h", addresses: [], problem: "no such name"))
                == ["2 failed: can't connect to h:81: no such name"])
    }

    @Test("every phase has its time-out, and so has the whole")
    func timeouts() throws {
        var f = Fixture()
        _ = try f.get("http://h/")
        #expect(f.wait(.seconds(9)) == [])
        #expect(f.wait(.seconds(1)).first?.contains("name servers did not answer") == true)
        _ = try f.get("http://10.0.0.1/", .put, body: "abc", timeout: nil)
        _ = f.take(.opened(1))
        #expect(f.wait(.seconds(29)) == [])
        _ = f.take(.wrote(1, count: 1))
        #expect(f.wait(.seconds(29)) == [])
        #expect(f.wait(.seconds(1)).last?.contains("took no byte") == true)
        _ = try f.get("http://10.0.0.1/", timeout: nil)
        _ = f.open(2)
        #expect(f.wait(.hours(100)) == [], "without a time-out an answer may take for ever")
        #expect(f.cancel(3) == ["close 2", "3 cancelled"])
        let phases: [(String, (inout Fixture) -> Void)] = [
            ("was not found", { _ in }),
            (
                "did not accept",
                { _ = $0.take(.resolved(host: "h", addresses: ["10.0.0.1"], problem: "")) }
            ), ("did not take the whole request", { _ = $0.take(.opened(1)) }),
            ("did not answer", { _ = $0.wrote(1) }),
            ("was not complete", { _ = $0.receive(1, String(plain.dropLast(2))) }),
        ]
        for index in phases.indices {
            var f = Fixture()
            _ = try f.get("http://h/", timeout: .seconds(5))
            for phase in phases[...index] { phase.1(&f) }
            let words = f.wait(.seconds(5)).last ?? ""
            #expect(words.hasPrefix("1 timed out: ") && words.contains(phases[index].0), "\(words)")
            #expect(words.contains("h:80") && words.contains("5s"), "\(words)")
        }
    }

    @Test("a fence that is not renewed ends the call, a renewed one does not")
    func fences() throws {
        var f = Fixture()
        _ = try f.get("http://10.0.0.1/", timeout: nil, fence: .seconds(20))
        _ = f.open(1)
        #expect(f.wait(.seconds(15)) == [])
        f.caller.renewFences(ago: .seconds(5), at: f.now)
        #expect(f.wait(.seconds(14)) == [])
        #expect(f.wait(.seconds(1)) == ["close 1", "1 fenced"])
    }

    @Test("a call that waits for others to end has its fence from when it was asked for")
    func waitingFence() throws {
        var f = Fixture { $0.connections = 1 }
        _ = try f.get("http://10.0.0.1/", timeout: nil)
        _ = try f.get("http://10.0.0.1/", timeout: nil, fence: .seconds(6))
        _ = try f.get("http://10.0.0.1/", timeout: nil, fence: .seconds(8))
        #expect(f.wait(.seconds(5)) == [])
        #expect(f.wait(.seconds(1)) == ["2 fenced"])
        #expect(f.cancel(1).contains("3 started"))
        #expect(f.wait(.seconds(2)).last == "3 fenced")
        #expect(f.caller.waitingCount == 0)
    }

    @Test("open connections are bounded; what waits has not started, and goes on in order")
    func bound() throws {
        var f = Fixture { $0.connections = 2 }
        for _ in 0..<4 { _ = try f.get("http://10.0.0.1/") }
        #expect(f.caller.activeCount == 2 && f.caller.waitingCount == 2)
        #expect(f.cancel(3) == ["3 cancelled"])
        _ = f.open(1)
        let words = f.receive(1, plain)
        #expect(words.suffix(4) == ["1 answered", "4 started", "4 GET /", "send 1"], "\(words)")
        // A kept connection makes room for another server's.
        _ = f.wrote(1)
        _ = f.receive(1, plain)
        #expect(try f.get("http://10.0.0.2/") == ["5 started", "close 1", "open 3 10.0.0.2 80"])
    }

    @Test("redirects: methods, bodies, limits")
    func redirects() throws {
        for (status, method, expected) in [
            (301, HTTPMethod.post, "GET"), (302, .put, "GET"), (303, .delete, "GET"),
            (307, .post, "POST"), (308, .put, "PUT"), (302, .head, "HEAD"), (303, .get, "GET"),
        ] {
            var f = Fixture()
            _ = try f.get("http://10.0.0.1/a/b?x", method, body: "abc")
            _ = f.open(1)
            let words = f.receive(1, elsewhere(status, "../c"))
            #expect(words.first == "1 redirected \(status)")
            let number: ConnectionNumber = words.contains("close 1") ? 2 : 1
            if number == 2 { _ = f.open(2) }
            #expect(f.sent[number]?.hasPrefix("\(expected) /c HTTP/1.1") == true, "\(words)")
            #expect(
                f.sent[number]?.hasSuffix("\r\n\r\nabc")
                    == ([307, 308].contains(status)
                        || expected == "HEAD"))
        }
        var f = Fixture()
        _ = try f.get("http://10.0.0.1/")
        _ = f.open(1)
        for _ in 0..<10 {
            _ = f.receive(1, elsewhere(302, "/"))
            _ = f.wrote(1)
        }
        let words = f.receive(1, elsewhere(302, "/"))
        #expect(words.last == "1 failed: 10.0.0.1:80 redirects once more after 10 redirects")
        #expect(f.caller.activeCount == 0)
    }

    @Test("connections with TLS are for whom and with what they were opened")
    func secure() throws {
        var f = Fixture()
        var shown = TLSSettings()
        shown.certificate = .init(file: "me.pem", keyFile: "me.key")
        #expect(
            try f.get("https://10.0.0.1/", tls: shown).last
                == "open 1 10.0.0.1 443 as 10.0.0.1 with me.pem")
        _ = f.open(1)
        #expect(f.receive(1, plain).last == "1 answered")
        #expect(f.caller.keptCount == 1)
        // Neither a client without the certificate nor one without TLS takes it over.
        #expect(try f.get("https://10.0.0.1/").last == "open 2 10.0.0.1 443 as 10.0.0.1")
        #expect(try f.get("http://10.0.0.1:443/").last == "open 3 10.0.0.1 443")
        #expect(try f.get("https://10.0.0.1/", tls: shown).last == "send 1")
        // What is elsewhere does not see the certificate.
        _ = f.wrote(1)
        #expect(
            f.receive(1, elsewhere(307, "https://10.0.0.2/")).last
                == "open 4 10.0.0.2 443 as 10.0.0.2")
    }

    @Test("a proxy gets requests to http whole, and is asked for a tunnel for those to https")
    func proxy() throws {
        var f = Fixture()
        let proxy = "http://me:pw@10.0.0.9:3128"
        #expect(
            try f.get("http://h/a?b", proxy: proxy) == ["1 started", "open 1 10.0.0.9 3128"])
        #expect(f.open(1).last == "send 1")
        #expect(
            f.sent[1]?.hasPrefix("GET http://h/a?b HTTP/1.1\r\nHost: h\r\n") == true)
        #expect(f.sent[1]?.contains("Proxy-Authorization: Basic bWU6cHc=\r\n") == true)
        #expect(f.receive(1, plain).last == "1 answered")
        // The connection with the proxy serves every server without TLS, and only through it.
        #expect(try f.get("http://other/", proxy: proxy).last == "send 1")
        _ = f.wrote(1)
        _ = f.receive(1, plain)
        #expect(try f.get("http://other/") == ["3 started", "resolve other"])
        #expect(try f.get("https://h/", proxy: proxy).last == "open 2 10.0.0.9 3128")
        #expect(f.take(.opened(2)) == ["send 2"])
        #expect(f.sent[2]?.hasPrefix("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n") == true)
        #expect(f.receive(2, "HTTP/1.0 200 Con") == [])
        #expect(f.receive(2, "nected\r\nX: y\r\n\r\n") == ["secure 2 as h"])
        #expect(f.take(.opened(2)) == ["4 GET /", "send 2"])
        #expect(f.sent[2]?.contains("Proxy-Authorization") == false)
        #expect(f.sent[2]?.hasPrefix("GET / HTTP/1.1\r\nHost: h\r\n") == true)
        _ = f.wrote(2)
        #expect(f.receive(2, plain).last == "4 answered")
        // A tunnel leads to one server.
        #expect(try f.get("https://h/x", proxy: proxy).last == "send 2")
        #expect(try f.get("https://i/", proxy: proxy).last == "open 3 10.0.0.9 3128")
    }

    @Test("what a proxy does wrong is told with its name")
    func badProxies() throws {
        var f = Fixture()
        let proxy = "http://10.0.0.9:3128"
        _ = try f.get("https://h/", proxy: proxy)
        _ = f.take(.opened(1))
        #expect(
            f.receive(1, "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n") == [
                "close 1",
                "1 failed: the proxy 10.0.0.9:3128 makes no tunnel to h:443: it answered "
                    + "407 Proxy Authentication Required",
            ])
        _ = try f.get("https://h/", proxy: proxy)
        #expect(
            f.take(.failed(2, reason: "nobody there")).last
                == "2 failed: can't connect to the proxy 10.0.0.9:3128: nobody there")
        _ = try f.get("https://h/", proxy: proxy)
        _ = f.take(.opened(3))
        let silent = f.take(.receivedEnd(3)).last
        #expect(silent?.hasPrefix("3 failed: the proxy 10.0.0.9:3128: ") == true)
        _ = try f.get("https://h/", proxy: proxy)
        _ = f.take(.opened(4))
        #expect(f.receive(4, "what?\r\n\r\n").last?.hasPrefix("4 failed: the proxy ") == true)
        _ = try f.get("https://h/", proxy: proxy)
        _ = f.take(.opened(5))
        let late = f.wait(.seconds(10)).last
        #expect(late?.hasPrefix("5 failed: can't connect to the proxy") == true)
        // What is wrong behind the tunnel is told of the server.
        _ = try f.get("https://h/", proxy: proxy)
        _ = f.take(.opened(6))
        _ = f.receive(6, "HTTP/1.1 200 OK\r\n\r\n")
        #expect(
            f.take(.failed(6, reason: "the certificate is old")).last
                == "6 failed: can't connect to h:443 through the proxy 10.0.0.9:3128: "
                + "the certificate is old")
        for wrong in ["https://p/", "http://p/path", "http://p/?q", "p:3128"] {
            #expect(throws: TextError.self) { try HTTPProxy(wrong) }
        }
    }

    @Test("the time-out of the whole names whom it waited for, on each stretch of a tunnel")
    func lateTunnels() throws {
        let (proxy, server) = ("the proxy 10.0.0.9:3128", "h:443")
        let stretches: [(String, (inout Fixture) -> Void)] = [
            ("\(proxy) did not accept the connection", { _ in }),
            ("\(proxy) made no tunnel to \(server)", { _ = $0.take(.opened(1)) }),
            (
                "\(server) did not accept the connection",
                { _ = $0.receive(1, "HTTP/1.1 200 OK\r\n\r\n") }
            ), ("\(server) did not take the whole request", { _ = $0.take(.opened(1)) }),
        ]
        for index in stretches.indices {
            var f = Fixture()
            _ = try f.get("https://h/", timeout: .seconds(5), proxy: "http://10.0.0.9:3128")
            for stretch in stretches[...index] { stretch.1(&f) }
            #expect(
                f.wait(.seconds(5)).last
                    == "1 timed out: \(stretches[index].0) within the time-out of 5s")
        }
    }

    @Test("a redirect to where nobody can go is an error, one without a location an answer")
    func oddRedirects() throws {
        var f = Fixture()
        _ = try f.get("http://10.0.0.1/")
        _ = f.open(1)
        #expect(f.receive(1, elsewhere(302, "ftp://h/")).last?.contains("https") == true)
        _ = try f.get("http://10.0.0.1/")
        _ = f.open(2)
        #expect(
            f.receive(2, "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n").last == "2 answered")
        _ = try f.get("http://10.0.0.2/", .post)
        _ = f.open(3)
        // A long body behind a redirect is not waited for.
        var words = f.receive(3, "HTTP/1.1 303 See\r\nLocation: /x\r\n\r\n")
        words += f.receive(3, String(repeating: "x", count: 70_000))
        #expect(words.contains("close 3") && words.contains("open 4 10.0.0.2 80"), "\(words)")
    }

    @Test("another origin is told no credentials, then or later; the attempt's name it is told")
    func credentials() throws {
        var f = Fixture()
        _ = try f.get(
            "http://10.0.0.1/",
            headers: [
                "Authorization": "a", "Cookie": "b", "X-Key": "c", "Accept": "d", "Host": "e",
            ])
        _ = f.open(1)
        for secret in ["Authorization: a", "Cookie: b", "X-Key: c", "Host: e"] {
            #expect(f.sent[1]?.contains(secret) == true)
        }
        _ = f.receive(1, elsewhere(307, "http://10.0.0.1:81/"))
        _ = f.open(2)
        _ = f.receive(2, elsewhere(307, "http://user:pw@10.0.0.1/"))
        for connection in [ConnectionNumber(2), 1] {
            let sent = f.sent[connection] ?? ""
            for secret in ["Authorization", "Cookie", "X-Key", "Host: e"] {
                #expect(!sent.contains(secret), "\(sent)")
            }
            #expect(sent.contains("Accept: d") && sent.contains("Dkron-Group: 1"))
        }
    }

    @Test("what is no answer is told with host and port")
    func malformed() throws {
        for (bytes, words) in [
            ("SSH-2.0-x\r\n", "does not speak HTTP"), ("HTTP/1.1 2x0 A\r\n", "malformed"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "longer than"),
        ] {
            var f = Fixture()
            _ = try f.get("http://10.0.0.1:82/")
            _ = f.open(1)
            let last = f.receive(1, bytes).last ?? ""
            #expect(last.hasPrefix("1 failed: 10.0.0.1:82: ") && last.contains(words), "\(last)")
        }
    }
}
