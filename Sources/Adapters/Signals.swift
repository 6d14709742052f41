internal import CSystem
package import Core
internal import Glibc

/// The process's signals as something to wait for.
package final class Signals {
    package let fileDescriptor: Int32
    private var stopsAsked = 0

    /// Blocks the signals in this thread and all it will make: call it before making any.
    package init() throws(SystemError) {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGUSR2] { sigaddset(&set, signal) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        // A client that goes away while it is sent something is no reason to die.
        signal(SIGPIPE, SIG_IGN)
        fileDescriptor = signalfd(-1, &set, Int32(SFD_CLOEXEC | SFD_NONBLOCK))
        guard fileDescriptor >= 0 else { throw .last("make a signalfd") }
    }

    deinit { close(fileDescriptor) }

    /// What the signals that came since the last call mean.
    package func receive() -> [Control] {
        var controls: [Control] = []
        var info = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        while read(fileDescriptor, &info, size) == size {
            switch Int32(bitPattern: info.ssi_signo) {
            case SIGTERM, SIGINT:
                stopsAsked += 1
                controls.append(stopsAsked == 1 ? .stop : .stopNow)
            case SIGHUP: controls.append(.reload)
            case SIGUSR2: controls.append(.detach)
            default: break
            }
        }
        return controls
    }
}
