// A folder of one test, and the processes that belong to it.

import Glibc
import Synchronization

/// A temporary folder. When it goes, every process that was started on its behalf, commands and
/// supervisors included, is ended: they all carry its path in their environment.
final class Scratch {
    let folder: String
    private var counter = 0

    init(_ name: String) {
        var template = Array("/tmp/dkron-\(name)-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { fatalError("mkdtemp: \(errno)") }
        folder = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    /// Set for every process; jobs inherit it.
    var mark: [String: String] { ["END_TO_END": folder] }

    func path(_ name: String) -> String { folder + "/" + name }

    func unique() -> Int {
        counter += 1
        return counter
    }

    /// Processes that carry the mark and satisfy the condition on their command line.
    func processes(where condition: (String) -> Bool = { _ in true }) -> [pid_t] {
        Self.numbersInProc().filter { number in
            let environment = readText("/proc/\(number)/environ").split(separator: "\0")
            guard environment.contains("END_TO_END=\(folder)"[...]) else { return false }
            guard let state = processState(number), state != "Z" else { return false }
            return condition(commandLine(number))
        }
    }

    static func numbersInProc() -> [pid_t] {
        guard let directory = opendir("/proc") else { return [] }
        defer { closedir(directory) }
        var numbers: [pid_t] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if let number = pid_t(name) { numbers.append(number) }
        }
        return numbers
    }

    deinit {
        for process in processes() { kill(process, SIGKILL) }
        _ = eventually(5) { processes().isEmpty }
        if getenv("END_TO_END_KEEP") == nil { removeTree(folder) }
    }
}

func commandLine(_ process: pid_t) -> String {
    String(readText("/proc/\(process)/cmdline").map { $0 == "\0" ? " " : $0 })
}

/// The fields of `/proc/PID/stat` after the name; none when there is no such process.
private func processFields(_ process: pid_t) -> [Substring] {
    let text = readText("/proc/\(process)/stat")
    guard let end = text.lastIndex(of: ")") else { return [] }
    return text[end...].dropFirst(2).split(separator: " ")
}

private func processState(_ process: pid_t) -> Substring? { processFields(process).first }

/// Children of a process that have ended and that it has not collected.
func zombies(of parent: pid_t) -> [pid_t] {
    Scratch.numbersInProc().filter {
        let fields = processFields($0)
        return fields.count > 1 && fields[0] == "Z" && fields[1] == "\(parent)"
    }
}

func removeTree(_ path: String) {
    if let directory = opendir(path) {
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name == "." || name == ".." { continue }
            let child = path + "/" + name
            if entry.pointee.d_type == UInt8(DT_DIR) { removeTree(child) } else { unlink(child) }
        }
        closedir(directory)
    }
    rmdir(path)
}

/// Ports that tests of this process were given; who has one may not listen on it yet.
private let portsGiven = Mutex<Set<Int>>([])

/// A port nobody listens on and no other test was given, outside the range from which the kernel
/// takes ports for outgoing connections: inside it, a client of another test could be sitting on
/// the port of a server that is just being restarted.
func freePort() -> Int {
    while true {
        let port = Int.random(in: 12_000..<32_000)
        guard portsGiven.withLock({ $0.insert(port).inserted }) else { continue }
        let descriptor = socket(AF_INET, tcp, 0)
        defer { close(descriptor) }
        var address = loopback(port)
        let code = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if code == 0 { return port }
    }
}

let tcp = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)

func loopback(_ port: Int) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return address
}
