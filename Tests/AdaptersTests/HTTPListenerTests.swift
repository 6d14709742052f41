import Adapters
import Core
import Glibc
import Testing

@Suite("HTTP listener on real sockets")
struct HTTPListenerTests {
    private let get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"

    @Test func `several requests one after another use one connection`() throws {
        let bench = try ListenerBench()
        let client = RawClient(bench.endpoint)
        for round in 1...5 {
            client.send(get)
            #expect(
                bench.turn {
                    client.receive()
                    return client.answers == round
                })
        }
        #expect(bench.listener.connectionCount == 1)
        #expect(!client.ended)
        #expect(bench.requests[0].clientAddress.hasPrefix("127.0.0.1:"))
    }

    @Test func `pipelined requests are answered in their order`() throws {
        let bench = try ListenerBench()
        let client = RawClient(bench.endpoint)
        client.send((0..<30).map { "GET /\($0) HTTP/1.1\r\nHost: x\r\n\r\n" }.joined())
        #expect(
            bench.turn {
                client.receive()
                return client.answers == 30
            })
        let order = client.text.components(of: "GET /").dropFirst().map { $0.prefix { $0 != " " } }
        #expect(order == (0..<30).map { Substring("\($0)") })
    }

    @Test func `an answer that is held back holds back those behind it`() throws {
        let bench = try ListenerBench()
        let client = RawClient(bench.endpoint)
        client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n" + get)
        #expect(bench.turn { bench.requests.count == 2 })
        client.receive()
        #expect(client.received.isEmpty)
        bench.release()
        #expect(
            bench.turn {
                client.receive()
                return client.answers == 2
            })
        #expect(client.text.contains("released"))
    }

    @Test func `a request may come byte by byte`() throws {
        let bench = try ListenerBench()
        let client = RawClient(bench.endpoint)
        for byte in "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc".unicodeScalars {
            client.send(String(byte))
            bench.turn(milliseconds: 0)
        }
        #expect(
            bench.turn {
                client.receive()
                return client.answers == 1
            })
        #expect(client.text.hasSuffix("POST /b abc"))
    }

    @Test func `a slow reader of a long stream is waited for, and pieces stay bounded`() throws {
        let bench = try ListenerBench()
        let client = RawClient(bench.endpoint, receiveBuffer: 64 << 10)
        client.send("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(bench.turn { bench.drained > 0 })
        for _ in 0..<50 { bench.turn() }
        // Nobody read: only what the sockets' buffers took has been asked for.
        let before = bench.drained
        #expect(before < bench.pieceCount)
        #expect(
            bench.turn {
                for _ in 0..<16 { client.receive(atMost: 64 << 10) }
                return client.received.suffix(7).elementsEqual("\r\n0\r\n\r\n".utf8)
            })
        let body = client.received.reduce(0) { $0 + ($1 == UInt8(ascii: "x") ? 1 : 0) }
        #expect(body == bench.pieceSize * bench.pieceCount)
    }

    @Test func `a client that shuts its end after the request still gets the answer`() throws {
        let bench = try ListenerBench()
        let client = RawClient(bench.endpoint)
        client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n")
        client.shutdownSending()
        #expect(bench.turn { bench.requests.count == 1 })
        for _ in 0..<10 { bench.turn() }
        bench.release()
        #expect(
            bench.turn {
                client.receive()
                return client.ended
            })
        #expect(client.text.hasSuffix("released"))
        #expect(bench.turn { bench.listener.connectionCount == 0 })
        #expect(bench.abandoned == 0)
    }

    @Test func `a client that dies abandons its requests, each once`() throws {
        let bench = try ListenerBench()
        let client = RawClient(bench.endpoint)
        client.send("GET /hold1 HTTP/1.1\r\nHost: x\r\n\r\nGET /hold2 HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(bench.turn { bench.requests.count == 2 })
        client.reset()
        #expect(bench.turn { bench.listener.connectionCount == 0 })
        bench.turn()
        #expect(bench.abandoned == 2)
        bench.release()
        bench.turn()
        #expect(bench.abandoned == 2)
    }

    @Test func `a client that dies within a stream abandons it`() throws {
        let bench = try ListenerBench()
        let client = RawClient(bench.endpoint, receiveBuffer: 4_096)
        client.send("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(bench.turn { bench.drained > 0 })
        client.reset()
        #expect(bench.turn { bench.abandoned == 1 })
        #expect(bench.listener.connectionCount == 0)
    }

    @Test func `a thousand clients are served at once`() throws {
        let bench = try ListenerBench()
        let clients = (0..<1_000).map { _ in RawClient(bench.endpoint) }
        #expect(bench.turn { bench.listener.connectionCount == 1_000 })
        for client in clients { client.send(get) }
        #expect(bench.turn { bench.requests.count == 1_000 })
        bench.turn()
        for client in clients { client.receive() }
        #expect(clients.allSatisfy { $0.answers == 1 && !$0.ended })
    }

    @Test func `clients beyond the limit are told so, and find room later`() throws {
        let bench = try ListenerBench(mostConnections: 2)
        var clients = [RawClient(bench.endpoint), RawClient(bench.endpoint)]
        #expect(bench.turn { bench.listener.connectionCount == 2 })
        let third = RawClient(bench.endpoint)
        #expect(
            bench.turn {
                third.receive()
                return third.ended
            })
        #expect(third.text.hasPrefix("HTTP/1.1 503 Service Unavailable\r\n"))
        #expect(third.text.contains("\"code\":\"busy\""))
        clients.removeLast()
        #expect(bench.turn { bench.listener.connectionCount == 1 })
        let fourth = RawClient(bench.endpoint)
        fourth.send(get)
        #expect(
            bench.turn {
                fourth.receive()
                return fourth.answers == 1
            })
    }

    @Test func `malformed bytes are answered and end the connection`() throws {
        let bench = try ListenerBench()
        let client = RawClient(bench.endpoint)
        client.send("\u{1}\u{2} nonsense\r\n\r\n")
        #expect(
            bench.turn {
                client.receive()
                return client.ended
            })
        #expect(client.text.hasPrefix("HTTP/1.1 400 Bad Request\r\n"))
        #expect(bench.requests.isEmpty)
        #expect(bench.turn { bench.listener.connectionCount <= 1 })
    }

    @Test func `idle and slow clients run out of time`() throws {
        let bench = try ListenerBench()
        let idle = RawClient(bench.endpoint)
        let slow = RawClient(bench.endpoint)
        slow.send("GET /a HTTP/1.1\r\nHos")
        #expect(bench.turn { bench.listener.connectionCount == 2 })
        for _ in 0..<5 { bench.turn() }
        bench.ahead = .seconds(11)
        #expect(
            bench.turn {
                slow.receive()
                return slow.ended
            })
        #expect(slow.text.hasPrefix("HTTP/1.1 408 Request Timeout\r\n"))
        bench.ahead = .seconds(200)
        #expect(
            bench.turn {
                idle.receive()
                return idle.ended
            })
        #expect(idle.received.isEmpty)
        #expect(bench.turn { bench.listener.connectionCount == 0 })
        #expect(bench.listener.nextDeadline == nil)
    }

    @Test func `large bodies share one bound, and small requests pass beside them`() throws {
        let bench = try ListenerBench(mostHeldBytes: 256 << 10)
        let piece = String(repeating: "x", count: 10_000)
        func post(_ path: String) -> RawClient {
            let client = RawClient(bench.endpoint)
            client.send("POST \(path) HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n")
            return client
        }
        /// Until there is an answer.
        func send(_ count: Int, _ client: RawClient) {
            for _ in 0..<count where client.received.isEmpty {
                client.send(piece)
                bench.turn()
                client.receive()
            }
        }
        func isAnswered(_ client: RawClient) -> Bool {
            bench.turn {
                client.receive()
                return client.answers == 1
            }
        }
        let first = post("/hold")
        send(19, first)
        let second = post("/b")
        send(20, second)
        #expect(
            bench.turn {
                second.receive()
                return second.ended
            })
        #expect(second.text.hasPrefix("HTTP/1.1 503 "), "\(second.text)")
        #expect(second.text.contains("Too much is being sent to this server at once"))
        #expect(second.text.contains("Retry-After: 5\r\n"))
        let small = RawClient(bench.endpoint)
        small.send(get)
        #expect(isAnswered(small))
        send(1, first)
        #expect(bench.turn { bench.requests.count == 2 })
        // The node has it until it is answered.
        let third = post("/c")
        send(20, third)
        #expect(third.text.hasPrefix("HTTP/1.1 503 "), "\(third.text)")
        bench.release()
        #expect(isAnswered(first))
        // Whoever goes in the middle takes nothing along.
        for _ in 0..<3 { send(19, post("/d")) }
        #expect(bench.turn { bench.listener.connectionCount <= 3 })
        let last = post("/e")
        send(20, last)
        #expect(isAnswered(last))
    }

    @Test func `closing refuses new clients and lets the old ones have their answers`() throws {
        let bench = try ListenerBench()
        let idle = RawClient(bench.endpoint)
        let busy = RawClient(bench.endpoint)
        busy.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(bench.turn { bench.requests.count == 1 && bench.listener.connectionCount == 2 })
        bench.listener.beginClosing(at: bench.now)
        #expect(
            bench.turn {
                idle.receive()
                return idle.ended
            })
        #expect(RawClient(bench.endpoint).ended)
        bench.release()
        #expect(
            bench.turn {
                busy.receive()
                return busy.ended
            })
        #expect(busy.text.contains("Connection: close\r\n"))
        #expect(busy.text.hasSuffix("released"))
    }

    @Test func `every interface means both kinds of addresses`() throws {
        let loop = try EventLoop()
        let listener = HTTPListener(
            loop: loop, log: LogWriter(level: .error), handshakes: try TLSHandshakes())
        let bound = try listener.listen(on: Endpoint(host: "", port: 0))
        #expect(bound.count == 1)
        let client = RawClient(Endpoint(host: "127.0.0.1", port: bound[0].port))
        client.send(get)
        var inputs: [Input] = []
        var events: [EventLoop.Event] = []
        for _ in 0..<100 where inputs.isEmpty {
            loop.wait(milliseconds: 50, into: &events)
            for event in events { listener.handle(event, at: Clocks.now(), into: &inputs) }
        }
        guard case .request(_, let request) = inputs.first else {
            Issue.record("no request came")
            return
        }
        #expect(request.clientAddress.hasPrefix("127.0.0.1:"))
    }

    @Test func `a port in use and a foreign address are told apart`() throws {
        let bench = try ListenerBench()
        let loop = try EventLoop()
        let listener = HTTPListener(
            loop: loop, log: LogWriter(level: .error), handshakes: try TLSHandshakes())
        let taken = #expect(throws: AddressError.self) { try listener.listen(on: bench.endpoint) }
        #expect(
            taken?.description == "can't listen on \(bench.endpoint): Address already in use")
        #expect(taken?.isMissingHere == false)
        let foreign = #expect(throws: AddressError.self) {
            try listener.listen(on: Endpoint(host: "192.0.2.1", port: 0))
        }
        #expect(foreign?.isMissingHere == true)
    }
}
