import Testing

@testable import Core

/// A host with one processor, whose program is the test.
private struct Processor {
    var host: PluginHost
    var now = Now(monotonic: .zero, wall: WallTime(seconds: 0))
    var out = PluginOutput()
    private var encoder = GobEncoder()

    static let response = GobType.structure(
        "Response",
        [GobField("ServiceMethod", .string), GobField("Seq", .uint), GobField("Error", .string)])

    init() {
        let file = PluginFile(path: "/p/dkron-processor-x")
        host = PluginHost([file].compactMap { $0 }, directory: "/d", at: now.monotonic)
        host.start(at: now, into: &out)
        _ = take(.launched(1))
        _ = take(.printed(1, Array("1|1|unix|/tmp/p|netrpc|\n".utf8)))
    }

    /// One that has been joined with.
    static func ready() -> Processor {
        var processor = Processor()
        _ = processor.take(.opened(2))
        _ = processor.answer(1, number: 1, .uint(9), as: .uint)
        _ = processor.data(7, [9, 0, 0, 0])
        processor.encoder = GobEncoder()
        return processor
    }

    /// What the host sends to the program because of it.
    mutating func take(_ event: PluginEvent) -> [UInt8] {
        host.take(event, at: now, into: &out)
        return settle()
    }

    mutating func process(_ number: UInt64, _ output: [UInt8] = [1]) -> [UInt8] {
        let execution = PluginExecution(
            job: "j", isSuccess: true, output: output, node: "n", group: 3, attempt: 1)
        host.process(
            ProcessorCall(
                number: number, plugin: "x", execution: execution, config: [("k", "v")],
                timeout: .seconds(20)), at: now, into: &out)
        return settle()
    }

    mutating func wait(_ time: Duration) -> [UInt8] {
        now.monotonic = now.monotonic + time
        host.deadline(at: now, into: &out)
        return settle()
    }

    mutating func data(_ stream: UInt8, _ bytes: [UInt8]) -> [UInt8] {
        let length = (0..<4).map { UInt8(truncatingIfNeeded: bytes.count >> (24 - 8 * $0)) }
        return take(.received(2, [0, 0, 0, 0, 0, 0, 0, stream] + length + bytes))
    }

    mutating func answer(
        _ stream: UInt8, number: UInt64, error: String = "", _ value: GobValue, as type: GobType
    ) -> [UInt8] {
        let head = GobValue.structure([
            GobMember("Seq", .uint(number)), GobMember("Error", .string(error)),
        ])
        let bytes = encoder.encode(head, as: Self.response) + encoder.encode(value, as: type)
        return data(stream, bytes)
    }

    mutating func takeProcessed() -> [String] {
        defer { out.processed = [] }
        return out.processed.map { number, outcome in
            switch outcome {
            case .processed(let execution): "\(number): \(execution.isSuccess) \(execution.output)"
            case .failed(let error): "\(number): \(error)"
            }
        }
    }

    var logs: [String] {
        out.actions.compactMap { if case .log(let record) = $0 { record.message } else { nil } }
    }

    private mutating func settle() -> [UInt8] {
        var sent: [UInt8] = []
        var place = 0
        while place < out.actions.count {
            if case .send(let connection, let bytes) = out.actions[place] {
                sent += bytes
                out.actions.remove(at: place)
                host.take(.wrote(connection, count: bytes.count), at: now, into: &out)
            } else {
                place += 1
            }
        }
        return sent
    }
}

