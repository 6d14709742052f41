internal import CSystem
internal import Core
internal import Glibc

/// Starts plugins' programs beside the loop's thread: that lasts until the program runs, which on
/// a network's file system can be long.
final class PluginLauncher: Sendable {
    struct Order: Sendable {
        var life: PluginLife
        var path: String
        /// `NAME=value`
        var environment: [[UInt8]]
        var start: PluginStart
        /// Its soft limit; 0: this process's own.
        var openFiles: UInt64
    }

    struct Answer: Sendable {
        var life: PluginLife
        var outcome: Result<PluginProcess, LaunchRefusal>
    }

    /// One program that does not come stops no other.
    private static let mostThreads = 4
    private static let mostPending = 1_024

    private let pool: WorkerPool<Order, Answer>

    init() throws(SystemError) {
        pool = try WorkerPool(
            threads: Self.mostThreads, pending: Self.mostPending,
            carryOut: { order in
                do throws(LaunchRefusal) {
                    return Answer(life: order.life, outcome: .success(try Self.launch(order)))
                } catch {
                    return Answer(life: order.life, outcome: .failure(error))
                }
            },
            refuse: { order, _ in
                let refusal = LaunchRefusal(reason: "there is no thread to start it")
                return Answer(life: order.life, outcome: .failure(refusal))
            })
    }

    /// Readable when there are answers.
    var fileDescriptor: Int32 { pool.fileDescriptor }

    func receive() -> [Answer] { pool.receive() }

    func submit(_ order: Order) { pool.submit(order) }

    private static func launch(_ order: Order) throws(LaunchRefusal) -> PluginProcess {
        let path = CStringList([Array(order.path.utf8)])
        let environment = CStringList(order.environment)
        defer {
            path.free()
            environment.free()
        }
        var output: [Int32] = [-1, -1]
        var errors: [Int32] = [-1, -1]
        let input = open("/dev/null", O_RDONLY | O_CLOEXEC)
        let isPrepared = input >= 0 && dkron_pipe(&output) == 0 && dkron_pipe(&errors) == 0
        let problem = errno
        defer { for end in [input, output[1], errors[1]] where end >= 0 { close(end) } }
        func refuse(_ reason: String) -> LaunchRefusal {
            for end in [output[0], errors[0]] where end >= 0 { close(end) }
            return LaunchRefusal(reason: reason)
        }
        guard isPrepared else { throw refuse(loweredErrorText(problem)) }
        dkron_set_nonblocking(output[0])
        dkron_set_nonblocking(errors[0])
        var request = dkron_spawn_request()
        request.candidates = path.constant
        request.arguments = UnsafePointer(path.pointers)
        request.environment = UnsafePointer(environment.pointers)
        request.standard_input = input
        request.standard_output = output[1]
        request.standard_error = errors[1]
        request.connection = -1
        request.open_files = order.openFiles
        // The threads of the pool last as long as this process.
        request.die_with_parent = true
        var failure = dkron_spawn_failure()
        let child = dkron_spawn(&request, order.start.state, &failure)
        guard child > 0 else {
            throw refuse(
                ProcessLauncher.reason(failure, RunSpec.Command(arguments: [order.path])))
        }
        return PluginProcess(identifier: child, output: output[0], errors: errors[0])
    }
}

/// A plugin's program on its way to become a process.
final class PluginStart: @unchecked Sendable {
    fileprivate let state = UnsafeMutablePointer<dkron_spawn_state>.allocate(capacity: 1)

    init() { state.initialize(to: dkron_spawn_state()) }

    deinit { state.deallocate() }

    /// Its process, which may have ended already; 0 while there is none. For any thread.
    var processID: Int32 { dkron_spawned_process(state) }
}

/// A plugin's process, with the ends of its pipes.
struct PluginProcess: Sendable {
    var identifier: pid_t
    /// -1 once closed.
    var output: Int32
    var errors: Int32
}
