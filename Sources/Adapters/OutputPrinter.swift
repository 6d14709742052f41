internal import Core
internal import Glibc

/// The processor `log`: outputs of successes on standard output, of failures on standard error.
enum OutputPrinter {
    static func carryOut(_ run: ProcessorRun) -> ProcessorOutcome {
        let isSuccess = run.execution.state == .success
        let head =
            "----- BEGIN OUTPUT job=\(run.execution.job) execution=\(run.execution.id) -----\n"
        let bytes = Array(head.utf8) + run.output + "\n----- END OUTPUT -----\n".utf8
        let descriptor = isSuccess ? STDOUT_FILENO : STDERR_FILENO
        var sent = 0
        while sent < bytes.count {
            let count = retryingInterrupted {
                bytes.withUnsafeBytes {
                    write(descriptor, $0.baseAddress! + sent, bytes.count - sent)
                }
            }
            if count < 0, errno == EAGAIN {
                var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                Glibc.poll(&poll, 1, 1_000)
                continue
            }
            guard count >= 0 else {
                let name = isSuccess ? "standard output" : "standard error"
                return .failed(SystemError.last("write to \(name)").description)
            }
            sent += count
        }
        return .done(output: nil)
    }
}
