// Zone files: the rules of real places, hard footers, and files that are not what they should be.

import Testing

@testable import Core

private typealias Data = CalendarFixture

@Suite struct ZoneTests {
    /// Local readings at instants that earlier readers of zone files got wrong.
    @Test(arguments: [
        ("Europe/Berlin", "2024-03-31T00:59:59Z", "2024-03-31T01:59:59+01:00"),
        ("Europe/Berlin", "2024-03-31T01:00:00Z", "2024-03-31T03:00:00+02:00"),
        ("Europe/Berlin", "2024-10-27T01:00:00Z", "2024-10-27T02:00:00+01:00"),
        ("Europe/Berlin", "2261-07-01T00:00:00Z", "2261-07-01T02:00:00+02:00"),
        ("Europe/Berlin", "1700-01-01T00:00:00Z", "1700-01-01T00:53:00+00:53"),
        ("Europe/Dublin", "2060-01-15T12:00:00Z", "2060-01-15T12:00:00Z"),
        ("Europe/Dublin", "2060-07-15T12:00:00Z", "2060-07-15T13:00:00+01:00"),
        ("Asia/Jerusalem", "2060-03-25T23:59:59Z", "2060-03-26T01:59:59+02:00"),
        ("Asia/Jerusalem", "2060-03-26T00:00:00Z", "2060-03-26T03:00:00+03:00"),
        ("America/Nuuk", "2040-03-25T00:59:59Z", "2040-03-24T22:59:59-02:00"),
        ("America/Nuuk", "2040-03-25T01:00:00Z", "2040-03-25T00:00:00-01:00"),
        ("Asia/Kathmandu", "2100-01-01T00:00:00Z", "2100-01-01T05:45:00+05:45"),
        ("Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29T23:59:59-10:00"),
        ("Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-31T00:00:00+14:00"),
        ("Australia/Lord_Howe", "2050-01-01T00:00:00Z", "2050-01-01T11:00:00+11:00"),
        ("Etc/GMT+12", "2024-01-01T00:00:00Z", "2023-12-31T12:00:00-12:00"),
        ("UTC", "2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
    ])
    func localReading(name: String, instant: String, local: String) throws {
        let time = Data.instant(instant)
        let rules = try Data.zone(name)
        #expect(RFC3339.print(time, offset: rules.offset(at: time.seconds)) == local)
    }

    @Test func localReadingsLeadBack() throws {
        let berlin = try Data.zone("Europe/Berlin")
        let gap = Data.instant("2024-03-31T02:30:00Z").seconds
        let gapEnd = Data.instant("2024-03-31T01:00:00Z").seconds
        #expect(berlin.instants(ofLocal: gap) == .skipped(firstAfter: gapEnd))
        let twice = Data.instant("2024-10-27T02:30:00Z").seconds
        #expect(
            berlin.instants(ofLocal: twice)
                == .repeated(first: twice - 7_200, last: twice - 3_600))
        #expect(berlin.instants(ofLocal: twice + 3_600) == .unique(twice))
        let apia = try Data.zone("Pacific/Apia")
        let lostDay = Data.instant("2011-12-30T12:00:00Z").seconds
        let change = Data.instant("2011-12-30T10:00:00Z").seconds
        #expect(apia.instants(ofLocal: lostDay) == .skipped(firstAfter: change))
        #expect(ZoneRules.utc.instants(ofLocal: 9_000_000_000) == .unique(9_000_000_000))
    }

