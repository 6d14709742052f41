package import Core
internal import Glibc

/// Calls that are carried out on threads of their own, which may block.
package final class ThreadedWork: PluginWork {
    private struct Order: Sendable {
        var call: PluginServerCall
        var handle: CallHandle
    }

    private let pool: WorkerPool<Order, PluginServerEvent>
    /// What calls print.
    private let prints: Mailbox<PluginServerEvent>
    private var handles: [UInt64: CallHandle] = [:]

    /// Calls under way at a time.
    private static let mostThreads = 256
    private static let mostPending = 4_096
    /// As main threads have it; what is not used takes no memory.
    private static let stack = 8 << 20

    /// - Parameter carryOut: called on one of the threads, for several calls at a time.
    package init(
        loop: EventLoop,
        carryOut: @escaping @Sendable (PluginServerCall, CallHandle) -> PluginServerResult
    ) throws {
        prints = try Mailbox()
        pool = try WorkerPool(
            threads: Self.mostThreads, pending: Self.mostPending, stack: Self.stack,
            carryOut: { .finished($0.call.number, carryOut($0.call, $0.handle)) },
            refuse: { order, refusal in
                let reason =
                    switch refusal {
                    case .full(let limit): "more than \(limit) calls wait for this plugin"
                    case .noThread(let reason): "there is no thread for it: \(reason)"
                    }
                let isExecutor = if case .execute = order.call.work { true } else { false }
                return .finished(
                    order.call.number, isExecutor ? .executed(error: reason) : .refused(reason))
            })
        loop.watch(pool.fileDescriptor, for: .read, as: .init(.processors, 0))
        loop.watch(prints.fileDescriptor, for: .read, as: .init(.processors, 1))
    }

    package var nextDeadline: Instant? { nil }

    package func begin(_ call: PluginServerCall, at now: Now) {
        let handle = CallHandle(call.number, prints)
        handles[call.number] = handle
        pool.submit(Order(call: call, handle: handle))
    }

    package func cancel(_ number: UInt64, at now: Now) { handles[number]?.cancel() }

    package func handle(_ event: EventLoop.Event, at now: Now) {}

    package func expire(at now: Now) {}

    package func takeNews() -> [PluginServerEvent] {
        // In this order: what a call has printed was there before its end.
        let ends = pool.receive()
        for case .finished(let number, _) in ends { handles[number] = nil }
        return prints.drain() + ends
    }

    package func close() {}
}

/// A call on its thread.
package final class CallHandle: @unchecked Sendable {
    private let number: UInt64
    private let prints: Mailbox<PluginServerEvent>
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let change = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    /// Under the lock.
    private var isDone = false

    fileprivate init(_ number: UInt64, _ prints: Mailbox<PluginServerEvent>) {
        self.number = number
        self.prints = prints
        pthread_mutex_init(lock, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(change, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(change)
        pthread_mutex_destroy(lock)
        change.deallocate()
        lock.deallocate()
    }

    /// Tells something of the call's output.
    package func print(_ bytes: [UInt8], isError: Bool) {
        guard !bytes.isEmpty else { return }
        prints.post(.output(number, bytes, isError: isError))
    }

    fileprivate func cancel() {
        pthread_mutex_lock(lock)
        isDone = true
        pthread_cond_broadcast(change)
        pthread_mutex_unlock(lock)
    }

    /// Nobody waits for the call's end any more.
    package var isCancelled: Bool {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return isDone
    }

    /// Waits so long, or until the call is cancelled, and says which: false for the latter.
    package func wait(nanoseconds: Int64) -> Bool {
        let end = Clocks.monotonic() + Duration(nanoseconds: max(0, nanoseconds))
        var time = timespec()
        time.tv_sec = Int(end.nanoseconds / 1_000_000_000)
        time.tv_nsec = Int(end.nanoseconds % 1_000_000_000)
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        while !isDone {
            if pthread_cond_timedwait(change, lock, &time) == ETIMEDOUT { return !isDone }
        }
        return false
    }
}
