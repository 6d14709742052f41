// What an interrupted benchmark leaves behind: no process and no folder.

import Glibc

/// The processes and folders that exist because of this run.
final class Cleanup: @unchecked Sendable {
    static let shared = Cleanup()

    // Both belong to `mutex`.
    private var processes: [pid_t] = []
    private var folders: [String] = []
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)

    private init() { pthread_mutex_init(mutex, nil) }

    func add(process: pid_t) { locked { processes.append(process) } }

    func remove(process: pid_t) { locked { processes.removeAll { $0 == process } } }

    func add(folder: String) { locked { folders.append(folder) } }

    func remove(folder: String) {
        removeTree(folder)
        locked { folders.removeAll { $0 == folder } }
    }

    /// Kills what runs, with its children, and removes the folders.
    func everything() {
        let (processes, folders) = locked { (self.processes, self.folders) }
        for process in processes {
            // Parents first: a server would start another supervisor.
            let others = children(of: process)
            kill(process, SIGKILL)
            waitpid(process, nil, 0)
            for child in others { kill(child, SIGKILL) }
        }
        for folder in folders { removeTree(folder) }
    }

    /// From now on a signal that asks for the end cleans up first. Call it once, before there is
    /// any other thread.
    func watchSignals() {
        signal(SIGPIPE, SIG_IGN)
        var ending = sigset_t()
        sigemptyset(&ending)
        for number in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&ending, number) }
        pthread_sigmask(SIG_BLOCK, &ending, nil)
        _ = Background {
            var ending = sigset_t()
            sigemptyset(&ending)
            for number in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&ending, number) }
            var number: Int32 = 0
            guard sigwait(&ending, &number) == 0 else { return }
            Cleanup.shared.everything()
            exit(128 + number)
        }
    }

    private func locked<Value>(_ body: () -> Value) -> Value {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body()
    }
}

/// A folder on the disk where the program lies: that of the system for temporary files is often
/// memory, whose syncs cost nothing. `BENCHMARK_DIRECTORY` names another place.
final class Scratch {
    let folder: String

    init(_ name: String) throws {
        let place = getenv("BENCHMARK_DIRECTORY").map { String(cString: $0) } ?? programFolder
        var template = Array("\(place)/benchmark-\(name)-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw Failure("can't make a folder in \(place): \(String(cString: strerror(errno)))")
        }
        folder = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        Cleanup.shared.add(folder: folder)
    }

    func path(_ name: String) -> String { folder + "/" + name }

    deinit { Cleanup.shared.remove(folder: folder) }
}

/// A thread that runs a closure.
final class Background {
    private final class Work {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    private var thread = pthread_t()

    init(_ body: @escaping @Sendable () -> Void) {
        let work = Unmanaged.passRetained(Work(body)).toOpaque()
        let code = pthread_create(
            &thread, nil,
            { context in
                guard let context else { return nil }
                Unmanaged<Work>.fromOpaque(context).takeRetainedValue().body()
                return nil
            }, work)
        guard code == 0 else { fatalError("can't start a thread: \(code)") }
    }

    func join() { pthread_join(thread, nil) }
}

/// Why a benchmark could not measure.
struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Where this program lies, and the server's beside it.
let programFolder: String = {
    guard let program = realpath("/proc/self/exe", nil) else { return "." }
    defer { free(program) }
    return String(cString: program).split(separator: "/").dropLast().map { "/" + $0 }.joined()
}()

func removeTree(_ path: String) {
    for name in names(in: path) {
        let entry = path + "/" + name
        if unlink(entry) != 0 { removeTree(entry) }
    }
    rmdir(path)
}

/// The names in a folder but `.` and `..`; none when it can't be read.
func names(in folder: String) -> [String] {
    guard let directory = opendir(folder) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != ".", name != ".." { names.append(name) }
    }
    return names
}
