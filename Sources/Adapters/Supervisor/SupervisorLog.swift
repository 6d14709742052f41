internal import Core
internal import Glibc

/// What the supervisor has to say: kept in a file of the data directory, because nobody may be
/// there to hear it, and passed on to the agent while one is connected.
final class SupervisorLog {
    private let directory: Int32
    private let descriptor: Int32
    private let writer: LogWriter
    private var written = 0
    private var forAgent: [LogRecord] = []

    init(directory: Int32) throws(SystemError) {
        self.directory = directory
        descriptor = try Self.open(directory)
        writer = LogWriter(level: .info, descriptor: descriptor)
        written = Int(max(0, lseek(descriptor, 0, SEEK_END)))
    }

    func write(_ level: LogRecord.Level, _ message: String, _ fields: [LogRecord.Field] = []) {
        let record = LogRecord(level, message, fields)
        if written > Self.longestFile { rotate() }
        writer.write(record, at: Clocks.wall())
        written += 128 + message.utf8.count
        // Nobody listening, the youngest stay.
        if forAgent.count >= Self.mostForAgent { forAgent.removeFirst() }
        forAgent.append(record)
    }

    func takeForAgent() -> [LogRecord] {
        defer { forAgent.removeAll() }
        return forAgent
    }

    private static func open(_ directory: Int32) throws(SystemError) -> Int32 {
        let flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC
        let descriptor = openat(directory, fileName, flags, 0o600)
        guard descriptor >= 0 else { throw .last("open \(fileName)") }
        return descriptor
    }

    /// Keeps one older file. What goes wrong here costs log lines only.
    private func rotate() {
        written = 0
        renameat(directory, Self.fileName, directory, Self.fileName + ".1")
        guard let fresh = try? Self.open(directory) else { return }
        dup2(fresh, descriptor)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        close(fresh)
    }

    private static let fileName = "supervisor.log"
    static let fileNames = [fileName, fileName + ".1"]
    private static let longestFile = 1 << 20
    private static let mostForAgent = 64
}
