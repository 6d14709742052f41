import Testing

/// A program in Python that ends with the test.
final class PythonProgram {
    let process: ChildProcess
    let log: String

    init(_ program: String, _ argument: String, in scratch: Scratch) throws {
        log = scratch.path("python-\(scratch.unique())")
        process = try ChildProcess(
            ["python3", "-c", program, argument], log: log, environment: scratch.mark)
        let isReady = eventually(20) { readText(log).contains("ready") || process.poll() != nil }
        try #require(isReady && process.ending == nil, "\(readText(log))")
    }
}
