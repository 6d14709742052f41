internal import CSystem
internal import Core
internal import Glibc
internal import Synchronization

/// Does on threads what would hold up the loop, and brings the answers to it. Threads are made as
/// they are needed and stay.
final class WorkerPool<Job: Sendable, Answer: Sendable>: Sendable {
    private struct State {
        var pending = RingBuffer<Job>()
        var threads = 0
        var idle = 0
    }

    /// Why a job was not done.
    enum Refusal: Sendable {
        case full(limit: Int)
        case noThread(reason: String)
    }

    private let mostThreads: Int
    private let mostPending: Int
    private let stack: Int
    private let carryOut: @Sendable (Job) -> Answer
    private let refuse: @Sendable (Job, Refusal) -> Answer
    private let mailbox: Mailbox<Answer>
    private let state = Mutex(State())
    private let wake = Semaphore()

    /// - Parameters:
    ///   - stack: of a thread, in bytes.
    ///   - carryOut: called on one of the threads.
    ///   - refuse: what is answered for a job that can't be done.
    init(
        threads: Int, pending: Int, stack: Int = 256 << 10,
        carryOut: @escaping @Sendable (Job) -> Answer,
        refuse: @escaping @Sendable (Job, Refusal) -> Answer
    ) throws(SystemError) {
        mostThreads = threads
        mostPending = pending
        self.stack = stack
        self.carryOut = carryOut
        self.refuse = refuse
        mailbox = try Mailbox()
    }

    /// Readable when there are answers.
    var fileDescriptor: Int32 { mailbox.fileDescriptor }

    func receive() -> [Answer] { mailbox.drain() }

    /// Asks for one answer.
    func submit(_ job: Job) {
        let (isAccepted, needsThread) = state.withLock { state in
            guard state.pending.count < mostPending else { return (false, false) }
            state.pending.append(job)
            let needsThread = state.pending.count > state.idle && state.threads < mostThreads
            if needsThread { state.threads += 1 }
            return (true, needsThread)
        }
        guard isAccepted else { return mailbox.post(refuse(job, .full(limit: mostPending))) }
        wake.signal()
        if needsThread { startThread() }
    }

    private func startThread() {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, stack)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        var thread = pthread_t()
        let work = Unmanaged.passRetained(Work { self.work() }).toOpaque()
        let result = pthread_create(
            &thread, &attributes,
            { work in
                guard let work else { return nil }
                Unmanaged<Work>.fromOpaque(work).takeRetainedValue().run()
                return nil
            }, work)
        guard result != 0 else { return }
        Unmanaged<Work>.fromOpaque(work).release()
        // With another thread the job has only to wait; without any nobody would answer.
        let orphans = state.withLock { state in
            state.threads -= 1
            var orphans: [Job] = []
            while state.threads == 0, let job = state.pending.popFirst() { orphans.append(job) }
            return orphans
        }
        for job in orphans { mailbox.post(refuse(job, .noThread(reason: errorText(result)))) }
    }

    private func work() {
        while true {
            state.withLock { $0.idle += 1 }
            wake.wait()
            let job = state.withLock { state -> Job? in
                state.idle -= 1
                return state.pending.popFirst()
            }
            if let job { mailbox.post(carryOut(job)) }
        }
    }
}

/// What a new thread is to do: C's functions know no generic types.
private final class Work {
    let run: () -> Void

    init(_ run: @escaping () -> Void) { self.run = run }
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
