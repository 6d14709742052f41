// What an agent reaches beside other nodes: servers of HTTP, servers that executors converse with,
// and plugins. All of it lives and pauses with the agent's process.

import Core

enum OutsideStep: Sendable {
    case web(Web.Step)
    case talk(Talks.Step)
    case plugin(PluginStep)
}

/// What is to happen later, what the agent hears, and what is not as it must be.
struct OutsideOutput {
    var later: [(time: TrueTime, step: OutsideStep)] = []
    var news: [(execution: ExecutionID, event: CallEvent)] = []
    private(set) var complaints: [(id: InvariantID, words: String)] = []
    private(set) var marks: UInt64 = 0

    mutating func complain(_ id: InvariantID, _ words: String) { complaints.append((id, words)) }
    mutating func mark(_ mark: PeerMark) { marks |= 1 << UInt64(mark.rawValue) }

    mutating func clear() {
        later.removeAll(keepingCapacity: true)
        news.removeAll(keepingCapacity: true)
        complaints.removeAll()
        marks = 0
    }
}

/// What peers and plugins have done to a node: each must come up in a batch of runs.
enum PeerMark: UInt8, CaseIterable, Sendable {
    case peerKept
    case peerMuted
    case peerCutOff
    case peerSpokeGarbage
    case peerFlooded
    case peerWasLate
    case peerRepeated
    case peerDenied
    case peerLostAnswer
    case peerDidNotStore
    case peerTookLess
    case peerWantedTLS
    case peerPinged
    case nextServerAsked
    case agentDiedTalking
    case pluginReady
    case pluginRefused
    case pluginSilent
    case pluginQuit
    case pluginBabbled
    case pluginUnreachable
    case pluginMute
    case pluginRaved
    case pluginDied
    case pluginFroze
    case pluginDiedRunning
    case pluginRestarted
    case pluginAnswered
    case pluginUpdated
    case pluginFlooded
    case pluginAnsweredTwice
    case pluginRepeatedBytes
    case pluginAnsweredGarbage
    case pluginRefusedCall
    case pluginHung
    case pluginCallCancelled
    case agentDiedWithPlugin
}

struct Outside: Sendable {
    var web: Web
    var talks: Talks
    var plugins: PluginModel

    init(node: Int, draws: Draws, latency: Duration, plugins manner: PluginModel.Manner?) {
        web = Web(node: node, draws: draws, latency: latency)
        talks = Talks(node: node, draws: draws, latency: latency)
        plugins = PluginModel(node: node, draws: draws, manner)
    }

    /// Executions whose calls have not ended.
    var executions: [ExecutionID] { web.executions + talks.executions + plugins.executions }
    /// Calls that wait for others to end. They have not started, and hold places of the agent.
    var waitingCount: Int { web.waitingCount + talks.waitingCount + plugins.waitingCount }

    mutating func perform(
        _ effect: Effect, _ moment: Moment, log: inout RunLog, into out: inout OutsideOutput
    ) {
        switch effect {
        case .call(let call): web.begin(call, moment, log: &log, into: &out)
        case .converse(let call): talks.begin(call, moment, log: &log, into: &out)
        case .execute(let call): plugins.begin(call, moment, log: &log, into: &out)
        case .hangUp(let id):
            web.hangUp(id, moment, log: &log, into: &out)
            talks.hangUp(id, moment, log: &log, into: &out)
            plugins.hangUp(id, moment, log: &log, into: &out)
        case .renewFences(let ago):
            web.renewFences(ago: ago, now: moment.now)
            talks.renewFences(ago: ago, now: moment.now)
            plugins.renewFences(ago: ago, now: moment.now)
        default: preconditionFailure("\(effect) is not for others")
        }
    }

    mutating func step(
        _ step: OutsideStep, _ moment: Moment, log: inout RunLog, into out: inout OutsideOutput
    ) {
        switch step {
        case .web(let step): web.step(step, moment, log: &log, into: &out)
        case .talk(let step): talks.step(step, moment, log: &log, into: &out)
        case .plugin(let step): plugins.step(step, moment, log: &log, into: &out)
        }
    }

    /// When something of it wants to be asked next, where that has changed.
    mutating func newDeadlines() -> [(at: Instant, step: OutsideStep)] {
        var deadlines: [(at: Instant, step: OutsideStep)] = []
        if let at = web.newDeadline() { deadlines.append((at, .web(.deadline(at)))) }
        if let at = talks.newDeadline() { deadlines.append((at, .talk(.deadline(at)))) }
        if let at = plugins.newDeadline() { deadlines.append((at, .plugin(.deadline(at)))) }
        return deadlines
    }

    /// The agent's process is gone, and all its connections and plugins with it.
    mutating func agentDied(
        at time: TrueTime, log: inout RunLog, into out: inout OutsideOutput
    ) {
        web.agentDied(at: time, log: &log)
        talks.agentDied(at: time, log: &log, into: &out)
        plugins.agentDied(at: time, log: &log, into: &out)
    }
}
