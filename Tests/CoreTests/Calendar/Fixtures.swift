// What the calendar and cron tests read from the host: the tables beside them and its zone files.

import Core
import Glibc
import Testing

enum CalendarFixture {
    /// The lines of a file in `Tests/CoreTests/Tables`.
    static func tableLines(_ name: String, file: StaticString = #filePath) throws -> [String] {
        let folder = "\(file)".split(separator: "/").dropLast(2).joined(separator: "/")
        let bytes = try #require(
            readFile("/\(folder)/Tables/\(name)"), "the table \(name) is missing")
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// The columns of one line.
    static func columns(_ line: String) -> [String] {
        line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
    }

    /// The rules of a zone as this host has them.
    static func zone(_ name: String) throws -> ZoneRules {
        if name == "UTC" { return .utc }
        let bytes = try #require(
            readFile("/usr/share/zoneinfo/\(name)"),
            "zone \(name) is not in /usr/share/zoneinfo: install the package tzdata")
        return try ZoneRules(name: name, bytes: bytes)
    }

    /// The bytes of a whole file; nil if it cannot be read.
    static func readFile(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            guard count >= 0 else { return nil }
            if count == 0 { return bytes }
            bytes += buffer.prefix(count)
        }
    }

    /// Names of all zones of `tzdata`, from its table, in order; empty if it is missing.
    static func allZoneNames() -> [String] {
        guard let bytes = readFile("/usr/share/zoneinfo/tzdata.zi") else { return [] }
        var names: [String] = []
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let words = line.split(separator: " ")
            if line.hasPrefix("Z "), words.count > 1 { names.append(String(words[1])) }
            if line.hasPrefix("L "), words.count > 2 { names.append(String(words[2])) }
        }
        return names.filter { $0 != "Factory" }.sorted()
    }

    static func instant(_ text: String) -> WallTime {
        do {
            return try RFC3339.parse(text)
        } catch {
            Issue.record("\(text): \(error)")
            return .distantPast
        }
    }

    static let anyJob = JobName("job")

    /// Zones of one test, each read once.
    struct Zones {
        private var known: [String: ZoneRules] = [:]

        mutating func callAsFunction(_ name: String) throws -> ZoneRules {
            if let rules = known[name] { return rules }
            let rules = try CalendarFixture.zone(name)
            known[name] = rules
            return rules
        }
    }

    /// Instants and counts for tests, the same in every run (SplitMix64).
    struct Dice {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }

        mutating func roll(_ range: ClosedRange<Int64>) -> Int64 {
            range.lowerBound + Int64(next() % UInt64(range.upperBound - range.lowerBound + 1))
        }
    }
}
