import Adapters
import Core
import Glibc

/// A member on real sockets of the loopback interface, turned by hand on the test's thread.
final class GossipBench {
    private(set) var machine: Membership
    private(set) var events: [MembershipEvent] = []
    private(set) var logged: [String] = []
    let address: GossipAddress
    let transport: GossipTransport
    private let loop: EventLoop
    private var ready: [EventLoop.Event] = []
    private var inputs: [Input] = []
    private let keys: KeyStore
    private var actions: [Membership.Action] = []

    /// - Parameter host: an address of the loopback interface; the port is one that is free.
    init(
        _ name: String, host: String = "127.0.0.1", tags: [MemberTag] = [], key: [UInt8]? = nil
    ) throws {
        loop = try EventLoop()
        keys = KeyStore(try key.map { try GossipKeyRing([$0]) })
        let seal = try keys.ring.map { try GossipSeal($0) }
        let profile = MembershipProfile.local
        transport = GossipTransport(
            loop: loop, log: LogWriter(level: .error), seal: seal,
            streamTimeout: profile.streamTimeout)
        let bound = try transport.listen(on: Endpoint(host: host, port: 0))
        address = bound.gossip!
        var config = MembershipConfig(
            name: NodeName(name), address: address, tags: tags, profile: profile)
        if seal != nil { config.packetBytes -= GossipSeal.overhead }
        machine = try Membership(config, seed: Entropy.number(), at: Clocks.monotonic())
    }

    func with(_ body: (inout Membership, Instant, inout [Membership.Action]) throws -> Void)
        rethrows
    {
        try body(&machine, Clocks.monotonic(), &actions)
        perform()
    }

    /// One round of what a driver does.
    func turn(milliseconds: Int32 = 2) {
        loop.wait(milliseconds: milliseconds, into: &ready)
        let now = Clocks.monotonic()
        for event in ready { transport.handle(event, at: now, into: &inputs) }
        transport.expire(at: now)
        if let deadline = machine.nextDeadline, deadline <= now {
            machine.deadline(at: now, into: &actions)
        }
        perform()
    }

    private func perform() {
        while !inputs.isEmpty || !actions.isEmpty {
            let now = Clocks.monotonic()
            let (batch, wanted) = (inputs, actions)
            (inputs, actions) = ([], [])
            for input in batch { tell(input, at: now) }
            for action in wanted { perform(action, at: now) }
        }
    }

    private func tell(_ input: Input, at now: Instant) {
        switch input {
        case .packet(let source, let bytes):
            machine.packet(from: source, bytes[...], at: now, into: &actions)
        case .exchangeRequest(let number, let source, let bytes):
            machine.request(number, from: source, bytes[...], at: now, into: &actions)
        case .exchange(let exchange, .answered(let bytes)):
            machine.exchangeAnswered(exchange, bytes[...], at: now, into: &actions)
        case .exchange(let exchange, .failed(let reason)):
            machine.exchangeFailed(exchange, reason, at: now, into: &actions)
        default: break
        }
    }

    private func perform(_ action: Membership.Action, at now: Instant) {
        switch action {
        case .send(let address, let bytes): transport.send(bytes, to: address, at: now)
        case .open(let exchange, let address, let bytes):
            transport.open(exchange, to: address, bytes, into: &inputs)
        case .close(let exchange): transport.close(exchange)
        case .answer(let request, let bytes):
            transport.answer(request, bytes, into: &inputs)
        case .drop(let request): transport.answer(request, nil, into: &inputs)
        case .keys(let request):
            machine.keysAnswered(request, keys.perform(request), into: &actions)
            if let ring = keys.ring { transport.seal?.ring = ring }
        case .event(let event): events.append(event)
        case .log(let record): logged.append(record.message)
        }
    }

    func status(_ name: String) -> GossipMember.Status? {
        machine.member(NodeName(name))?.status
    }

    /// Turns all of them until the condition holds; false after `seconds` without.
    static func turn(
        _ benches: [GossipBench], seconds: Int64 = 20, until condition: () throws -> Bool
    ) rethrows -> Bool {
        let start = Clocks.monotonic()
        var nextLook = start
        while Clocks.monotonic() - start < .seconds(seconds) {
            if Clocks.monotonic() >= nextLook {
                if try condition() { return true }
                nextLook = Clocks.monotonic() + .milliseconds(50)
            }
            for bench in benches { bench.turn() }
        }
        return try condition()
    }
}
