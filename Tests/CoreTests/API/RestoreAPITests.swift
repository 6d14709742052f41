import Testing

@testable import Core

@Suite("API: restore")
struct RestoreAPITests {
    private let plain: HTTPHeaders = ["Accept": "application/json"]

    private func multipart(_ file: String, name: String = "file") -> (String, HTTPHeaders) {
        let body =
            "--XX\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n"
            + "--XX\r\nContent-Disposition: form-data; name=\"\(name)\"; filename=\"file.json\"\r\n"
            + "Content-Type: application/json\r\n\r\n\(file)\r\n--XX--\r\n"
        return (body, ["Content-Type": "multipart/form-data; boundary=\"XX\""])
    }

    @Test("takes the file of a form and answers as Dkron does")
    func form() {
        var node = APIHarness()
        let (body, headers) = multipart(#"[ {"name":"a","schedule":"@hourly"} ]"#)
        let reply = node.send(.post, "/v1/restore", body, headers: headers)
        #expect(reply?.status == 200)
        #expect(reply?.text == #""[\"success create a\"]""#)
        #expect(node.get("/v1/jobs/a")["concurrency"] == #""""#)
        #expect(node.lastLog == "jobs restored")
        #expect(node.api.pendingRequests == 0)
    }

    @Test("a whole export comes back as it was, children before parents too")
    func export() {
        var node = APIHarness()
        node.put(#"{"name":"z","schedule":"@every 90s","retries":2}"#)
        node.put(
            #"{"name":"a","parent_job":"z","executor":"shell","#
                + #""executor_config":{"command":"date"}}"#)
        node.send(.post, "/v1/jobs/z/run?wait=0")
        node.end(node.launched[0])
        let export = node.get("/v1/jobs").text
        var other = APIHarness()
        other.wait(.seconds(1_000))
        let reply = other.send(.post, "/v1/restore", export, headers: plain)
        #expect(reply?.status == 200)
        #expect(reply?["created"] == "2")
        #expect(reply?["invalid"] == "[]")
        let z = other.get("/v1/jobs/z")
        #expect(z["success_count"] == "1")
        #expect(z["last_success"] == node.get("/v1/jobs/z")["last_success"])
        #expect(z["every_anchor"] == node.get("/v1/jobs/z")["every_anchor"])
        #expect(z["dependent_jobs"] == #"["a"]"#)
        let again = other.send(.post, "/v1/restore", export, headers: plain)
        #expect(again?["unchanged"] == "2")
        #expect(again?["created"] == "0")
        #expect(other.get("/v1/jobs/z")["version"] == "1")
    }

    @Test(
        "all or nothing",
        arguments: [
            ("", "no_file"), ("{}", "no_file"), ("null", "no_file"),
            ("[", "malformed_file"), ("[{]", "malformed_file"), ("[{}", "malformed_file"),
            (#"[{"name":"a","schedule":"@daily"},]"#, "malformed_file"),
            (#"[{"name":"a","schedule":"@daily"} {"name":"b"}]"#, "malformed_file"),
            (#"[{"name":"a","schedule":"@daily"}] x"#, "malformed_file"),
            (#"[{"name":"a","schedule":"@daily"},{"name":"b" "x"}]"#, "malformed_file"),
            (#"[{"name":"a","schedule":"@daily"},null]"#, "invalid_field"),
            (#"[{"name":"a","schedule":"@daily"},5]"#, "wrong_type"),
            (#"[{"name":"a","schedule":"@daily"},{"schedule":"@daily"}]"#, "invalid_field"),
            (#"[{"name":"a","schedule":"@daily"},{"name":"b","disabled":3}]"#, "wrong_type"),
            (
                #"[{"name":"a","schedule":"@daily"},{"name":"b","parent_job":"c"}]"#,
                "unknown_parent"
            ),
            (
                #"[{"name":"a","parent_job":"b"},{"name":"b","parent_job":"a"}]"#, "parent_cycle"
            ),
        ])
    func refused(_ file: String, _ code: String) {
        for query in ["", "?dry_run"] {
            var node = APIHarness()
            let reply = node.send(.post, "/v1/restore\(query)", file)
            #expect(reply?.status == 400, "\(reply?.text ?? "")")
            #expect(reply?.code == code)
            #expect(node.store.counters.jobs == 0)
            #expect(node.api.pendingRequests == 0)
            #expect(node.store.keys(withPrefix: [Key.Table.staged.rawValue]).isEmpty)
        }
    }

    @Test("forms without the file")
    func forms() {
        var node = APIHarness()
        let (body, headers) = multipart("[]", name: "other")
        #expect(node.send(.post, "/v1/restore", body, headers: headers)?.code == "no_file")
        let bare: HTTPHeaders = ["Content-Type": "multipart/form-data"]
        #expect(
            node.send(.post, "/v1/restore", body, headers: bare)?.code == "no_file")
        let (cut, formed) = multipart("[]")
        #expect(
            node.send(.post, "/v1/restore", String(cut.dropLast(8)), headers: formed)?.code
                == "malformed_multipart")
        let (good, type) = multipart("[] garbage")
        #expect(node.send(.post, "/v1/restore", good, headers: type)?.code == "malformed_file")
        let (empty, _) = multipart("[]")
        #expect(node.send(.post, "/v1/restore", empty, headers: type)?.text == #""[]""#)
    }

    @Test("what a release accepted is imported, disabled where it can't run")
    func broken() {
        var node = APIHarness()
        let file =
            #"[{"name":"five","schedule":"*/5 * * * *"},"#
            + #"{"name":"Shout","schedule":"@daily"},"#
            + #"{"name":"past","schedule":"@at 2001-01-01T00:00:00Z","last_error":"#
            + #""0001-01-01T00:00:00Z","success_count":4,"next":"2001-01-01T00:00:00Z"},"#
            + #"{"name":"zone","schedule":"@daily","timezone":"Mars/Base","odd":1},"#
            + #"{"name":"count","schedule":"@daily","tags":{"a":"b:0"}}]"#
        let reply = node.send(.post, "/v1/restore", file, headers: plain)
        #expect(reply?.status == 200)
        #expect(reply?["created"] == "5")
        let invalid = reply?["invalid"] ?? ""
        for name in ["five", "Shout", "zone", "count"] { #expect(invalid.contains(name)) }
        #expect(!invalid.contains("past"))
        #expect(invalid.contains("0 */5 * * * *") && invalid.contains("*/5 * * * * *"))
        let five = node.get("/v1/jobs/five")
        #expect(five["disabled"] == "true")
        #expect(five["invalid_reason"]?.contains("five fields") == true)
        #expect(five.fieldNames.last == "invalid_reason")
        #expect(node.get("/v1/jobs/past")["success_count"] == "4")
        #expect(node.get("/v1/jobs/past")["disabled"] == "false")
        let toggle = node.send(.post, "/v1/jobs/five/toggle")
        #expect(toggle?.status == 409)
        #expect(toggle?.code == "invalid_job")
        let fixed = node.send(.patch, "/v1/jobs/five", #"{"disabled":false}"#)
        #expect(fixed?["invalid_reason"] == nil)
        #expect(fixed?["disabled"] == "false")
        let lines = node.send(.post, "/v1/restore?fields=crontab", file)
        #expect(lines?.text.contains(#"\"success create five\""#) == true)
        #expect(lines?.text.contains("success create zone (disabled: ") == true)
    }

    @Test("five fields of our own export are not in doubt, here and elsewhere")
    func ownFiveFields() {
        var node = APIHarness()
        node.put(#"{"name":"five","schedule":"30 2 * * *"}"#)
        node.put(#"{"name":"any","schedule":"~ 4 * * *"}"#)
        let export = node.get("/v1/jobs").text
        let before = node.get("/v1/jobs/five").text
        let same = node.send(.post, "/v1/restore", export, headers: plain)
        #expect(same?["invalid"] == "[]")
        #expect(same?["unchanged"] == "2")
        #expect(same?["moved_slots"] == "[]")
        #expect(node.get("/v1/jobs/five").text == before)
        var other = APIHarness()
        let moved = other.send(.post, "/v1/restore?strict", export, headers: plain)
        #expect(moved?["created"] == "2")
        #expect(moved?["moved_slots"] == "[]")
        #expect(other.get("/v1/jobs/five")["disabled"] == "false")
    }

    @Test("five fields that are in force here stay so, those in doubt stay in doubt")
    func doubtfulFiveFields() {
        var node = APIHarness()
        node.put(#"{"name":"five","schedule":"30 2 * * *"}"#)
        let same = #"[{"name":"five","schedule":"30 2 * * *","status":"success"}]"#
        #expect(node.send(.post, "/v1/restore", same, headers: plain)?["invalid"] == "[]")
        #expect(node.get("/v1/jobs/five")["disabled"] == "false")
        let edited = #"[{"name":"five","schedule":"30 3 * * *"}]"#
        #expect(node.send(.post, "/v1/restore", edited, headers: plain)?["invalid"] != "[]")
        // A copy of what is in doubt settles nothing, here or elsewhere.
        let export = node.get("/v1/jobs").text
        let again = node.send(.post, "/v1/restore", export, headers: plain)
        #expect(again?["unchanged"] == "1")
        #expect(again?["invalid"]?.contains("five fields") == true)
        var other = APIHarness()
        other.send(.post, "/v1/restore", export)
        #expect(other.get("/v1/jobs/five")["disabled"] == "true")
        #expect(other.get("/v1/jobs/five")["invalid_reason"]?.contains("five fields") == true)
    }

    @Test("times and counters that can't be kept refuse no file")
    func farTimes() {
        var node = APIHarness()
        let file =
            #"[{"name":"a","schedule":"@hourly","expires_at":"9999-12-31T00:00:00Z","#
            + #""last_success":"2300-01-01T00:00:00Z","last_error":"1600-01-01T00:00:00+01:00","#
            + #""success_count":-1,"error_count":-9223372036854775808},"#
            + #"{"name":"b","schedule":"@every 1h","starts_at":"2300-01-01T00:00:00Z"},"#
            + #"{"name":"c","schedule":"@every 1h","every_anchor":"2300-01-01T00:00:00Z"},"#
            + #"{"name":"d","schedule":"@every 1h","every_anchor":"1600-01-01T00:00:00Z"}]"#
        let reply = node.send(.post, "/v1/restore", file, headers: plain)
        #expect(reply?["created"] == "4", "\(reply?.text ?? "")")
        #expect(reply?["invalid"] == "[]")
        let job = node.get("/v1/jobs/a")
        let last = #""2262-04-11T23:47:16.854775807Z""#
        #expect(job["expires_at"] == last)
        #expect(job["last_success"] == last)
        #expect(job["last_error"] == #""1677-09-21T00:12:43.145224192Z""#)
        #expect(job["success_count"] == "0" && job["error_count"] == "0")
        #expect(job["next"] == #""2023-11-14T23:00:00Z""#)
        #expect(node.get("/v1/jobs/b")["next"] == #""0001-01-01T00:00:00Z""#)
        let export = node.get("/v1/jobs").text
        let again = node.send(.post, "/v1/restore", export, headers: plain)
        #expect(again?["unchanged"] == "4")
    }

    @Test("strict refuses the file instead")
    func strict() {
        var node = APIHarness()
        let file = #"[{"name":"a","schedule":"@daily"},{"name":"b","schedule":"* * * * *"}]"#
        let reply = node.send(.post, "/v1/restore?strict", file)
        #expect(reply?.status == 400)
        #expect(reply?.error.contains(#"The job "b" (number 2 of the file)"#) == true)
        #expect(node.store.counters.jobs == 0)
        #expect(node.send(.post, "/v1/restore?strict&fields=crontab", file)?.status == 200)
    }

    @Test("a dry run tells and changes nothing")
    func dryRun() {
        var node = APIHarness()
        node.put(#"{"name":"a","schedule":"@daily","concurrency":""}"#)
        let index = node.store.appliedIndex
        let file =
            #"[{"name":"a","schedule":"@daily"},{"name":"b","schedule":"0 ~ * * * *"},"#
            + #"{"name":"c","parent_job":"a"}]"#
        let reply = node.send(.post, "/v1/restore?dry_run", file)
        #expect(reply?["dry_run"] == "true")
        #expect(reply?["created"] == "2")
        #expect(reply?["unchanged"] == "1")
        #expect(reply?["moved_slots"] == #"[{"name":"b","schedule":"0 ~ * * * *"}]"#)
        #expect(node.store.appliedIndex == index)
    }

    @Test("paused comes up with ticks stopped, and not when the file is refused")
    func paused() {
        var node = APIHarness()
        let reply = node.send(.post, "/v1/restore?paused", #"[{"name":"a","schedule":"@daily"}]"#)
        #expect(reply?.status == 200)
        #expect(node.get("/v1/pause").text == #"{"paused":true,"edits":"allow"}"#)
        var other = APIHarness()
        let refused = other.send(
            .post, "/v1/restore?paused", #"[{"name":"a","parent_job":"nope"}]"#)
        #expect(refused?.code == "unknown_parent")
        #expect(other.get("/v1/pause").text == #"{"paused":false}"#)
    }

    @Test("a large file goes through the log in parts, in slices, with one commit")
    func parts() {
        var node = APIHarness()
        let jobs = (0..<2_000).map {
            #"{"name":"job-\#($0)","schedule":"@daily","timezone":"Europe/Madrid","#
                + #""displayname":"a \"quoted\" {name} [with] \\","metadata":{"n":"\#($0)"}}"#
        }
        let file = "[\n" + jobs.joined(separator: ",\n") + "\n]\n"
        node.commands = []
        let reply = node.send(.post, "/v1/restore", file, headers: plain)
        #expect(reply?["created"] == "2000")
        #expect(node.store.counters.jobs == 2_000)
        let parts = node.commands.count { if case .restorePart = $0 { true } else { false } }
        #expect(parts > 2)
        #expect(parts == node.commands.count - 1)
        #expect(node.zonesLoaded == ["Europe/Madrid"])
        #expect(node.store.keys(withPrefix: [Key.Table.staged.rawValue]).isEmpty)
    }

    @Test("what was staged is taken back when the log fails or the client goes")
    func undone() {
        var node = APIHarness()
        node.failures = [.noLeader]
        let file = #"[{"name":"a","schedule":"@daily"}]"#
        #expect(node.send(.post, "/v1/restore", file)?.code == "no_leader")
        #expect(node.api.pendingRequests == 0)
        node.holdsProposals = true
        let id = node.begin(.post, "/v1/restore", file)
        #expect(node.send(.post, "/v1/restore", file)?.code == "busy")
        let (proposal, body) = node.held[node.held.count - 1]
        node.abandon(id)
        node.holdsProposals = false
        node.apply(proposal, body)
        let (undo, abandon) = node.held[node.held.count - 1]
        node.apply(undo, abandon)
        #expect(node.store.keys(withPrefix: [Key.Table.staged.rawValue]).isEmpty)
        #expect(node.replies[id] == nil)
        #expect(node.send(.post, "/v1/restore", file)?.status == 200)
    }
}
