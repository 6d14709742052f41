internal import CSystem
internal import Glibc

/// What the operating system says of, and allows, this process.
package enum HostProcess {
    /// `NAME=value` entries.
    package static var environment: [String] {
        var entries: [String] = []
        var next = environ
        while let entry = next.pointee {
            entries.append(String(cString: entry))
            next += 1
        }
        return entries
    }

    /// The machine's name, or nil if it has none.
    package static var hostName: String? {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0, buffer[0] != 0 else { return nil }
        return String(
            decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// How many descriptors the process may have open.
    package static var openFileLimit: Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            return 1_024
        }
        return Int(clamping: limit.rlim_cur)
    }

    /// Raises that to what the system allows this process, and returns what it was; 0: unknown.
    package static func raiseOpenFileLimit() -> UInt64 { dkron_raise_open_files() }

    /// A child that has ended, an adopted one too, and waits to be collected; nil when none does.
    /// The first process of a container or PID namespace becomes the parent of all orphans there;
    /// those that nobody collects stay in the process table for ever.
    package static var endedChild: Int32? {
        let process = dkron_ended_child()
        return process > 0 ? process : nil
    }

    /// Collects a child that has ended; false if there is no such child.
    package static func collect(_ process: Int32) -> Bool {
        var ended = dkron_exit()
        return dkron_reap_one(process, &ended) == 1
    }

    /// Gives back memory that only the past needed. Takes longer the more the heap holds, some
    /// milliseconds with 100,000 jobs.
    package static func trimMemory() { dkron_trim_memory() }

    /// Keeps the C allocator from reserving memory per thread: the storage threads allocate little.
    /// Call it before the first thread is made.
    package static func limitAllocatorArenas() { csystem_limit_allocator_arenas(2) }
}
