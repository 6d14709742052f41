internal import Core
internal import Glibc

/// A worker thread that performs the operations on one directory in the order they were asked for.
final class StorageLane: @unchecked Sendable {
    // `pending` and `closing` belong to `mutex`; `files` belongs to the worker alone.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let work = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var pending: [(StorageTicket, StorageOperation)] = []
    private var closing = false
    private let files: StorageFiles
    private let mailbox: Mailbox<(StorageTicket, StorageResult)>
    private var thread = pthread_t()

    init(
        _ directory: StorageDirectory, path: String,
        mailbox: Mailbox<(StorageTicket, StorageResult)>
    ) {
        files = StorageFiles(directory, path: path)
        self.mailbox = mailbox
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(work, nil)
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, 256 * 1024)
        let context = Unmanaged.passRetained(self).toOpaque()
        let result = pthread_create(
            &thread, &attributes,
            { context in
                guard let context else { return nil }
                Unmanaged<StorageLane>.fromOpaque(context).takeRetainedValue().run()
                return nil
            }, context)
        // Without a thread nothing that was promised can be kept.
        guard result == 0 else { fatalError("can't start a storage thread: \(errorText(result))") }
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(work)
        mutex.deallocate()
        work.deallocate()
    }

    /// Adds an operation; the thread may begin with it only after `wake`.
    func enqueue(_ ticket: StorageTicket, _ operation: StorageOperation) {
        pthread_mutex_lock(mutex)
        pending.append((ticket, operation))
        pthread_mutex_unlock(mutex)
    }

    func wake() { pthread_cond_signal(work) }

    /// Performs what is left, then ends the thread.
    func close() {
        pthread_mutex_lock(mutex)
        closing = true
        pthread_mutex_unlock(mutex)
        pthread_cond_signal(work)
        pthread_join(thread, nil)
    }

    private func run() {
        while true {
            pthread_mutex_lock(mutex)
            while pending.isEmpty && !closing { pthread_cond_wait(work, mutex) }
            let batch = pending
            pending = []
            pthread_mutex_unlock(mutex)
            if batch.isEmpty { return }
            var answers: [(StorageTicket, StorageResult)] = []
            for (position, (ticket, operation)) in batch.enumerated() {
                answers.append((ticket, files.perform(operation)))
                // Nobody can go on with the answer to an append alone: it waits for the sync's.
                if case .append = operation, position + 1 < batch.count,
                    case .sync = batch[position + 1].1
                {
                    continue
                }
                mailbox.post(answers)
                answers.removeAll(keepingCapacity: true)
            }
        }
    }
}
