import Core
import Glibc

/// Another implementation of gRPC, in a process of its own, which ends when its input does.
final class PythonPeer {
    let processID: pid_t
    private let input: Int32
    private let output: Int32

    struct CouldNotStart: Error {}

    /// Whether there is a Python with the packages that this takes.
    static let isThere: Bool = {
        guard let peer = try? PythonPeer("import grpc, grpc_reflection; print('here')") else {
            return false
        }
        let line = peer.line()
        return peer.end() == 0 && line == "here"
    }()

    init(_ program: String, _ arguments: [String] = []) throws {
        var toChild: [Int32] = [0, 0]
        var fromChild: [Int32] = [0, 0]
        // Pairs of sockets, because pipes can't be kept from other children at once.
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &toChild) == 0,
            socketpair(AF_UNIX, kind, 0, &fromChild) == 0
        else { throw CouldNotStart() }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, toChild[0], 0)
        posix_spawn_file_actions_adddup2(&actions, fromChild[1], 1)
        var argv = (["python3", "-c", program] + arguments).map { strdup($0) } + [nil]
        defer { for pointer in argv { free(pointer) } }
        var identifier: pid_t = 0
        let code = posix_spawnp(&identifier, "python3", &actions, nil, &argv, environ)
        close(toChild[0])
        close(fromChild[1])
        (input, output) = (toChild[1], fromChild[0])
        processID = identifier
        guard code == 0 else {
            close(input)
            close(output)
            throw CouldNotStart()
        }
    }

    /// The next line that it prints, for which it has 20 seconds.
    func line() -> String {
        var bytes: [UInt8] = []
        var byte: UInt8 = 0
        while wait(output, POLLIN, milliseconds: 20_000), read(output, &byte, 1) == 1,
            byte != UInt8(ascii: "\n")
        {
            bytes.append(byte)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Whether it has printed something, or has ended.
    var hasOutput: Bool { wait(output, POLLIN, milliseconds: 0) }

    /// Lets it end, and gives its status; -1 if it had to be killed.
    func end() -> Int32 {
        close(input)
        defer { close(output) }
        var status: Int32 = 0
        for _ in 0..<500 {
            if waitpid(processID, &status, WNOHANG) == processID {
                return status & 0x7f == 0 ? status >> 8 & 0xff : -1
            }
            usleep(10_000)
        }
        kill(processID, SIGKILL)
        waitpid(processID, &status, 0)
        return -1
    }
}

func wait(_ descriptor: Int32, _ events: Int32, milliseconds: Int32) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
    return poll(&entry, 1, milliseconds) > 0
}

/// A socket under an HTTP/2 connection, served by whoever calls `turn`.
struct BlockingLink: ~Copyable {
    let descriptor: Int32

    init(adopting descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    init(port: UInt16) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw PythonPeer.CouldNotStart() }
    }

    static var now: Instant {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Instant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    /// Sends what waits, and takes what comes within some milliseconds.
    func turn(_ http: inout HTTP2Connection, milliseconds: Int32) {
        while http.hasOutgoing {
            var bytes = http.outgoing
            let count = bytes.withUnsafeBytes {
                send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
            }
            bytes = []
            if count > 0 {
                http.didSend(count, at: Self.now)
            } else if errno == EAGAIN {
                break
            } else {
                return http.abort("sending failed")
            }
        }
        if http.wantsShutdown { shutdown(descriptor, Int32(SHUT_WR)) }
        let events = (http.wantsRead ? POLLIN : 0) | (http.hasOutgoing ? POLLOUT : 0)
        guard wait(descriptor, events, milliseconds: milliseconds), http.wantsRead else { return }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
        if count > 0 {
            http.receive(buffer.span.extracting(first: count), at: Self.now)
        } else if count == 0 {
            http.receiveEnd(at: Self.now)
        } else if errno != EAGAIN {
            http.abort("receiving failed")
        }
    }
}
