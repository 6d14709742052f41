// What the machine can do at best, and a server therefore at most.

import Glibc

/// A file that grows by records as the log does, and is synced after each or after some. It is
/// never cut: freeing space is work that a log leaves for later.
final class BareLog {
    private let path: String
    private let descriptor: Int32
    private var offset = 0

    init(_ path: String) throws {
        self.path = path
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("create") }
    }

    deinit { close(descriptor) }

    /// How long each write with its sync took, in milliseconds.
    private(set) var times: [Double] = []

    /// Records a second, over some time.
    func rate(bytes: Int, perSync: Int, seconds limit: Double) throws -> Double {
        let block = [UInt8](repeating: 0x5A, count: bytes * perSync)
        var count = 0
        let began = monotonic()
        while seconds(since: began) < limit {
            let start = monotonic()
            let written = block.withUnsafeBytes {
                pwrite(descriptor, $0.baseAddress, $0.count, off_t(offset))
            }
            guard written == block.count, fdatasync(descriptor) == 0 else {
                throw failure("write to")
            }
            times.append(Double(monotonic() - start) / 1e6)
            offset += written
            count += perSync
        }
        return Double(count) / seconds(since: began)
    }

    private func failure(_ verb: String) -> Failure {
        Failure("can't \(verb) \(path): \(String(cString: strerror(errno)))")
    }
}

/// How many times a second one thread starts `true` and waits for its end.
func spawnRate(seconds limit: Double) throws -> Double { try spawning(seconds: limit).rate }

/// The same with the processor seconds that each takes, those of `true` included.
func spawning(seconds limit: Double) throws -> (rate: Double, processor: Double) {
    var argument: [UnsafeMutablePointer<CChar>?] = [strdup("true"), nil]
    defer { free(argument[0]) }
    let path = ["/usr/bin/true", "/bin/true"].first { (path: String) in access(path, X_OK) == 0 }
    guard let path else { throw Failure("there is no /bin/true on this machine") }
    let used = usedByThisProcessAndChildren()
    let began = monotonic()
    var count = 0
    while seconds(since: began) < limit {
        var identifier: pid_t = 0
        var status: Int32 = 0
        guard posix_spawn(&identifier, path, nil, nil, &argument, environ) == 0,
            waitpid(identifier, &status, 0) == identifier, status == 0
        else { throw Failure("\(path) could not be run") }
        count += 1
    }
    let processor = (usedByThisProcessAndChildren() - used) / Double(count)
    return (Double(count) / seconds(since: began), processor)
}

/// Processor seconds; of children those that have been waited for.
private func usedByThisProcessAndChildren() -> Double {
    var total = 0.0
    for whose in [RUSAGE_SELF, RUSAGE_CHILDREN] {
        var usage = rusage()
        getrusage(Int32(truncatingIfNeeded: whose.rawValue), &usage)
        for time in [usage.ru_utime, usage.ru_stime] {
            total += Double(time.tv_sec) + Double(time.tv_usec) / 1e6
        }
    }
    return total
}
