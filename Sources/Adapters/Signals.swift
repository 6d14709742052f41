internal import CSystem
internal import Glibc

/// The process's signals as something to wait for.
package final class Signals {
    package enum News: Hashable, Sendable {
        /// SIGTERM or SIGINT, for the first time.
        case stop
        /// The same again: the patience of whoever asks is over.
        case stopNow
        /// SIGHUP
        case reload
        /// SIGUSR2
        case detach
        /// SIGCHLD: one child at least.
        case childEnded
    }

    package let fileDescriptor: Int32
    private var stopsAsked = 0

    /// Blocks the signals in this thread and all it will make: call it before making any.
    package init() throws(SystemError) {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGCHLD] { sigaddset(&set, signal) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        // A client that goes away while it is sent something is no reason to die.
        signal(SIGPIPE, SIG_IGN)
        // Whoever started this process may have left it ignored, and then it is never sent.
        signal(SIGCHLD, SIG_DFL)
        fileDescriptor = signalfd(-1, &set, Int32(SFD_CLOEXEC | SFD_NONBLOCK))
        guard fileDescriptor >= 0 else { throw .last("make a signalfd") }
    }

    deinit { close(fileDescriptor) }

    /// The signals that came since the last call.
    package func receive() -> [News] {
        var news: [News] = []
        var info = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        while read(fileDescriptor, &info, size) == size {
            switch Int32(bitPattern: info.ssi_signo) {
            case SIGTERM, SIGINT:
                stopsAsked += 1
                news.append(stopsAsked == 1 ? .stop : .stopNow)
            case SIGHUP: news.append(.reload)
            case SIGUSR2: news.append(.detach)
            case SIGCHLD: news.append(.childEnded)
            default: break
            }
        }
        return news
    }
}
