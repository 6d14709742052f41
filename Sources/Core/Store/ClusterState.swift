/// Settings that influence decisions or apply, replicated so that every server acts alike.
package struct ClusterSettings: Hashable, Sendable {
    /// IANA name of the zone of schedules without one.
    package var defaultTimezone = "UTC"
    /// Ticks decided at most this late always run.
    package var onTime: Duration = .seconds(10)
    package var catchUpWindow: Duration = .minutes(10)
    package var lostAfter: Duration = .minutes(5)
    package var lostAfterFenced: Duration = .hours(1)
    /// Groups kept per job.
    package var groupRetention: UInt32 = 100
    /// Rows of the ledger kept per job.
    package var ledgerRetention: UInt32 = 1_000
    /// Groups and rows older than this are removed; nil keeps them.
    package var ageRetention: Duration?

    package init() {}
}

/// An interval in which no tick runs. `to` is nil while it lasts.
package struct PauseInterval: Hashable, Sendable {
    package var from: WallTime
    package var to: WallTime?
}

/// The few facts of the cluster as a whole.
package struct ClusterState: Hashable, Sendable {
    /// Made at bootstrap; empty before it.
    package var clusterID = ""
    package var settings = ClusterSettings()
    /// The largest number handed out as a group or execution number.
    package var lastNumber: Int64 = 0
    /// The largest stamp applied.
    package var lastStamp = WallTime(nanoseconds: 0)
    /// Since when the default zone is what it is: ticks up to here were decided under the old one.
    package var defaultZoneSince = WallTime.distantPast
    /// Pauses, oldest first; at most the last may be open.
    package var pauses: [PauseInterval] = []
    /// While paused: whether submissions and runs by hand are accepted.
    package var editsAllowedWhilePaused = false
    /// What every server understands; see `FeatureLevel`.
    package var featureLevel = FeatureLevel.first
    /// Nodes that get no new executions, in order.
    package var drained: [NodeName] = []
    /// What is owed of executions from here on: what the leader has settings for.
    package var notifying: NotificationChannels = []

    package init() {}

    /// Ticks of a job up to here are decided.
    package func cursor(of state: JobState) -> WallTime { max(state.cursor, defaultZoneSince) }

    package var isPaused: Bool { pauses.last.map { $0.to == nil } ?? false }
    /// Whether ticks at this time fall into a pause: after its beginning, up to its end.
    package func isPause(at time: WallTime) -> Bool {
        pauses.contains { $0.from < time && time <= ($0.to ?? .distantFuture) }
    }
    package var refusesEdits: Bool { isPaused && !editsAllowedWhilePaused }
}

extension ClusterState: StoreRecord {
    func encode(into writer: inout ByteWriter) {
        // As servers of earlier levels wrote it, until all know more: their hashes must agree.
        let version: UInt8 =
            featureLevel < FeatureLevel.second ? 1 : featureLevel < FeatureLevel.fifth ? 2 : 3
        writer.u8(version)
        writer.string(clusterID)
        writer.clusterSettings(settings)
        writer.i64(lastNumber)
        writer.time(lastStamp)
        writer.time(defaultZoneSince)
        writer.array(pauses) { writer, pause in
            writer.time(pause.from)
            writer.optionalTime(pause.to)
        }
        writer.bool(editsAllowedWhilePaused)
        guard version > 1 else { return }
        writer.u32(featureLevel)
        writer.nodes(drained)
        if version > 2 { writer.u8(notifying.rawValue) }
    }

    init(from reader: inout ByteReader) throws(ByteError) {
        let version = try reader.u8()
        guard (1...3).contains(version) else {
            throw .malformed(
                offset: 0, what: "the cluster's state of version \(version), this is 3")
        }
        clusterID = try reader.string()
        settings = try reader.clusterSettings()
        lastNumber = try reader.i64()
        lastStamp = try reader.time()
        defaultZoneSince = try reader.time()
        pauses = try reader.array(elementSize: 9) { reader throws(ByteError) in
            PauseInterval(from: try reader.time(), to: try reader.optionalTime())
        }
        editsAllowedWhilePaused = try reader.bool()
        guard version > 1 else { return }
        featureLevel = try reader.u32()
        drained = try reader.nodes()
        if version > 2 { notifying = NotificationChannels(rawValue: try reader.u8()) }
    }
}

extension ByteWriter {
    mutating func clusterSettings(_ settings: ClusterSettings) {
        string(settings.defaultTimezone)
        i64(settings.onTime.nanoseconds)
        i64(settings.catchUpWindow.nanoseconds)
        i64(settings.lostAfter.nanoseconds)
        i64(settings.lostAfterFenced.nanoseconds)
        u32(settings.groupRetention)
        u32(settings.ledgerRetention)
        optional(settings.ageRetention) { $0.i64($1.nanoseconds) }
    }
}

extension ByteReader {
    mutating func clusterSettings() throws(ByteError) -> ClusterSettings {
        var settings = ClusterSettings()
        settings.defaultTimezone = try string()
        settings.onTime = Duration(nanoseconds: try i64())
        settings.catchUpWindow = Duration(nanoseconds: try i64())
        settings.lostAfter = Duration(nanoseconds: try i64())
        settings.lostAfterFenced = Duration(nanoseconds: try i64())
        settings.groupRetention = try u32()
        settings.ledgerRetention = try u32()
        settings.ageRetention = try optionalDuration()
        return settings
    }
}
