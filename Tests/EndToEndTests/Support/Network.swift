// A network of a test's own: hosts around a router, each in a network namespace of the kernel.
// Links are cut at the router, each direction by itself.

import Glibc

/// Whether this process may make such networks; in many containers root may not.
let canMakeNetworks: Bool = {
    let scratch = Scratch("network")
    return withExtendedLifetime(scratch) { (try? Network(hosts: 2, in: scratch)) != nil }
}()

/// A network namespace. It lives as long as the process that holds it, which ends with the scratch.
final class Namespace {
    struct Refused: Error {
        let reason: String
    }

    private let holder: ChildProcess

    init(in scratch: Scratch) throws {
        let holder = try ChildProcess(
            ["unshare", "-n", "sleep", "86400"], log: scratch.path("namespaces"),
            environment: scratch.mark)
        self.holder = holder
        guard eventually(5, { commandLine(holder.processID).hasPrefix("sleep") }) else {
            throw Refused(reason: readText(scratch.path("namespaces")))
        }
    }

    var processID: pid_t { holder.processID }

    /// A program that runs the one named behind it in here, under the same process id.
    var wrapper: [String] { ["nsenter", "-t", "\(processID)", "-n"] }

    /// Does something in here; sockets made meanwhile belong here for good.
    func enter<Result>(_ body: () -> Result) -> Result {
        let own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
        let there = open("/proc/\(processID)/ns/net", O_RDONLY | O_CLOEXEC)
        defer {
            close(own)
            close(there)
        }
        guard own >= 0, there >= 0, Self.setNamespace(there, 0) == 0 else {
            fatalError("a network namespace is gone: \(errno)")
        }
        let result = body()
        guard Self.setNamespace(own, 0) == 0 else { fatalError("no way back: \(errno)") }
        return result
    }

    /// `setns`, which Glibc's module hides.
    private static let setNamespace: @convention(c) (Int32, Int32) -> Int32 = {
        guard let symbol = dlsym(nil, "setns") else { fatalError("there is no setns") }
        return unsafeBitCast(symbol, to: (@convention(c) (Int32, Int32) -> Int32).self)
    }()
}

final class Network {
    let router: Namespace
    let hosts: [Namespace]
    private let scratch: Scratch
    private var cuts: Set<String> = []

    static func address(_ host: Int) -> String { "10.77.0.\(host + 1)" }
    private static let gateway = "10.77.0.254"

    init(hosts count: Int, in scratch: Scratch) throws {
        self.scratch = scratch
        router = try Namespace(in: scratch)
        hosts = try (0..<count).map { _ in try Namespace(in: scratch) }
        try ip(router, ["link set lo up"])
        for (number, host) in hosts.enumerated() {
            let (own, gateway, port) = (Self.address(number), Self.gateway, "port\(number)")
            try ip(
                host,
                [
                    "link set lo up",
                    "link add wire type veth peer name \(port) netns \(router.processID)",
                    "address add \(own)/32 dev wire", "link set wire up",
                    "route add \(gateway) dev wire", "route add default via \(gateway)",
                ])
            try ip(
                router,
                [
                    "address add \(gateway)/32 dev \(port)", "link set \(port) up",
                    "route add \(own) dev \(port)",
                ])
        }
        try perform(
            router, ["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])
        // Whatever is refused is refused here, not in the middle of a test.
        cut(from: 0, to: 1)
        heal()
        guard cuts.isEmpty else { throw Namespace.Refused(reason: "links can't be cut") }
    }

    /// Nothing that one host sends reaches the other any more; the way back stays.
    func cut(from one: Int, to other: Int) {
        let rule = "from \(Self.address(one)) to \(Self.address(other)) blackhole"
        guard cuts.insert(rule).inserted else { return }
        try? ip(router, ["rule add \(rule)"])
    }

    /// Everything arrives again.
    func heal() {
        guard !cuts.isEmpty else { return }
        if (try? ip(router, cuts.sorted().map { "rule del \($0)" })) != nil { cuts = [] }
    }

    private func ip(_ place: Namespace, _ commands: [String]) throws {
        let file = scratch.path("ip-\(scratch.unique())")
        writeText(commands.joined(separator: "\n") + "\n", to: file)
        try perform(place, ["ip", "-batch", file])
    }

    private func perform(_ place: Namespace, _ command: [String]) throws {
        let (ending, output) = try run(place.wrapper + command, in: scratch)
        guard ending == .exited(0) else { throw Namespace.Refused(reason: output) }
    }
}

extension Server {
    /// Puts a node on a host of a network; the test speaks with it from the router.
    func place(on network: Network, host number: Int) {
        host = Network.address(number)
        wrapper = network.hosts[number].wrapper
        door = network.router
    }
}
