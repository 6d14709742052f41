// Names of time zones: which are worth looking up. Whether such a zone exists only the host's zone
// files tell.

/// Why a time zone cannot be used.
package struct ZoneError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The zone's name as it was given.
    package let zone: String
    /// A sentence without the zone's name and without the full stop.
    package let message: String

    package init(zone: String, _ message: String) {
        self.zone = zone
        self.message = message
    }

    package var description: String { "time zone \"\(zone)\": \(message)" }
}

package enum ZoneName {
    /// The zone that needs no file.
    package static let utc = "UTC"

    /// Another spelling of "the default zone", as is the empty name. Elsewhere `Local` means the
    /// host's zone; here no host's own setting may decide when a job runs.
    package static let local = "Local"

    /// Whether the name stands for the cluster's default zone.
    package static func meansDefault(_ name: String) -> Bool { name.isEmpty || name == local }

    /// Throws unless the name can be that of a zone below `/usr/share/zoneinfo`: parts of letters,
    /// digits, `_`, `+` and `-`, joined by `/`. The trees `posix/` and `right/` (the latter counts
    /// leap seconds) and the files that describe a host or nothing are refused.
    package static func check(_ name: String) throws(ZoneError) {
        if let problem = problem(Array(name.utf8)[...]) { throw ZoneError(zone: name, problem) }
    }

    /// What is wrong with a name, given as UTF-8; nil if nothing is.
    static func problem(_ name: ArraySlice<UInt8>) -> String? {
        guard let first = name.first else { return "the name is empty" }
        if name.count > 100 { return "the name is too long" }
        if first == UInt8(ascii: "/") {
            return "a name is needed, such as Europe/Madrid, not a path"
        }
        var previous = first
        for byte in name {
            if !isAllowed(byte) {
                return "only letters, digits, \"_\", \"+\", \"-\" and \"/\" are allowed, "
                    + "so neither \"..\" nor a space"
            }
            if byte == UInt8(ascii: "/"), previous == byte { return "a part of the name is empty" }
            previous = byte
        }
        if previous == UInt8(ascii: "/") { return "a part of the name is empty" }
        switch first {
        case UInt8(ascii: "p"), UInt8(ascii: "r"), UInt8(ascii: "F"), UInt8(ascii: "l"):
            return unsuitable(name)
        default: return nil
        }
    }

    /// Files beside the zones that are none.
    private static func unsuitable(_ name: ArraySlice<UInt8>) -> String? {
        if name.starts(with: "posix/".utf8) || name.starts(with: "right/".utf8) {
            return "the trees posix/ and right/ are not for schedules"
        }
        for other in ["posixrules", "Factory", "localtime"] where name.elementsEqual(other.utf8) {
            return "this is not a place; name one such as Europe/Madrid"
        }
        return nil
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "+"),
            UInt8(ascii: "-"), UInt8(ascii: "/"):
            true
        default: false
        }
    }
}
