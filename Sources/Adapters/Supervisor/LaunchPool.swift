internal import CSystem
internal import Core
internal import Glibc

/// A run on its way to become a process.
final class Launch: @unchecked Sendable {
    /// The run's.
    let number: UInt64
    let spec: RunSpec
    let launcher: ProcessLauncher
    /// Has the process, when it exists.
    private let state = UnsafeMutablePointer<dkron_spawn_state>.allocate(capacity: 1)
    // Both belong to the pool's thread until the launch is in the mailbox.
    fileprivate(set) var outcome: Result<LaunchedProcess, LaunchRefusal>?

    init(_ number: UInt64, _ spec: RunSpec, _ launcher: ProcessLauncher) {
        self.number = number
        self.spec = spec
        self.launcher = launcher
        state.initialize(to: dkron_spawn_state())
    }

    deinit { state.deallocate() }

    /// Its process, which may have ended already; 0 while there is none. For any thread.
    var processID: Int32 { dkron_spawned_process(state) }

    /// Ends it unless the program runs already. A process that still waits for the program's file
    /// or its directory knows no polite signal.
    func giveUp() {
        dkron_spawn_cancel(state)
        let process = processID
        guard process > 0, let name = ProcFile.read("/proc/self/comm", atMost: 64) else { return }
        // It has this process's name until the program takes its place. To look at more of it could
        // take as long as its start.
        if ProcFile.read("/proc/\(process)/comm", atMost: 64) == name { kill() }
    }

    /// Kills its process, if there is one that was not collected.
    func kill() { dkron_spawn_kill(state) }

    fileprivate func perform() {
        do throws(LaunchRefusal) {
            outcome = .success(try launcher.launch(spec, state: state))
        } catch {
            outcome = .failure(error)
        }
    }
}

/// Starts processes beside the supervisor's thread.
///
/// A thread waits until the program runs. Where the processors are busy that is several turns of
/// the scheduler, so a few threads share the work. A start can also take as long as a network's
/// file system or a directory service is silent: when nothing moves any more, another thread takes
/// over what waits. Threads stay for ever: the kernel ends a run
/// when the thread ends that started it.
final class LaunchPool: @unchecked Sendable {
    // These belong to `mutex`.
    private var waiting = RingBuffer<Launch>()
    private var threads = 0
    /// Boot time of the last sign of progress.
    private var movedAt: Int64 = 0
    /// `checkDeadline` said that all threads are held up, and nothing has moved since.
    private var isTold = false

    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private let mailbox: Mailbox<Launch>

    init() throws(SystemError) {
        mailbox = try Mailbox()
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(wake, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(wake)
        mutex.deallocate()
        wake.deallocate()
    }

    /// Readable while launches wait that have their outcome.
    var fileDescriptor: Int32 { mailbox.fileDescriptor }

    /// Those that have their outcome.
    func receive() -> [Launch] { mailbox.drain() }

    func add(_ launch: Launch) {
        let needsThread = locked {
            if waiting.isEmpty { movedAt = BootClock.now() }
            waiting.append(launch)
            return threads < Self.usualThreads
        }
        pthread_cond_signal(wake)
        if needsThread { addThread() }
    }

    /// Takes back what no thread has begun with: whether it will never start.
    func cancel(_ launch: Launch) -> Bool {
        locked {
            let count = waiting.count
            for _ in 0..<count {
                guard let next = waiting.popFirst(), next !== launch else { continue }
                waiting.append(next)
            }
            return waiting.count < count
        }
    }

    /// When to look whether the threads are all held up, on the boot-time clock.
    var nextDeadline: Int64? {
        locked {
            if waiting.isEmpty { return nil }
            if threads < Self.mostThreads { return saturatingSum(movedAt, Self.patience) }
            return isTold ? nil : saturatingSum(movedAt, Self.longPatience)
        }
    }

    /// Adds a thread when nothing has moved for a while. True, once, when there are as many as may
    /// be and all have been held up for long.
    func checkDeadline(now: Int64) -> Bool {
        guard let due = nextDeadline, now >= due else { return false }
        let isFull = locked {
            isTold = threads == Self.mostThreads
            return isTold
        }
        if !isFull { addThread() }
        return isFull
    }

    // MARK: Threads

    private func locked<Value>(_ body: () -> Value) -> Value {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body()
    }

    private func addThread() {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, 256 * 1024)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        let context = Unmanaged.passRetained(self).toOpaque()
        var thread = pthread_t()
        let result = pthread_create(
            &thread, &attributes,
            { context in
                guard let context else { return nil }
                Unmanaged<LaunchPool>.fromOpaque(context).takeRetainedValue().work()
                return nil
            }, context)
        if result == 0 {
            locked {
                threads += 1
                movedAt = BootClock.now()
            }
            return
        }
        Unmanaged<LaunchPool>.fromOpaque(context).release()
        // With another thread they have only to wait.
        let refused = locked {
            movedAt = BootClock.now()
            guard threads == 0 else { return [Launch]() }
            var all: [Launch] = []
            while let next = waiting.popFirst() { all.append(next) }
            return all
        }
        let reason = "no thread to start the command: \(loweredErrorText(result))"
        for launch in refused {
            launch.outcome = .failure(LaunchRefusal(reason: reason))
            mailbox.post(launch)
        }
    }

    private func work() {
        while true {
            pthread_mutex_lock(mutex)
            while waiting.isEmpty { pthread_cond_wait(wake, mutex) }
            let launch = waiting.popFirst()
            movedAt = BootClock.now()
            isTold = false
            pthread_mutex_unlock(mutex)
            guard let launch else { continue }
            launch.perform()
            mailbox.post(launch)
        }
    }

    /// For how long nothing moves before another thread is made.
    private static let patience: Int64 = 100_000_000
    /// For how long nothing moves before people are told.
    private static let longPatience: Int64 = 10_000_000_000
    private static let usualThreads = 4
    private static let mostThreads = 64
}
