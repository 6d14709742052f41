import Core
import Testing

@testable import Adapters

/// The frames between agent and supervisor, and the buffers on both ends.
@Suite struct SupervisorWireTests {
    private static let spec = RunSpec(
        execution: ExecutionID("12-größe"),
        command: RunSpec.Command(
            arguments: ["sh", "-c", ""], environment: [EnvironmentEntry(name: "A", value: "=,")],
            workingDirectory: "/", user: "a:b", memoryLimit: .max, payload: [0, 255]),
        timeout: .max, grace: .zero, fence: .seconds(1))
    private static let identity = ProcessIdentity(processID: -5, startTicks: .max, boot: "x-y")
    private static let end = RunEnd(
        cause: .fenced, exitCode: nil, signal: 9, cpuTime: .seconds(3), peakMemory: 7,
        at: WallTime(nanoseconds: -1), outputHeldOpen: true)

    private static let requests: [SupervisorRequest] = [
        .hello(version: 1, environment: [[65, 61], [], [255]]),
        .start(spec),
        .start(RunSpec(execution: ExecutionID(""), command: RunSpec.Command(arguments: []))),
        .adopt(ExecutionID("1-a"), nil), .adopt(ExecutionID("1-a"), identity),
        .stop(ExecutionID("1-a")), .release(ExecutionID("1-a")),
        .renewFences(ago: .milliseconds(-3)), .endAll,
    ]

    private static let news: [SupervisorNews] = [
        .welcome(version: .max, processID: -1), .busy,
        .event(ExecutionID("1-a"), .started(identity, at: .distantPast)),
        .event(ExecutionID("1-a"), .output([1, 2, 3], skipped: .max)),
        .event(ExecutionID("1-a"), .ended(end)),
        .event(ExecutionID("1-a"), .refused("no\nway")),
        .event(ExecutionID("1-a"), .vanished("")),
        .log(LogRecord(.warning, "words", [LogRecord.Field("a", "b")])),
    ]

    @Test(arguments: requests)
    func requestsSurvive(request: SupervisorRequest) throws {
        let frame = SupervisorWire.frame(request)
        #expect(try SupervisorWire.request(frame[4...]) == request)
        expectDamageIsSeen(frame) { body in _ = try SupervisorWire.request(body) }
    }

    @Test(arguments: news)
    func newsSurvive(news: SupervisorNews) throws {
        let frame = SupervisorWire.frame(news)
        #expect(try SupervisorWire.news(frame[4...]) == news)
        expectDamageIsSeen(frame) { body in _ = try SupervisorWire.news(body) }
    }

    /// Too short, too long, of another kind: an error, never a trap.
    private func expectDamageIsSeen(
        _ frame: [UInt8], _ read: (ArraySlice<UInt8>) throws -> Void
    ) {
        for length in 4..<frame.count {
            #expect(throws: (any Error).self) { try read(frame[4..<length]) }
        }
        #expect(throws: (any Error).self) { try read((frame + [0])[4...]) }
        var other = frame
        other[4] = 99
        #expect(throws: (any Error).self) { try read(other[4...]) }
        for place in 4..<frame.count {
            for value: UInt8 in [0, 1, 127, 128, 255] {
                var damaged = frame
                damaged[place] = value
                try? read(damaged[4...])
            }
        }
    }

    @Test(arguments: [1, 2, 3, 7, 64, 100_000])
    func framesInPieces(size: Int) throws {
        var stream: [UInt8] = []
        for request in Self.requests { stream += SupervisorWire.frame(request) }
        var reader = FrameReader()
        var heard: [SupervisorRequest] = []
        for start in stride(from: 0, to: stream.count, by: size) {
            let piece = Array(stream[start..<min(start + size, stream.count)])
            piece.withUnsafeBytes { reader.append($0) }
            while let body = try reader.next() { heard.append(try SupervisorWire.request(body)) }
        }
        #expect(heard == Self.requests)
    }

    @Test func impossibleLength() {
        var reader = FrameReader()
        [UInt8](repeating: 255, count: 4).withUnsafeBytes { reader.append($0) }
        #expect(throws: ByteError.self) { _ = try reader.next() }
    }

    @Test func writeQueueKeepsOrder() {
        var queue = WriteQueue()
        var taken: [UInt8] = []
        var put: [UInt8] = []
        for step in 0..<200 {
            let piece = (0..<step % 7).map { UInt8(truncatingIfNeeded: step &* 13 &+ $0) }
            put += piece
            queue.append(piece)
            var calls = 0
            queue.drain { bytes in
                calls += 1
                guard calls <= step % 3 else { return nil }
                let count = min(bytes.count, step % 5)
                taken += bytes.prefix(count)
                return count
            }
        }
        queue.drain { bytes in
            taken += bytes
            return bytes.count
        }
        #expect(taken == put)
        #expect(queue.isEmpty)
    }

    /// Against a plain array that forgets its beginning.
    @Test(arguments: [1, 999, 4096, 65_536, 255_999, 256_000])
    func ringKeepsTheEnd(size: Int) {
        var ring = OutputRing()
        var model: [UInt8] = []
        var total = 0
        for step in 0..<(600_000 / size + 2) {
            let piece = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ step) }
            if size > 1 || step < 3_000 {
                piece.withUnsafeBytes { ring.append($0) }
                model += piece
                model.removeFirst(max(0, model.count - OutputRing.capacity))
                total += size
            }
        }
        #expect(ring.end == UInt64(total))
        #expect(ring.start == UInt64(total - model.count))
        #expect(ring.copy(from: ring.start, count: .max) == model)
        let middle = ring.start + UInt64(model.count / 3)
        #expect(ring.copy(from: middle, count: 5) == Array(model[(model.count / 3)...].prefix(5)))
        #expect(ring.copy(from: ring.end, count: 5) == [])
    }

    @Test func inheritedEnvironment() {
        let own = [
            "A=1", "DKRON_X=2", "DKRONX=3", "SECRET=4", "PLUGIN_MAX_PORT=5", "SECRETS=6", "=7",
        ]
        let inherited = ProcessLauncher.inheritable(
            own.map { Array($0.utf8) }, hiding: ["SECRET", "ABSENT"])
        #expect(
            inherited.map { String(decoding: $0, as: UTF8.self) } == [
                "A=1", "DKRONX=3", "SECRETS=6",
            ])
    }
}