    /// Every zone of the host reads, and no zone jumps back behind a gap it has just made, which
    /// the rule of `DSTPolicy.once` would resolve in its own way.
    @Test func everyZoneOfTheHost() throws {
        let names = Data.allZoneNames()
        try #require(names.count > 400, "tzdata.zi is missing: install the package tzdata")
        var digests: [UInt64] = []
        for name in names where name != "UTC" {
            let rules = try Data.zone(name)
            digests.append(rules.digest)
            for (before, after) in zip(rules.segments, rules.segments.dropFirst()) {
                #expect(before.start < after.start && before.offset != after.offset)
                guard before.start != .min else { continue }
                let gapEnd = before.start + before.offset
                if gapEnd > before.seen { #expect(after.start + after.offset >= gapEnd) }
            }
        }
        #expect(digests.allSatisfy { $0 != 0 })
    }

    @Test(arguments: [
        ("IST-1GMT0,M10.5.0,M3.5.0/1", 3_600, 0),
        ("IST-2IDT,M3.4.4/26,M10.5.0", 7_200, 10_800),
        ("EET-2EEST,M3.4.4/50,M10.4.4/50", 7_200, 10_800),
        ("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", -7_200, -3_600),
        ("EST5EDT4:30:15,J60/-167,365/167:59:59", -18_000, -16_215),
    ])
    func footer(text: String, standard: Int64, saving: Int64) throws {
        let rule = try PosixZone(Array(text.utf8))
        #expect(rule.standard == standard)
        #expect(rule.saving?.offset == saving)
    }

    @Test func footerMoments() throws {
        // Jerusalem: 26 hours after the fourth Thursday's midnight, which is Friday at two.
        let jerusalem = try PosixZone(Array("IST-2IDT,M3.4.4/26,M10.5.0".utf8))
        let start = try #require(jerusalem.saving?.start)
        #expect(start.local(inYear: 2_024) == Data.instant("2024-03-29T02:00:00Z").seconds)
        // J60 is 1 March in every year, 59 is 29 February in leap years.
        let days = try PosixZone(Array("AAA0BBB,J60/0,59/0".utf8))
        let saving = try #require(days.saving)
        for year in [2_023, 2_024] {
            let march = CivilDate(year: year, month: 3, day: 1).days
            #expect(saving.start.local(inYear: year) == Int64(march) * 86_400)
            let leapDay = march - (year == 2_024 ? 1 : 0)
            #expect(saving.end.local(inYear: year) == Int64(leapDay) * 86_400)
        }
    }

    /// Saving time that never ends: its end and its next start are the same instant.
    @Test func savingAllYearRound() throws {
        let rule = try PosixZone(Array("XXX3EDT4,0/0,J365/23".utf8))
        let rules = ZoneRules(
            name: "Test/All", digest: 0, initial: rule.standard,
            transitions: rule.transitions(after: 0))
        let changes = rules.segments.filter { (0...9_223_372_036).contains($0.start) }
        #expect(changes.map(\.offset) == [-14_400])
        #expect(rules.offset(at: Data.instant("2050-01-01T04:00:00Z").seconds) == -14_400)
    }

    @Test(arguments: [
        "", "A0", "AB0", "ABC", "ABC25", "ABC-24:60", "<ABC0", "ABC0DEF", "ABC0DEF,",
        "ABC0DEF,J0,1",
        "ABC0DEF,J366,1", "ABC0DEF,366,1", "ABC0DEF,M13.1.0,1", "ABC0DEF,M1.6.0,1",
        "ABC0DEF,M1.0.0,1", "ABC0DEF,M1.1.7,1", "ABC0DEF,1/168,2", "ABC0DEF,1,2,3", "ABC0DEF,1",
        "ABC999999999999999999999", "ABC0x",
    ])
    func malformedFooter(text: String) {
        #expect(throws: ZoneFileError.self) { try PosixZone(Array(text.utf8)) }
    }

    /// A file cut anywhere is refused; one with any byte changed never stops the reader.
    @Test func damagedFiles() throws {
        let whole = try #require(
            Data.readFile("/usr/share/zoneinfo/Europe/Lisbon"), "install the package tzdata")
        for length in 0..<whole.count {
            #expect(throws: ZoneError.self) {
                try ZoneRules(name: "Europe/Lisbon", bytes: Array(whole[..<length]))
            }
        }
        for index in stride(from: 0, to: whole.count, by: 19) {
            for flip: UInt8 in [0x01, 0x80, 0xFF] {
                var damaged = whole
                damaged[index] ^= flip
                if let rules = try? ZoneRules(name: "Europe/Lisbon", bytes: damaged) {
                    #expect(abs(rules.offset(at: 0)) < 26 * 3_600)
                }
            }
        }
    }

    @Test func filesThatMislead() throws {
        let message = { (bytes: [UInt8]) -> String in
            do {
                _ = try ZoneRules(name: "Some/Zone", bytes: bytes)
                return "accepted"
            } catch {
                return "\(error)"
            }
        }
        #expect(message([]).contains("cut short"))
        #expect(message(Array("not a zone".utf8)).contains("does not begin with TZif"))
        let header = Array("TZif9".utf8) + [UInt8](repeating: 0, count: 39)
        #expect(message(header).contains("version is unknown"))
        var huge = Array("TZif2".utf8) + [UInt8](repeating: 0, count: 15)
        huge += [UInt8](repeating: 0xFF, count: 24)
        #expect(message(huge) != "accepted")
    }

    @Test(arguments: [
        ("", "empty"), ("/etc/passwd", "not a path"), ("../secret", "only letters"),
        ("Europe/../../etc", "only letters"), ("Europe//Berlin", "empty"), ("Europe/", "empty"),
        ("posix/Europe/Berlin", "posix/"), ("right/UTC", "right/"), ("posixrules", "not a place"),
        ("Factory", "not a place"), ("localtime", "not a place"),
        ("Europe/Berlin ", "only letters"),
        ("Europe/Zür", "only letters"), (String(repeating: "a", count: 101), "too long"),
    ])
    func refusedNames(name: String, word: String) {
        let error = #expect(throws: ZoneError.self) { try ZoneName.check(name) }
        #expect(error?.message.contains(word) == true, "\(error?.description ?? "")")
    }

    @Test func acceptedNames() throws {
        for name in Data.allZoneNames() { try ZoneName.check(name) }
        try ZoneName.check("America/Argentina/ComodRivadavia")
        try ZoneName.check("Etc/GMT+12")
    }
}
