// Tunables of the core that a plan may set: legal in production, silly in size, so that rare paths
// become common without a hook in the code.

import Core

enum TunableNames {
    /// Names and values that generated plans draw from.
    static let choices: [(name: String, values: [String])] = [
        ("segment", ["4096", "20000", "200000"]),
        ("mark.delay", ["1ms", "50ms", "1s"]),
        ("rewrite", ["2000", "20000"]),
        ("compaction", ["5", "25", "80"]),
        ("read.chunk", ["4096", "100000"]),
        ("batch", ["5000", "100000"]),
        ("snapshot", ["2000", "20000", "200000"]),
        ("slice", ["200", "4000"]),
        ("output", ["16", "300", "5000"]),
        ("running", ["1", "2", "5"]),
        ("grace", ["100ms", "2s"]),
        ("proposals", ["4", "50"]),
        ("window", ["16", "64"]),
        ("history", ["30000", "1000000"]),
        (
            "notify",
            ["mail", "mail,webhook", "start,webhook", "cronitor", "mail,start,webhook,cronitor"]
        ),
        ("attempts", ["1", "2", "15"]),
    ]

    /// The same for several servers.
    static let clusterChoices: [(name: String, values: [String])] =
        choices.filter { $0.name != "segment" } + [
            ("segment", ["20000", "200000"]),
            ("cache", ["0", "1000", "20000"]),
            ("parts", ["1", "3"]),
            ("beat", ["50ms", "200ms", "500ms"]),
            ("message", ["1", "1000"]),
            ("flight", ["4", "16"]),
        ]

    /// Applies the settings that begin with `tune.`.
    static func apply(_ settings: [Plan.Setting], to config: inout Config) {
        for setting in settings {
            apply(setting, to: &config.tunables)
            if setting.name == "tune.notify", config.isServer {
                config.notifications = ReceiverModel.settings(setting.value)
            }
            if setting.name == "tune.history" { config.historyMaxBytes = UInt64(setting.value) }
        }
    }

    /// What the settings come to.
    static func tunables(_ settings: [Plan.Setting]) -> Tunables {
        var tunables = Tunables()
        for setting in settings { apply(setting, to: &tunables) }
        return tunables
    }

    private static func apply(_ setting: Plan.Setting, to tunables: inout Tunables) {
        let number = Int(setting.value)
        let duration = parseDuration(setting.value)
        switch setting.name.dropFirst("tune.".count) {
        case "segment": tunables.journal.segmentSize = number ?? tunables.journal.segmentSize
        case "mark.delay": tunables.journal.markDelay = duration ?? tunables.journal.markDelay
        case "rewrite": tunables.journal.rewriteSize = number ?? tunables.journal.rewriteSize
        case "compaction":
            tunables.journal.compactionPercent = number ?? tunables.journal.compactionPercent
        case "read.chunk": tunables.journal.readChunk = number ?? tunables.journal.readChunk
        case "batch": tunables.journal.batchLimit = number ?? tunables.journal.batchLimit
        case "snapshot": tunables.snapshotBytes = number ?? tunables.snapshotBytes
        case "slice": tunables.snapshotSlice = number ?? tunables.snapshotSlice
        case "output": tunables.outputLimit = number ?? tunables.outputLimit
        case "running": tunables.maxRunning = number ?? tunables.maxRunning
        case "grace": tunables.grace = duration ?? tunables.grace
        case "proposals": tunables.proposalLimit = number ?? tunables.proposalLimit
        case "window": tunables.dispatchWindow = number ?? tunables.dispatchWindow
        case "attempts":
            tunables.notificationAttempts = number ?? tunables.notificationAttempts
        case "beat":
            guard let duration else { return }
            tunables.raft.heartbeat = duration
            tunables.raft.electionMinimum = duration * 5
            tunables.raft.electionMaximum = duration * 10
        case "cache":
            // Who was away for a moment needs a snapshot, and what is decided while it gets that
            // has to be kept, or it needs another one for as long as there is work.
            guard let number else { return }
            tunables.raft.cacheBytes = number
            tunables.raft.followerCacheBytes = 4 * number + 200_000
        case "parts": tunables.transfer.windowParts = number.map(UInt64.init) ?? 1
        case "message": tunables.raft.messageBytes = number ?? tunables.raft.messageBytes
        case "flight": tunables.raft.inFlightMessages = number ?? tunables.raft.inFlightMessages
        case "backlog": tunables.backlogLimit = number ?? tunables.backlogLimit
        default: break
        }
    }
}
