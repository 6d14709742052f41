internal import CSystem
internal import Glibc
internal import Synchronization

/// Carries answers of worker threads to the loop's thread, and wakes it.
final class Mailbox<Answer: Sendable>: Sendable {
    /// An eventfd, readable from the first answer after a `drain` on.
    let fileDescriptor: Int32
    private let answers = Mutex<[Answer]>([])

    init() throws(SystemError) {
        fileDescriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard fileDescriptor >= 0 else { throw .last("make an eventfd") }
    }

    deinit { close(fileDescriptor) }

    func post(_ answer: Answer) { post([answer]) }

    /// Several that arrive together; not none.
    func post(_ arriving: [Answer]) {
        let wasEmpty = answers.withLock { answers in
            answers.append(contentsOf: arriving)
            return answers.count == arriving.count
        }
        if wasEmpty { eventfd_write(fileDescriptor, 1) }
    }

    func drain() -> [Answer] {
        // The counter is cleared before the list is taken: an answer that comes in between wakes
        // the loop once for nothing, in the other order it could wait for ever.
        var count: eventfd_t = 0
        eventfd_read(fileDescriptor, &count)
        return answers.withLock { answers in
            let taken = answers
            answers = []
            return taken
        }
    }
}
