// A node is a function of its inputs: fed again to a fresh one, they give the same effects.

import Core

struct ReplayChecker {
    private let isOn: Bool
    /// How a life began. It lies apart, so that what is kept of a node stays small.
    private indirect enum Beginning {
        case life(Config, seed: UInt64, Now)
    }

    private var beginning: Beginning?
    private var inputs: [(input: Input, isFollowed: Bool, now: Now)] = []
    private var digests: [UInt64] = []
    /// Longer lives are judged by their beginning.
    private static let limit = 20_000

    init(isOn: Bool) { self.isOn = isOn }

    mutating func begin(_ config: Config, seed: UInt64, now: Now) {
        guard isOn else { return }
        beginning = .life(config, seed: seed, now)
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
        guard isOn, case .life(let config, let seed, let now) = beginning else { return }
        beginning = nil
        var out = Outbox()
        var node = Node(config, seed: seed, at: now, into: &out)
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
