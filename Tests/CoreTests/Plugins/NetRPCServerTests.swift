import Testing

@testable import Core

@Suite("Plugins: net/rpc from the side that is called")
struct NetRPCServerTests {
    @Test("requests are read and answered as Go's library does it")
    func bytes() throws {
        var client = NetRPCClient()
        var server = NetRPCServer()
        let (number, bytes) = client.call("Control.Quit", .bool(true), as: .bool)
        var requests: [NetRPCServer.Request] = []
        for byte in bytes { requests += try server.receive([byte]) }
        #expect(
            requests == [
                NetRPCServer.Request(
                    method: "Control.Quit", number: number, argument: .bool(true))
            ])
        let answer = server.answer(requests[0])
        let expected: [UInt8] =
            // Response, as type 65.
            [
                0x2f, 0xff, 0x81, 0x03, 0x01, 0x01, 0x08, 0x52, 0x65, 0x73, 0x70, 0x6f, 0x6e, 0x73,
                0x65, 0x01, 0xff, 0x82, 0x00, 0x01, 0x03, 0x01, 0x0d, 0x53, 0x65, 0x72, 0x76, 0x69,
                0x63, 0x65, 0x4d, 0x65, 0x74, 0x68, 0x6f, 0x64, 0x01, 0x0c, 0x00, 0x01, 0x03, 0x53,
                0x65, 0x71, 0x01, 0x06, 0x00, 0x01, 0x05, 0x45, 0x72, 0x72, 0x6f, 0x72, 0x01, 0x0c,
                0x00, 0x00, 0x00,
            ]
        #expect(answer.count > expected.count)
        // All but the length in front.
        #expect(answer[1..<expected.count] == expected[1...])
        let found = try client.receive(answer)
        #expect(found.map(\.number) == [number])
        #expect(try found.first?.result.get() == .structure([]))
    }

    @Test("refusals and numbers come through, in any order")
    func answers() throws {
        var client = NetRPCClient()
        var server = NetRPCServer()
        let first = client.call("Dispenser.Dispense", .string("processor"), as: .string)
        let second = client.call("Nobody.Knows", .string("x"), as: .string)
        let requests = try server.receive(first.bytes + second.bytes)
        #expect(requests.map(\.method) == ["Dispenser.Dispense", "Nobody.Knows"])
        let bytes =
            server.refuse(requests[1], "there is none")
            + server.answer(requests[0], .uint(7), as: .uint)
        let found = try client.receive(bytes)
        #expect(found.map(\.number) == [second.number, first.number])
        #expect(throws: GobError("there is none")) { try found[0].result.get() }
        #expect(try found[1].result.get() == .uint(7))
    }

    @Test("what is no request is refused")
    func garbage() {
        var server = NetRPCServer()
        // A string where a header belongs.
        #expect(throws: GobError("a request begins as none does")) {
            try server.receive([0x05, 0x0c, 0x00, 0x02, 0x68, 0x69])
        }
        var small = NetRPCServer(messageLimit: 10)
        #expect(throws: GobError.self) { try small.receive([0x7f]) }
    }

    @Test("arguments of releases before 2.1 are refused, unknown fields passed over")
    func arguments() {
        let execution = GobValue.structure([
            GobMember("JobName", .string("j")), GobMember("Unknown", .int(3)),
        ])
        let found = ProcessorService.arguments(
            .structure([
                GobMember("Execution", execution),
                GobMember("Config", .map([.string("b"), .string("1"), .string("a"), .string("")])),
            ]))
        #expect(found?.execution.job == "j")
        #expect(found?.config == [ProtobufEntry("a", ""), ProtobufEntry("b", "1")])
        let old = GobValue.structure([GobMember("StartedAt", .opaque([1, 2]))])
        #expect(ProcessorService.arguments(.structure([GobMember("Execution", old)])) == nil)
        #expect(ProcessorService.arguments(.structure([])) == nil)
        #expect(
            ProcessorService.arguments(
                .structure([
                    GobMember("Execution", execution),
                    GobMember("Config", .map([.int(1), .int(2)])),
                ])) == nil)
    }
}

@Suite("Plugins: yamux from the side that takes streams")
struct YamuxServerTests {
    private func frame(
        _ kind: UInt8, _ flags: UInt8, _ stream: UInt8, _ length: Int, _ body: [UInt8] = []
    ) -> [UInt8] {
        [0, kind, 0, flags, 0, 0, 0, stream]
            + (0..<4).map { UInt8(truncatingIfNeeded: length >> (24 - 8 * $0)) } + body
    }

    @Test("streams are taken whichever frame begins them, and acknowledged")
    func opening() {
        var session = YamuxSession(.server, at: .zero)
        session.receive(frame(1, 1, 1, 0) + frame(0, 1, 3, 2, [8, 9]), at: .zero)
        #expect(session.takeEvents() == [.opened(1), .opened(3), .received(3, [8, 9])])
        #expect(session.takeOutput() == frame(1, 2, 1, 0) + frame(1, 2, 3, 0))
        session.send(1, [5])
        #expect(session.takeOutput() == frame(0, 0, 1, 1, [5]))
        // Even, old and repeated numbers are not the client's to take.
        session.receive(frame(1, 1, 4, 0) + frame(1, 1, 3, 0) + frame(1, 1, 1, 0), at: .zero)
        #expect(session.takeEvents() == [])
        #expect(
            session.takeOutput() == frame(1, 8, 4, 0) + frame(1, 8, 3, 0) + frame(1, 8, 1, 0))
    }

    @Test("a client has so many streams and no more, and gets room again by ending some")
    func bounds() {
        var session = YamuxSession(.server, at: .zero)
        for number in 0..<128 {
            session.receive(frame(1, 1, UInt8(2 * number % 256 + 1), 0), at: .zero)
        }
        #expect(session.takeEvents().count == 128)
        for number in 0..<200 {
            let low = UInt8(2 * number % 256 + 1)
            let high = UInt8(1 + 2 * number / 256)
            session.receive([0, 1, 0, 1, 0, 0, high, low, 0, 0, 0, 0], at: .zero)
        }
        #expect(session.takeEvents().count == 128)
        _ = session.takeOutput()
        session.receive(frame(0, 4, 1, 0), at: .zero)
        session.close(1)
        session.receive([0, 1, 0, 1, 0, 0, 9, 1, 0, 0, 0, 0], at: .zero)
        #expect(session.takeEvents() == [.ended(1), .opened(0x901)])
    }
}