@Suite("Plugins: processors")
struct ProcessorPluginTests {
    @Test("streams, dispensing, joining, and calls whose answers come in any order")
    func calls() throws {
        var p = Processor()
        let hello = p.take(.opened(2))
        #expect(
            hello.prefix(36).enumerated().filter { $0.offset % 12 == 7 }.map(\.element) == [
                1, 3, 5,
            ])
        #expect(String(decoding: hello, as: UTF8.self).contains("Dispenser.Dispense"))
        let join = p.answer(1, number: 1, .uint(0x0102), as: .uint)
        #expect(join.suffix(16) == [0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 4, 2, 1, 0, 0])
        #expect(p.data(7, [2, 1]) == [])
        #expect(p.host.readyCount == 0)
        _ = p.data(7, [0, 0])
        #expect(p.host.readyCount == 1)
        var q = Processor.ready()
        #expect(String(decoding: q.process(11), as: UTF8.self).contains("Plugin.Process"))
        _ = q.process(12)
        let changed = PluginExecution(
            job: "j", isSuccess: false, output: [7], node: "n", group: 3, attempt: 1)
        _ = q.answer(7, number: 2, changed.value, as: PluginExecution.type)
        #expect(q.takeProcessed() == ["12: false [7]"])
        _ = q.answer(7, number: 1, error: "no", .structure([]), as: .structure("", []))
        #expect(q.takeProcessed() == ["11: the processor refused: no"])
        #expect(q.host.count == 0)
    }

    @Test("prints become lines of the log")
    func prints() {
        var p = Processor.ready()
        _ = p.data(3, Array("one\n".utf8))
        _ = p.data(5, Array("[ERROR] two\n".utf8))
        #expect(p.logs.suffix(2) == ["one", "two"])
    }

    @Test("a call has a time-out, whether the plugin is there or not; what comes late is nobody's")
    func times() {
        var p = Processor.ready()
        _ = p.process(1)
        _ = p.wait(.seconds(20))
        #expect(p.takeProcessed() == ["1: the plugin x did not answer within 20s"])
        let late = PluginExecution(
            job: "", isSuccess: true, output: [], node: "", group: 0, attempt: 0)
        _ = p.answer(7, number: 1, late.value, as: PluginExecution.type)
        #expect(p.takeProcessed() == [])
        var absent = Processor()
        _ = absent.process(2)
        _ = absent.wait(.seconds(10))
        #expect(absent.takeProcessed().first?.hasPrefix("2: the plugin x is not running") == true)
        absent.host.process(
            ProcessorCall(
                number: 3, plugin: "y", execution: late, config: [], timeout: .seconds(1)),
            at: absent.now, into: &absent.out)
        #expect(absent.takeProcessed() == ["3: processor \"y\" is not available on this node"])
    }

    @Test("death, garbage and closed streams fail calls and end the plugin")
    func deaths() {
        let ends: [(inout Processor) -> Void] = [
            { _ = $0.take(.receivedEnd(2)) },
            { _ = $0.take(.received(2, [UInt8](repeating: 0x41, count: 50))) },
            { _ = $0.data(7, [2, 4, 1]) },
            { _ = $0.data(1, [0x80]) },
            { _ = $0.take(.received(2, [0, 1, 0, 8, 0, 0, 0, 7, 0, 0, 0, 0])) },
            { _ = $0.take(.received(2, [0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])) },
            { p in
                _ = p.wait(.seconds(19))
                _ = p.process(2)
                _ = p.wait(.seconds(11))
                _ = p.wait(.seconds(10))
            },
        ]
        for (index, end) in ends.enumerated() {
            var p = Processor.ready()
            _ = p.process(1)
            end(&p)
            #expect(p.out.actions.contains(.kill(1)), "\(index)")
            _ = p.take(.exited(1, .signal(9)))
            #expect(p.takeProcessed().count == (index == 6 ? 2 : 1), "\(index)")
            #expect(p.host.count == 0)
        }
    }

    @Test("a processor is asked to end")
    func stop() {
        var p = Processor.ready()
        p.host.stop(at: p.now, into: &p.out)
        let asked = p.out.actions.contains {
            guard case .send(_, let bytes) = $0 else { return false }
            return String(decoding: bytes, as: UTF8.self).contains("Control.Quit")
        }
        #expect(asked)
        _ = p.take(.exited(1, .code(0)))
        #expect(p.host.isStopped)
    }
}
