// The judge is judged: the naive cron against tables that were computed elsewhere.

import Core
import Glibc
import Testing

@testable import Simulator

@Suite("Oracle")
struct OracleTests {
    static let tables = folder(above: #filePath) + "/../Tests/CoreTests/Tables/"

    /// Every n-th row: the oracle is slow on purpose, above all without optimisation.
    #if DEBUG
        static let sampling = 23
    #else
        static let sampling = 1
    #endif

    @Test(
        "ticks of the tables",
        arguments: [
            ("cron-literal.tsv", OracleSchedule.DST.literal),
            ("cron-literal-peer-errs.tsv", .literal),
            ("cron-once.tsv", .once),
        ])
    func ticks(table: String, dst: OracleSchedule.DST) throws {
        let rows = try #require(text(of: Self.tables + table)).split(separator: "\n")
        var zones: [String: OracleZone] = [:]
        for (number, row) in rows.enumerated() where number % Self.sampling == 0 {
            let parts = row.split(separator: "\t", omittingEmptySubsequences: false)
            let schedule = try #require(OracleSchedule(String(parts[0])), "\(row)")
            let name = schedule.zoneName ?? String(parts[1])
            if zones[name] == nil {
                guard let bytes = bytes(of: "/usr/share/zoneinfo/\(name)") else { continue }
                zones[name] = OracleZone(bytes)
            }
            let zone = try #require(zones[name], "\(name)")
            let start = try #require(oracleParseTime(String(parts[2])))
            let expected = parts[3...].compactMap { oracleParseTime(String($0)) }
            guard let last = expected.last else { continue }
            let found = schedule.ticks(
                after: start, through: last, zone: zone, dst: dst, everyAnchor: 0)
            #expect(found == expected, "\(row): \(found.map(oracleTimeText))")
        }
    }

    @Test("hash fields")
    func hashes() throws {
        for row in try #require(text(of: Self.tables + "hash.tsv")).split(separator: "\n") {
            let parts = row.split(separator: "\t", omittingEmptySubsequences: false)
            guard parts.count >= 3, let field = UInt8(parts[1]) else { continue }
            let hash = oracleSipHash(Array(parts[0].utf8) + [0, field])
            #expect(hash == UInt64(parts[2], radix: 16), "\(row)")
        }
    }

    @Test("a phase is kept from its anchor")
    func every() throws {
        let schedule = try #require(OracleSchedule("@every 1m30s"))
        let anchor: Int64 = 1_000_000_000_000
        let found = schedule.ticks(
            after: anchor + 100_000_000_000, through: anchor + 400_000_000_000, zone: .utc,
            dst: .once, everyAnchor: anchor)
        #expect(found == [180, 270, 360].map { anchor + $0 * 1_000_000_000 })
    }

    @Test("zone files made here are read like those of the machine")
    func zoneFiles() throws {
        for name in ["Europe/Dublin", "America/Havana", "America/New_York", "Europe/Berlin"] {
            guard let bytes = bytes(of: "/usr/share/zoneinfo/\(name)") else { continue }
            let real = try #require(OracleZone(bytes))
            let made = try #require(ZoneFiles.oracles[name])
            for year in Int64(2024)...2036 {
                for day in stride(from: Int64(0), to: 365, by: 3) {
                    let first = OracleCivil.days(year: year, month: 1, day: 1)
                    let second = (first + day) * 86_400
                    #expect(made.offset(at: second) == real.offset(at: second), "\(name) \(second)")
                }
            }
        }
    }

    @Test("civil dates")
    func civil() {
        for day in stride(from: Int64(-150_000), to: 150_000, by: 97) {
            let civil = OracleCivil(seconds: day * 86_400)
            #expect(
                OracleCivil.days(year: civil.year, month: civil.month, day: civil.day) == day)
        }
        #expect(oracleTimeText(951_782_400_000_000_000) == "2000-02-29T00:00:00Z")
    }
}

/// The folder that a file is in.
func folder(above path: String) -> String {
    String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
}

func bytes(of path: String) -> [UInt8]? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = fread(&chunk, 1, chunk.count, file)
        guard count > 0 else { return bytes }
        bytes += chunk[..<count]
    }
}

func text(of path: String) -> String? {
    bytes(of: path).map { String(decoding: $0, as: UTF8.self) }
}
