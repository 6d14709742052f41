// Finding the supervisor that still lives, or starting one.

internal import CSystem
internal import Core
internal import Glibc

extension SupervisorClient {
    /// One attempt. The supervisor says `welcome` when it is ready; nothing waits for that here.
    func connect(now: Instant) throws(SupervisorError) {
        retry.at = nil
        let living = dkron_unix_connect(directory, SupervisorMain.socketName)
        if living >= 0 {
            var user: uid_t = 0
            var process: pid_t = 0
            let isKnown = dkron_peer(living, &user, &process) == 0
            guard isKnown, user == geteuid() || geteuid() == 0 else {
                close(living)
                throw SupervisorError(
                    description: "the supervisor of \(dataDirectory) runs as another user")
            }
            take(living, processID: process, now: now)
        } else {
            let (descriptor, process) = try spawn()
            children.append(process)
            take(descriptor, processID: process, now: now)
        }
    }

    private func take(_ descriptor: Int32, processID: pid_t, now: Instant) {
        connection = Connection(
            descriptor: descriptor, processID: processID, patienceEnds: now + Self.patience)
        var event = epoll_event()
        event.events = EPOLLIN.rawValue
        epoll_ctl(fileDescriptor, EPOLL_CTL_ADD, descriptor, &event)
        let hello = SupervisorRequest.hello(
            version: SupervisorWire.version, environment: environment)
        hand(SupervisorWire.frame(hello), of: nil)
        flush()
    }

    func welcome(_ version: UInt32, _ processID: Int32) {
        guard version == SupervisorWire.version else {
            lose(
                "the supervisor speaks version \(version), this agent \(SupervisorWire.version)",
                now: Clocks.monotonic())
            return
        }
        connection?.isWelcome = true
        connection?.processID = processID
        retry = Retry()
        log.append(
            LogRecord(
                .info, "supervisor: connected", [LogRecord.Field("process", "\(processID)")]))
        // Each supervisor anew.
        if isBound { hand(SupervisorWire.frame(.bind), of: nil) }
        for entry in waiting { hand(entry.frame, of: entry.id) }
        waiting = []
        flush()
    }

    // MARK: Starting one

    private func spawn() throws(SupervisorError) -> (descriptor: Int32, process: pid_t) {
        var pair: [Int32] = [-1, -1]
        guard dkron_socket_pair(&pair) == 0 else { throw failure("no socket pair", errno) }
        defer { close(pair[1]) }
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        guard null >= 0 else {
            let code = errno
            close(pair[0])
            throw failure("open /dev/null", code)
        }
        defer { close(null) }
        // The name for people who list processes; the file may be `/proc/self/exe`.
        let candidates = CStringList([Array(executable.utf8)])
        let arguments = CStringList(["dkron", "supervisor", dataDirectory].map { Array($0.utf8) })
        let environment = CStringList(environment)
        defer { for list in [candidates, arguments, environment] { list.free() } }
        var request = dkron_spawn_request()
        request.candidates = candidates.constant
        request.arguments = UnsafePointer(arguments.pointers)
        request.environment = UnsafePointer(environment.pointers)
        request.standard_input = null
        request.standard_output = null
        request.standard_error = null
        request.connection = pair[1]
        // It keeps what it was started with for those that it starts.
        request.open_files = openFiles
        var state = dkron_spawn_state()
        var refusal = dkron_spawn_failure()
        let process = dkron_spawn(&request, &state, &refusal)
        guard process > 0 else {
            close(pair[0])
            throw failure("start \(executable)", refusal.error)
        }
        return (pair[0], process)
    }

    private func failure(_ action: String, _ code: Int32) -> SupervisorError {
        SupervisorError(description: "the supervisor: \(action): \(loweredErrorText(code))")
    }

    /// A child of this process was collected: perhaps a supervisor.
    package func childEnded(_ process: Int32) { children.removeAll { $0 == process } }

    func collectChildren() {
        var ended = dkron_exit()
        children.removeAll { dkron_reap_one($0, &ended) != 0 }
    }

    private static let patience = Duration.seconds(10)
}
