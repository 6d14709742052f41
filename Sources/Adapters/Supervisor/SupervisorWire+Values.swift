// How the boundary's values travel between an agent and its supervisor.

internal import Core

extension SupervisorWire {
    // MARK: Runs

    static func write(_ spec: RunSpec, to writer: inout ByteWriter) {
        writer.string(spec.execution.text)
        writer.array(spec.command.arguments) { $0.string($1) }
        writer.array(spec.command.environment) {
            $0.string($1.name)
            $0.string($1.value)
        }
        writer.optional(spec.command.workingDirectory) { $0.string($1) }
        writer.optional(spec.command.user) { $0.string($1) }
        writer.optional(spec.command.memoryLimit) { $0.u64($1) }
        writer.bytes(spec.command.payload)
        writer.optional(spec.timeout) { $0.i64($1.nanoseconds) }
        writer.i64(spec.grace.nanoseconds)
        writer.optional(spec.fence) { $0.i64($1.nanoseconds) }
    }

    static func spec(_ reader: inout ByteReader) throws(ByteError) -> RunSpec {
        let id = ExecutionID(try reader.string())
        let arguments = try reader.array { reader throws(ByteError) in try reader.string() }
        let environment = try reader.array(elementSize: 2) { reader throws(ByteError) in
            EnvironmentEntry(name: try reader.string(), value: try reader.string())
        }
        let directory = try reader.optional { reader throws(ByteError) in try reader.string() }
        let user = try reader.optional { reader throws(ByteError) in try reader.string() }
        let memory = try reader.optional { reader throws(ByteError) in try reader.u64() }
        let command = RunSpec.Command(
            arguments: arguments, environment: environment, workingDirectory: directory,
            user: user, memoryLimit: memory, payload: try reader.bytes())
        return RunSpec(
            execution: id, command: command, timeout: try reader.optional(duration),
            grace: try duration(&reader), fence: try reader.optional(duration))
    }

    static func write(_ identity: ProcessIdentity, to writer: inout ByteWriter) {
        writer.u32(UInt32(bitPattern: identity.processID))
        writer.u64(identity.startTicks)
        writer.string(identity.boot)
    }

    static func identity(_ reader: inout ByteReader) throws(ByteError) -> ProcessIdentity {
        let processID = try int32(&reader)
        let startTicks = try reader.u64()
        return ProcessIdentity(
            processID: processID, startTicks: startTicks, boot: try reader.string())
    }

    // MARK: Events

    static func write(_ event: RunEvent, to writer: inout ByteWriter) {
        switch event {
        case .started(let identity, let at):
            writer.u8(1)
            write(identity, to: &writer)
            writer.i64(at.nanoseconds)
        case .output(let bytes, let skipped):
            writer.u8(2)
            writer.bytes(bytes)
            writer.u64(skipped)
        case .ended(let end):
            writer.u8(3)
            writer.u8(end.cause.rawValue)
            writer.optional(end.exitCode) { $0.u32(UInt32(bitPattern: $1)) }
            writer.optional(end.signal) { $0.u32(UInt32(bitPattern: $1)) }
            writer.i64(end.cpuTime.nanoseconds)
            writer.u64(end.peakMemory)
            writer.i64(end.at.nanoseconds)
            writer.bool(end.outputHeldOpen)
        case .refused(let reason):
            writer.u8(4)
            writer.string(reason)
        case .vanished(let reason):
            writer.u8(5)
            writer.string(reason)
        }
    }

    static func event(_ reader: inout ByteReader) throws(ByteError) -> RunEvent {
        let kind = try reader.u8()
        switch kind {
        case 1:
            let identity = try identity(&reader)
            return .started(identity, at: WallTime(nanoseconds: try reader.i64()))
        case 2:
            let bytes = try reader.bytes()
            return .output(bytes, skipped: try reader.u64())
        case 3: return .ended(try end(&reader))
        case 4: return .refused(try reader.string())
        case 5: return .vanished(try reader.string())
        default: throw .malformed(offset: reader.offset - 1, what: "an event of kind \(kind)")
        }
    }

    private static func end(_ reader: inout ByteReader) throws(ByteError) -> RunEnd {
        let code = try reader.u8()
        guard let cause = RunEnd.Cause(rawValue: code) else {
            throw .malformed(offset: reader.offset - 1, what: "a cause of \(code)")
        }
        let exitCode = try reader.optional(int32)
        let signal = try reader.optional(int32)
        let cpuTime = try duration(&reader)
        let peakMemory = try reader.u64()
        let at = WallTime(nanoseconds: try reader.i64())
        return RunEnd(
            cause: cause, exitCode: exitCode, signal: signal, cpuTime: cpuTime,
            peakMemory: peakMemory, at: at, outputHeldOpen: try reader.bool())
    }

    // MARK: Parts

    static func int32(_ reader: inout ByteReader) throws(ByteError) -> Int32 {
        Int32(bitPattern: try reader.u32())
    }

    private static func duration(_ reader: inout ByteReader) throws(ByteError) -> Duration {
        Duration(nanoseconds: try reader.i64())
    }
}
