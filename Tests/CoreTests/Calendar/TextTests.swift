// Durations and instants as text, and the hash under both.

import Testing

@testable import Core

@Suite struct TextTests {
    @Test(arguments: [
        ("0", 0), ("+0", 0), ("0s", 0), ("1ns", 1), ("1us", 1_000), ("1µs", 1_000),
        ("1\u{03BC}s", 1_000), ("2ms", 2_000_000), ("1.5s", 1_500_000_000), (".5s", 500_000_000),
        ("2.s", 2_000_000_000), ("-1m", -60_000_000_000), ("1h30m", 5_400_000_000_000),
        ("30m1h", 5_400_000_000_000), ("1m1m", 120_000_000_000),
        ("0.000000000999s", 0), ("1.0000000000000000000009h", 3_600_000_000_000),
        ("9223372036854775807ns", Int64.max), ("-9223372036854775808ns", Int64.min),
        ("2562047h47m16.854775807s", Int64.max),
    ])
    func durationIsRead(text: String, nanoseconds: Int64) throws {
        #expect(try DurationText.parse(text) == .nanoseconds(nanoseconds))
    }

    @Test(arguments: [
        ("", 1), ("-", 2), ("1", 2), ("00", 3), ("1d", 2), ("1h ", 2), (" 1h", 1), ("h", 1),
        ("1h.m", 3), ("1e3s", 2), ("--1s", 2), ("1µ", 2), ("1hµs", 2), ("1h1", 4), ("5m3x", 4),
        ("9223372036854775808ns", 1), ("9223372036s1s", 12), ("99999999999999999999h", 1),
        ("-9223372036854775809ns", 2), ("２s", 1),
    ])
    func durationIsRefused(text: String, column: Int) {
        let error = #expect(throws: TextError.self) { try DurationText.parse(text) }
        #expect(error?.column == column, "\(text): \(error.map(String.init(describing:)) ?? "")")
    }

    @Test(arguments: [
        (0, "0s"), (1, "1ns"), (1_100, "1.1µs"), (2_200_000, "2.2ms"), (3_300_000_000, "3.3s"),
        (245_000_000_000, "4m5s"), (245_001_000_000, "4m5.001s"),
        (5_400_000_000_000, "1h30m0s"), (-1_000_000_000, "-1s"),
        (18_367_001_000_000, "5h6m7.001s"), (480_000_000_001, "8m0.000000001s"),
        (Int64.max, "2562047h47m16.854775807s"), (Int64.min, "-2562047h47m16.854775808s"),
    ])
    func durationIsPrinted(nanoseconds: Int64, text: String) throws {
        #expect(DurationText.print(.nanoseconds(nanoseconds)) == text)
        #expect(try DurationText.parse(text).nanoseconds == nanoseconds)
    }

    @Test(arguments: [
        ("1970-01-01T00:00:00Z", 0), ("1970-01-01t00:00:00z", 0),
        ("1970-01-01T01:00:00+01:00", 0), ("1969-12-31T23:59:59.999999999Z", -1),
        ("2024-02-29T12:34:56.789-00:30", 1_709_211_896_789_000_000),
        ("2000-01-01T00:00:00.0000000019Z", 946_684_800_000_000_001),
        ("1677-09-21T00:12:43.145224192Z", Int64.min),
        ("2262-04-11T23:47:16.854775807Z", Int64.max),
    ])
    func timeIsRead(text: String, nanoseconds: Int64) throws {
        #expect(try RFC3339.parse(text).nanoseconds == nanoseconds)
    }

    @Test(arguments: [
        ("", 1), ("2024", 5), ("2024-1-01T00:00:00Z", 6), ("2024-13-01T00:00:00Z", 6),
        ("2023-02-29T00:00:00Z", 9), ("2024-01-01 00:00:00Z", 11), ("2024-01-01T24:00:00Z", 12),
        ("2024-01-01T00:60:00Z", 15), ("2024-01-01T00:00:60Z", 18), ("2024-01-01T00:00:00", 20),
        ("2024-01-01T00:00:00.Z", 21), ("2024-01-01T00:00:00+1:00", 21),
        ("2024-01-01T00:00:00+24:00", 21), ("2024-01-01T00:00:00Zz", 21),
        ("1677-09-21T00:12:43.145224191Z", 1), ("2262-04-11T23:47:16.854775808Z", 1),
        ("0001-01-01T00:00:00Z", 1), ("9999-12-31T23:59:59Z", 1), ("２024-01-01T00:00:00Z", 1),
    ])
    func timeIsRefused(text: String, column: Int) {
        let error = #expect(throws: TextError.self) { try RFC3339.parse(text) }
        #expect(error?.column == column, "\(text): \(error.map(String.init(describing:)) ?? "")")
    }

    @Test func timeIsPrinted() {
        let time = WallTime(nanoseconds: 1_709_211_896_780_000_000)
        #expect(RFC3339.print(time) == "2024-02-29T13:04:56.78Z")
        #expect(RFC3339.print(time, offset: 19_800) == "2024-02-29T18:34:56.78+05:30")
        #expect(RFC3339.print(time, offset: -12_600) == "2024-02-29T09:34:56.78-03:30")
        // Amsterdam's old time, 19 min 32 s ahead, is shown as 19 min: still the same instant.
        #expect(RFC3339.print(time, offset: 1_172) == "2024-02-29T13:23:56.78+00:19")
        #expect(RFC3339.print(WallTime(seconds: 0)) == "1970-01-01T00:00:00Z")
        #expect(RFC3339.print(.distantFuture) == "2262-04-11T23:47:16.854775807Z")
        #expect(RFC3339.print(.distantPast) == "1677-09-21T00:12:43.145224192Z")
    }

    @Test func minuteIsRead() throws {
        #expect(try RFC3339.parseMinute("2024-02-29T13:04") == WallTime(seconds: 1_709_211_840))
        for (text, column) in [("2024-02-29T13:04:00Z", 17), ("2024-02-30T13:04", 9)] {
            let error = #expect(throws: TextError.self) { try RFC3339.parseMinute(text) }
            #expect(error?.column == column)
        }
    }

    /// The test vectors of the reference implementation, key 00 01 … 0f.
    @Test func sipHashIsTheReference() {
        let key: (low: UInt64, high: UInt64) = (0x0706_0504_0302_0100, 0x0F0E_0D0C_0B0A_0908)
        let expected: [(length: Int, hash: UInt64)] = [
            (0, 0x726F_DB47_DD0E_0E31), (1, 0x74F8_39C5_93DC_67FD), (15, 0xA129_CA61_49BE_45E5),
        ]
        for (length, hash) in expected {
            let bytes = (0..<length).map { UInt8($0) }
            #expect(SipHash.hash24(key0: key.low, key1: key.high, bytes) == hash)
        }
    }

    @Test func sipHashTakesPieces() {
        let bytes = (0..<100).map { UInt8($0) }
        let whole = SipHash.hash24(key0: 1, key1: 2, bytes)
        for cut in 0...100 {
            var hash = SipHash(key: (1, 2))
            hash.absorb(Array(bytes[..<cut]))
            hash.absorb(Array(bytes[cut...]))
            #expect(hash.finish() == whole)
        }
    }
}
