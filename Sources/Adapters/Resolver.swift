package import Core
internal import Glibc
internal import Synchronization

/// Looks up the addresses of hosts on threads of its own: the C library's lookup can block for as
/// long as name servers are silent, and nothing can cut it short.
package final class Resolver: Sendable {
    /// Who wants to know.
    package enum Asker: Sendable {
        /// A request of the executor `http`.
        case calls
        case node
    }

    package struct Answer: Sendable {
        var asker: Asker
        var host: String
        /// IP text, in the order of preference.
        var addresses: [String]
        /// Why there are none.
        var problem: String
    }

    private struct Question {
        var asker: Asker
        var host: String

        func answered(_ addresses: [String], problem: String) -> Answer {
            Answer(asker: asker, host: host, addresses: addresses, problem: problem)
        }
    }

    private struct State {
        var pending: [Question] = []
        var threads = 0
        var isIdle = 0
    }

    /// Threads are made as they are needed and stay. One silent name server holds one of them for
    /// each name that it should know.
    private static let mostThreads = 8
    private static let mostPending = 1_024

    private let mailbox: Mailbox<Answer>
    private let state = Mutex(State())
    private let wake = Semaphore()

    package init() throws(SystemError) { mailbox = try Mailbox() }

    /// Readable when there are answers.
    package var fileDescriptor: Int32 { mailbox.fileDescriptor }

    package func receive() -> [Answer] { mailbox.drain() }

    /// Asks for one answer.
    func resolve(_ host: String, for asker: Asker) {
        let question = Question(asker: asker, host: host)
        let (isAccepted, needsThread) = state.withLock { state in
            guard state.pending.count < Self.mostPending else { return (false, false) }
            state.pending.append(question)
            let needsThread =
                state.pending.count > state.isIdle && state.threads < Self.mostThreads
            if needsThread { state.threads += 1 }
            return (true, needsThread)
        }
        guard isAccepted else {
            let problem = "more than \(Self.mostPending) names wait for their lookup"
            return mailbox.post(question.answered([], problem: problem))
        }
        wake.signal()
        if needsThread { startThread() }
    }

    private func startThread() {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, 256 * 1024)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        var thread = pthread_t()
        let context = Unmanaged.passRetained(self).toOpaque()
        let result = pthread_create(
            &thread, &attributes,
            { context in
                guard let context else { return nil }
                Unmanaged<Resolver>.fromOpaque(context).takeRetainedValue().work()
                return nil
            }, context)
        guard result != 0 else { return }
        Unmanaged<Resolver>.fromOpaque(context).release()
        // With another thread the name has only to wait; without any nobody would answer.
        let orphans = state.withLock { state in
            state.threads -= 1
            guard state.threads == 0 else { return [Question]() }
            defer { state.pending = [] }
            return state.pending
        }
        let problem = "no thread for the lookup: \(errorText(result))"
        for question in orphans { mailbox.post(question.answered([], problem: problem)) }
    }

    private func work() {
        while true {
            state.withLock { $0.isIdle += 1 }
            wake.wait()
            let question = state.withLock { state -> Question? in
                state.isIdle -= 1
                return state.pending.isEmpty ? nil : state.pending.removeFirst()
            }
            if let question { mailbox.post(Self.answer(question)) }
        }
    }

    private static func answer(_ question: Question) -> Answer {
        do throws(AddressError) {
            var addresses: [String] = []
            for address in try SocketAddress.resolve(Endpoint(host: question.host, port: 0)) {
                let text = address.host
                if !text.isEmpty, !addresses.contains(text) { addresses.append(text) }
            }
            return question.answered(addresses, problem: "")
        } catch {
            return question.answered([], problem: error.reason)
        }
    }
}

extension Resolver.Answer {
    /// For the node.
    package var input: Input {
        .resolved(
            host: host, addresses.compactMap { IPAddress(text: $0) }, problem: problem)
    }
}

/// A counter that threads wait for.
private final class Semaphore: @unchecked Sendable {
    private let counter = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() { sem_init(counter, 0, 0) }

    deinit {
        sem_destroy(counter)
        counter.deallocate()
    }

    func signal() { sem_post(counter) }

    func wait() { while sem_wait(counter) != 0 && errno == EINTR {} }
}
