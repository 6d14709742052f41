// That the replay can fail: each kind of difference, and each way in which a table may be wrong.

import Testing

@Suite("Replay: the comparison itself")
struct ComparisonTests {
    private static let rules = try! MemberRules(
        Table(
            """
            header\tx-own\tcount\tours
            execution\tid\texecution-id\tbound
            job\tnext\ttime\tvolatile
            job\tversion\tcount\tours
            """))

    private static func job(_ more: String, next: String = "2026-11-21T00:00:00Z") -> String {
        #"{"name":"a","displayname":"","next":"\#(next)","retries":0\#(more)}"#
    }

    private static func answer(
        _ body: String, status: Int = 200, headers: [(name: String, value: String)] = []
    ) -> ReplayAnswer {
        let type = (name: "content-type", value: "application/json")
        return ReplayAnswer(status: status, headers: [type] + headers, body: body)
    }

    /// Places that differ, and faults as "fault".
    private static func places(_ pairs: (ReplayAnswer, ReplayAnswer)...) -> [String] {
        var comparison = Comparison(rules)
        for (number, pair) in pairs.enumerated() {
            comparison.compare(
                number + 1, "GET", "/v1/jobs/a", recorded: pair.0, ours: pair.1)
        }
        return comparison.differences.map(\.place) + comparison.faults.map { _ in "fault" }
    }

    @Test(
        "one job and another",
        arguments: [
            (job(#","version":3"#), []), (job(#","version":"3""#), ["fault"]),
            (job(""), []), (job(#","x":1"#), ["$.x"]),
            (job(#","version":3,"x":1"#), ["$.x", "fault"]),
            (job(#","version":1"#, next: "2026-11-22T10:00:00.5Z"), []),
            (job("", next: "0001-01-01T00:00:00Z"), ["$.next"]),
            (job("", next: "2031-01-01T00:00:00Z"), ["$.next"]),
            (job("", next: "2026-11-22T10:00:00.50Z"), ["$.next"]),
            (
                #"{"name":"b","displayname":"","next":"2026-11-21T00:00:00Z","retries":0}"#,
                ["$.name"]
            ),
            (
                #"{"name":"a","displayname":"","next":"2026-11-21T00:00:00Z","retries":"0"}"#,
                ["$.retries"]
            ),
            (
                #"{"name":"a","displayname":null,"next":"2026-11-21T00:00:00Z","retries":0}"#,
                ["$.displayname"]
            ),
            (
                #"{"name":"a","displayname":"","next":"2026-11-21T00:00:00Z"}"#,
                ["$.retries"]
            ),
            (
                #"{"displayname":"","name":"a","next":"2026-11-21T00:00:00Z","retries":0}"#,
                ["fault"]
            ),
            (
                #"{"name":"a", "displayname":"","next":"2026-11-21T00:00:00Z","retries":0}"#,
                ["fault"]
            ),
            (#"{"error":"No.","code":"no"}"#, ["body"]), ("", ["body", "fault"]),
        ] as [(String, [String])])
    func jobs(_ ours: String, _ expected: [String]) {
        #expect(Self.places((Self.answer(Self.job("")), Self.answer(ours))) == expected)
    }

    @Test("status, headers and the type")
    func heads() {
        let plain = Self.answer("[]")
        #expect(Self.places((plain, Self.answer("[]", status: 201))) == ["status"])
        let named = Self.answer("[]", headers: [("x-total-count", "1")])
        #expect(Self.places((named, plain)) == ["header x-total-count"])
        #expect(Self.places((plain, named)) == ["header x-total-count"])
        #expect(Self.places((plain, Self.answer("[]", headers: [("x-own", "7")]))) == [])
        #expect(Self.places((plain, Self.answer("[]", headers: [("x-own", "x")]))) == ["fault"])
        let short = Self.answer("[]", headers: [("content-length", "1")])
        #expect(Self.places((short, short)) == ["fault"])
        var text = plain
        text.headers = [("content-type", "text/plain")]
        #expect(Self.places((plain, text)) == ["body"])
        text.headers = [("content-type", "application/json; charset=utf-8")]
        #expect(Self.places((plain, text)) == ["header content-type"])
    }

    @Test("what was one run in the record must be one run here")
    func bindings() {
        func run(_ id: Int64) -> ReplayAnswer {
            Self.answer(#"{"id":"\#(1_700_000_000_000_000_000 + id)-node1","job_name":"a"}"#)
        }
        #expect(Self.places((run(1), run(11)), (run(2), run(12)), (run(1), run(11))) == [])
        #expect(Self.places((run(1), run(11)), (run(1), run(12))) == ["$.id"])
        #expect(Self.places((run(1), run(11)), (run(2), run(11))) == ["$.id"])
    }

    @Test("lists are compared by names, and job by job")
    func lists() {
        let (a, b) = (Self.job(""), Self.job("").replacing("\"a\"", with: "\"b\""))
        let both = Self.answer("[\(a),\(b)]")
        #expect(Self.places((both, both)) == [])
        #expect(Self.places((both, Self.answer("[\(b),\(a)]"))) == ["$[].name"])
        #expect(Self.places((both, Self.answer("[\(a)]"))) == ["$[].name"])
        let changed = a.replacing("\"retries\":0", with: "\"retries\":1")
        #expect(Self.places((both, Self.answer("[\(changed),\(b)]"))) == ["$[a].retries"])
    }

    @Test("a wildcard, a row twice, a row without a difference or a reason")
    func rows() {
        func faults(_ rows: String...) -> Int {
            Explanations(Table(rows.joined(separator: "\n")), sentences: ["known"]).faults.count
        }
        let row = "3\tGET /\tstatus\t200\t404\tknown"
        #expect(faults(row) == 0)
        #expect(faults(row, row) == 1)
        #expect(faults("3\tGET /\t$.*\t200\t404\tknown") == 1)
        #expect(faults("3\tGET /\tstatus\t200\t404\tunknown") == 1)
        #expect(faults("3\tGET /\tstatus\t200\t404") == 1)
        #expect(faults("4\tGET /\tstatus\t200\t404\tfollows 3") == 1)
        #expect(faults(row, "4\tGET /\tstatus\t200\t404\tfollows 3") == 0)
        #expect(faults("4\tGET /\tstatus\t200\t404\tknown", row) == 1)
        let explanations = Explanations(Table(row), sentences: ["known"])
        let found = explanations.rows[0].difference
        #expect(explanations.unmatched([found]) == [])
        #expect(explanations.unmatched([]).count == 1)
        var other = found
        other.ours = "403"
        #expect(explanations.unmatched([other]).count == 2)
    }

    @Test("a rule with a wildcard or an unknown form is refused")
    func malformedRules() {
        for line in ["job\t*\ttime\tvolatile", "job\tnext\tanything\tvolatile", "job\tnext\ttime"] {
            #expect(throws: MemberRules.Malformed.self) { try MemberRules(Table(line)) }
        }
    }
}

extension String {
    fileprivate func replacing(_ text: String, with other: String) -> String {
        split(separator: text, omittingEmptySubsequences: false).joined(separator: other)
    }
}
