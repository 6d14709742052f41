package enum ZoneNameKind {}

/// The zones that this node has read so far. Only the leader's matter: what it evaluates goes into
/// the log as instants.
package struct ZoneTable: Sendable {
    package enum Lookup: Sendable {
        case ready(ZoneRules)
        /// There is no such zone file, or it can't be read; why, in words.
        case missing(String)
        /// Not asked for yet: emit `Effect.loadZone`.
        case unknown
    }

    private enum Entry: Sendable {
        /// With what was known before, if it is read again.
        case loading(ZoneRules?)
        case ready(ZoneRules)
        case missing(String)
    }

    /// Names that turned out to be no zones are forgotten beyond this number: they come from
    /// outside.
    private static let missingLimit = 1_000

    private var entries = SortedMap<Identifier<ZoneNameKind>, Entry>()
    private var missingCount = 0
    /// How often a zone that was known has been read again: ticks found before may be others now.
    private(set) var rereadCount = 0

    package init() {}

    package func lookup(_ name: String) -> Lookup {
        if name == ZoneName.utc { return .ready(.utc) }
        do throws(ZoneError) {
            try ZoneName.check(name)
        } catch {
            return .missing(error.description)
        }
        switch entries[Identifier(name)] {
        case .ready(let rules), .loading(let rules?): return .ready(rules)
        case .missing(let reason): return .missing(reason)
        case .loading(nil), nil: return .unknown
        }
    }

    /// Whether the zone must be asked for: true once until it is loaded.
    mutating func beginLoading(_ name: String) -> Bool {
        let key = Identifier<ZoneNameKind>(name)
        switch entries[key] {
        case .loading: return false
        case .ready(let rules): entries[key] = .loading(rules)
        case .missing, nil: entries[key] = .loading(nil)
        }
        return true
    }

    /// Takes the bytes of a zone file, or nil when there is none.
    mutating func loaded(_ name: String, _ bytes: [UInt8]?) {
        let key = Identifier<ZoneNameKind>(name)
        if case .loading(.some) = entries[key] { rereadCount += 1 }
        if missingCount >= Self.missingLimit { forgetMissing() }
        guard let bytes else {
            missingCount += 1
            entries[key] = .missing("this host has no zone named \(name)")
            return
        }
        do throws(ZoneError) {
            entries[key] = .ready(try ZoneRules(name: name, bytes: bytes))
        } catch {
            missingCount += 1
            entries[key] = .missing(error.description)
        }
    }

    /// The zones in use, to be read again.
    package var names: [String] { entries.map { $0.key.text } }

    private mutating func forgetMissing() {
        for (key, entry) in entries {
            if case .missing = entry { entries.remove(key) }
        }
        missingCount = 0
    }
}
