// A node is a function of its inputs: fed again to a fresh one, they give the same effects.

import Core

struct ReplayChecker {
    private let isOn: Bool
    private var start: (config: Config, seed: UInt64, now: Now)?
    private var inputs: [(input: Input, isFollowed: Bool, now: Now)] = []
    private var digests: [UInt64] = []
    /// Longer lives are judged by their beginning.
    private static let limit = 20_000

    init(isOn: Bool) { self.isOn = isOn }

    mutating func begin(_ config: Config, seed: UInt64, now: Now) {
        guard isOn else { return }
        start = (config, seed, now)
        inputs.removeAll(keepingCapacity: true)
        digests.removeAll(keepingCapacity: true)
    }

    mutating func record(_ input: Input, isFollowed: Bool, _ now: Now) {
        guard isOn, inputs.count < Self.limit else { return }
        inputs.append((input, isFollowed, now))
    }

    mutating func record(_ effects: [Effect]) {
        guard isOn, digests.count <= Self.limit else { return }
        digests.append(Self.digest(effects))
    }

    mutating func end(into verdict: inout Verdict) {
        guard isOn, let start else { return }
        self.start = nil
        var out = Outbox()
        var node = Node(start.config, seed: start.seed, at: start.now, into: &out)
        guard digests.first == Self.digest(out.effects) else {
            return verdict.fail(.T2, "a second node starts otherwise than the first")
        }
        for (index, (input, isFollowed, now)) in inputs.enumerated()
        where index + 1 < digests.count {
            out.clear()
            node.step(input, isFollowed: isFollowed, at: now, into: &out)
            guard digests[index + 1] == Self.digest(out.effects) else {
                return verdict.fail(
                    .T2, "replayed input \(index) (\(describe(input))) gives other effects")
            }
        }
    }

    private static func digest(_ effects: [Effect]) -> UInt64 {
        var trace = Trace()
        for effect in effects { trace.absorb(effect) }
        return trace.hash
    }
}
