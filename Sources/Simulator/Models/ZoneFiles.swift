// The zone files that a simulated machine has: written here, byte by byte, with rules that have
// broken schedulers. The files of the machine that runs the simulator never take part.

/// A zone as the model describes it.
struct ModelZone: Sendable {
    var name: String
    /// Explicit changes before the footer's rule takes over: seconds since 1970, offset, daylight.
    var changes: [(at: Int64, offset: Int32, isDaylight: Bool)] = []
    var firstOffset: Int32
    var footer: String
    /// Years for which the footer's rule is also written out as explicit changes.
    var written: ClosedRange<Int64>?
}

/// The folder of zone files on the simulated machines.
struct ZoneFolder: Sendable {
    /// Zones whose files are gone for a while.
    var absent: Set<String> = []

    /// The bytes of the zone's file; nil if there is none.
    func load(_ name: String) -> [UInt8]? {
        absent.contains(name) ? nil : ZoneFiles.bytes[name]
    }
}

enum ZoneFiles {
    static let zones: [ModelZone] = [
        ModelZone(name: "UTC", firstOffset: 0, footer: "UTC0"),
        ModelZone(
            name: "Europe/Berlin", firstOffset: 3_600, footer: "CET-1CEST,M3.5.0,M10.5.0/3"),
        ModelZone(
            name: "America/New_York", firstOffset: -18_000, footer: "EST5EDT,M3.2.0,M11.1.0",
            written: 2007...2037),
        // Half an hour of daylight saving.
        ModelZone(
            name: "Australia/Lord_Howe", firstOffset: 37_800,
            footer: "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"),
        // Midnight does not exist, or exists twice.
        ModelZone(
            name: "America/Havana", firstOffset: -18_000, footer: "CST5CDT,M3.2.0/0,M11.1.0/1",
            written: 2013...2030),
        ModelZone(
            name: "Africa/Cairo", firstOffset: 7_200, footer: "EET-2EEST,M4.5.5/0,M10.5.4/24"),
        // Times of day beyond a day.
        ModelZone(
            name: "Asia/Gaza", firstOffset: 7_200, footer: "EET-2EEST,M3.4.4/50,M10.4.4/50"),
        // Standard time in summer, a negative saving in winter.
        ModelZone(
            name: "Europe/Dublin", firstOffset: 3_600, footer: "IST-1GMT0,M10.5.0,M3.5.0/1",
            written: 2000...2037),
        // A change before midnight of the day named.
        ModelZone(
            name: "America/Nuuk", firstOffset: -7_200,
            footer: "<-02>2<-01>,M3.5.0/-1,M10.5.0/0"),
        ModelZone(
            name: "America/Santiago", firstOffset: -14_400,
            footer: "<-04>4<-03>,M9.1.6/24,M4.1.6/24"),
        ModelZone(name: "Asia/Kathmandu", firstOffset: 20_700, footer: "<+0545>-5:45"),
        // The whole of 30 December 2011 was skipped.
        ModelZone(
            name: "Pacific/Apia",
            changes: [
                (1_316_872_800, -36_000, true), (1_325_239_200, 50_400, true),
                (1_333_202_400, 46_800, false),
            ], firstOffset: -39_600, footer: "<+13>-13"),
        // Moved half an hour west, and back.
        ModelZone(
            name: "Asia/Pyongyang",
            changes: [(1_439_564_400, 30_600, false), (1_525_446_000, 32_400, false)],
            firstOffset: 32_400, footer: "KST-9"),
    ]

    static let bytes: [String: [UInt8]] = {
        var files: [String: [UInt8]] = [:]
        for zone in zones { files[zone.name] = encode(zone) }
        return files
    }()

    /// What the oracle makes of the same bytes.
    static let oracles: [String: OracleZone] = {
        var read: [String: OracleZone] = [:]
        for (name, bytes) in bytes { read[name] = OracleZone(bytes) }
        return read
    }()

    /// A file of version 2 (RFC 8536): an empty first block, 64-bit times, the footer.
    private static func encode(_ zone: ModelZone) -> [UInt8] {
        var changes = zone.changes
        if let years = zone.written, let rule = OracleZoneRule(zone.footer),
            let daylight = rule.daylight
        {
            for year in years {
                changes.append(
                    (
                        daylight.start.seconds(in: year) - rule.standardOffset,
                        Int32(daylight.offset), true
                    ))
                changes.append(
                    (
                        daylight.end.seconds(in: year) - daylight.offset,
                        Int32(rule.standardOffset), false
                    ))
            }
            changes.sort { $0.at < $1.at }
        }
        var types: [(offset: Int32, isDaylight: Bool)] = [(zone.firstOffset, false)]
        var indices: [UInt8] = []
        for change in changes {
            let known = types.firstIndex {
                $0.offset == change.offset && $0.isDaylight == change.isDaylight
            }
            if known == nil { types.append((change.offset, change.isDaylight)) }
            indices.append(UInt8(known ?? types.count - 1))
        }
        let name = Array("LMT\0".utf8)
        var file = header(times: 0, types: 1, characters: 1)
        file += [0, 0, 0, 0, 0, 0, 0]
        file += header(times: changes.count, types: types.count, characters: name.count)
        for change in changes { file += bigEndian(UInt64(bitPattern: change.at), 8) }
        file += indices
        for type in types {
            file += bigEndian(UInt64(UInt32(bitPattern: type.offset)), 4)
            file += [type.isDaylight ? 1 : 0, 0]
        }
        return file + name + [0x0a] + Array(zone.footer.utf8) + [0x0a]
    }

    private static func header(times: Int, types: Int, characters: Int) -> [UInt8] {
        var bytes = Array("TZif2".utf8) + [UInt8](repeating: 0, count: 15)
        for count in [0, 0, 0, times, types, characters] { bytes += bigEndian(UInt64(count), 4) }
        return bytes
    }

    private static func bigEndian(_ value: UInt64, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * (count - 1 - $0))) }
    }
}
