/// Carries out the steps of handshakes on threads of their own: each computes for up to
/// milliseconds, in which the loop would miss what is due.
package final class TLSHandshakes: Sendable {
    package struct Answer: Sendable {
        /// Whose socket it is.
        var token: EventLoop.Token
        var step: TLSSession.Step
    }

    private struct Job: Sendable {
        var token: EventLoop.Token
        /// Kept as long as a thread works with it.
        var socket: StreamSocket
    }

    private let pool: WorkerPool<Job, Answer>

    package init() throws(SystemError) {
        pool = try WorkerPool(
            threads: Self.mostThreads, pending: Self.mostPending,
            carryOut: { job in
                Answer(
                    token: job.token,
                    step: job.socket.session?.handshake() ?? .failed("TLS: nobody wants it"))
            },
            refuse: { job, refusal in
                let reason =
                    switch refusal {
                    case .full(let limit): "more than \(limit) connections wait for it"
                    case .noThread(let reason): "there is no thread for it: \(reason)"
                    }
                return Answer(token: job.token, step: .failed("TLS: \(reason)"))
            })
    }

    /// Readable when there are answers.
    package var fileDescriptor: Int32 { pool.fileDescriptor }

    package func receive() -> [Answer] { pool.receive() }

    /// Asks for the next step. Until the answer nobody else may touch the session, nor the loop
    /// watch its socket.
    func advance(_ socket: StreamSocket, as token: EventLoop.Token) {
        pool.submit(Job(token: token, socket: socket))
    }

    private static let mostThreads = 2
    private static let mostPending = 8_192
}
