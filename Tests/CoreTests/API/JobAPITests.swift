import Testing

@testable import Core

@Suite("API: jobs")
struct JobAPITests {
    static let nightly =
        #"{"name":"nightly","schedule":"@every 1h","executor":"shell","#
        + #""executor_config":{"command":"/bin/true"}}"#

    @Test("a created job is answered as it is stored, in Dkron's order")
    func create() {
        var node = APIHarness()
        let reply = node.put(Self.nightly)
        #expect(
            reply.text == #"{"id":"nightly","name":"nightly","displayname":"","timezone":"","#
                + #""schedule":"@every 1h","owner":"","owner_email":"","success_count":0,"#
                + #""error_count":0,"last_success":null,"last_error":null,"disabled":false,"#
                + #""tags":null,"metadata":null,"retries":0,"dependent_jobs":null,"#
                + #""parent_job":"","processors":{},"concurrency":"allow","executor":"shell","#
                + #""executor_config":{"command":"/bin/true"},"status":"","#
                + #""next":"2023-11-14T23:13:20Z","ephemeral":false,"starts_at":null,"#
                + #""expires_at":null,"dst":"once","catch_up":"latest","catch_up_window":null,"#
                + #""lost_after":null,"fence":null,"running":0,"version":1,"#
                + #""every_anchor":"2023-11-14T22:13:20Z"}"#)
        #expect(reply.headers["Content-Type"] == "application/json; charset=utf-8")
        #expect(reply.headers["Location"] == "/v1/jobs/nightly")
        #expect(reply.headers["X-Whom"] == "n1")
        #expect(reply.headers["X-Dkron-Index"] == "2")
        #expect(node.get("/v1/jobs/nightly").text == reply.text)
        #expect(node.lastLog == "job created")
        #expect(node.logs.last?.fields.contains(.init("client", "10.0.0.9")) == true)
        #expect(!node.logs.description.contains("/bin/true"))
    }

    @Test("posting the same job again changes nothing, another one replaces it")
    func replace() {
        var node = APIHarness()
        node.put(Self.nightly)
        node.wait(.seconds(100))
        var reply = node.put(Self.nightly)
        #expect(reply["version"] == "1")
        #expect(reply["next"] == #""2023-11-14T23:13:20Z""#)
        reply = node.put(
            #"{"Name":"nightly","SCHEDULE":"@every 60m","disabled":true,"version":9}"#)
        #expect(reply["version"] == "2")
        #expect(reply["executor_config"] == "null")
        #expect(reply["next"] == #""0001-01-01T00:00:00Z""#)
        #expect(reply["every_anchor"] == #""2023-11-14T22:13:20Z""#)
    }

    @Test(
        "a body that is no job is refused with what and where",
        arguments: [
            ("", "malformed_json", nil, "The body is empty"),
            ("{", "malformed_json", nil, "line 1, column 2"),
            (#"{"name":"a","schedule":"@daily"} x"#, "malformed_json", nil, "nothing may follow"),
            ("[]", "wrong_type", nil, "A job is a JSON object, found an array"),
            ("null", "invalid_field", "name", "needs a name"),
            (#"{"name":5}"#, "wrong_type", "name", "must be a string, found the number 5 (line 1,"),
            (#"{"name":"a","disabled":"no"}"#, "wrong_type", "disabled", "true or false"),
            (#"{"name":"a","retries":-1}"#, "wrong_type", "retries", "whole number from 0"),
            (#"{"name":"a","retries":1.5}"#, "wrong_type", "retries", "whole number from 0"),
            (#"{"name":"a","tags":[]}"#, "wrong_type", "tags", "must be an object"),
            (#"{"name":"a","schedul":""}"#, "unknown_field", "schedul", #"mean "schedule"?"#),
            (#"{"name":"a","qqqq":1}"#, "unknown_field", "qqqq", "no field"),
            (#"{"name":"A","schedule":"@daily"}"#, "invalid_field", "name", #"can't hold "A""#),
            (#"{"name":"a b","schedule":"@daily"}"#, "invalid_field", "name", #"" ""#),
            (#"{"name":"a"}"#, "invalid_field", "schedule", "needs a schedule"),
            (
                #"{"name":"a","schedule":"0 61 * * * *"}"#, "invalid_field", "schedule",
                "column 3"
            ),
            (
                #"{"name":"a","schedule":"@daily","parent_job":"a"}"#, "invalid_field",
                "parent_job", "own parent"
            ),
            (
                #"{"name":"a","schedule":"@daily","concurrency":"no"}"#, "invalid_field",
                "concurrency", "allow, forbid and replace"
            ),
            (
                #"{"name":"a","schedule":"@daily","timezone":"Mars/Base"}"#, "invalid_field",
                "timezone", "Mars/Base"
            ),
            (
                #"{"name":"a","schedule":"TZ=Mars/Base @daily"}"#, "invalid_field", "schedule",
                "Mars/Base"
            ),
            (
                #"{"name":"a","schedule":"@at 2001-01-01T00:00:00Z"}"#, "invalid_field",
                "schedule", "in the past"
            ),
            (
                #"{"name":"a","schedule":"@daily","tags":{"r":"web:0"}}"#, "invalid_field",
                "tags.r", "count"
            ),
            (
                #"{"name":"a","schedule":"@daily","lost_after":"10s"}"#, "invalid_field",
                "lost_after", "the least is 30s"
            ),
            (
                #"{"name":"a","schedule":"@daily","catch_up_window":"x"}"#, "invalid_field",
                "catch_up_window", "column 1"
            ),
            (
                #"{"name":"a","schedule":"@daily","catch_up":"some"}"#, "invalid_field",
                "catch_up", "latest, all and none"
            ),
            (
                #"{"name":"a","schedule":"@daily","dst":"x"}"#, "invalid_field", "dst",
                "once and literal"
            ),
            (
                #"{"name":"a","schedule":"@daily","starts_at":""}"#, "invalid_field",
                "starts_at", "not a time"
            ),
            (
                #"{"name":"a","schedule":"@daily","starts_at":"2030-01-02T00:00","#
                    + #""expires_at":"2030-01-01T00:00"}"#, "invalid_field", "expires_at",
                "before starts_at"
            ),
            (
                #"{"name":"a","schedule":"@daily","executor":"shell"}"#, "invalid_field",
                "executor_config.command", "command is required"
            ),
            (
                #"{"name":"a","schedule":"@daily","executor":"shell","#
                    + #""executor_config":{"command":"a | b"}}"#, "invalid_field",
                "executor_config.command", "needs a shell"
            ),
            (
                #"{"name":"a","schedule":"@daily","executor":"shell","#
                    + #""executor_config":{"command":"a","comand":"b"}}"#, "invalid_field",
                "executor_config.comand", "no setting"
            ),
        ] as [(String, String, String?, String)])
    func refused(_ body: String, _ code: String, _ field: String?, _ text: String) {
        var node = APIHarness()
        let reply = node.send(.post, "/v1/jobs", body)
        #expect(reply?.status == 400)
        #expect(reply?.code == code)
        #expect(reply?["field"] == field.map { "\"\($0)\"" })
        #expect(reply?.error.contains(text) == true, "\(reply?.error ?? "")")
        #expect(node.store.counters.jobs == 0)
    }

    @Test("parents must exist, form no circle and be deleted last")
    func parents() {
        var node = APIHarness()
        var reply = node.send(.post, "/v1/jobs", #"{"name":"c","parent_job":"nope"}"#)
        #expect(reply?.status == 404)
        #expect(reply?.code == "unknown_parent")
        node.put(#"{"name":"p","schedule":"@daily"}"#)
        node.put(#"{"name":"c","parent_job":"p"}"#)
        node.put(#"{"name":"d","parent_job":"c"}"#)
        #expect(node.get("/v1/jobs/p")["dependent_jobs"] == #"["c"]"#)
        reply = node.send(.post, "/v1/jobs", #"{"name":"p","parent_job":"d"}"#)
        #expect(reply?.status == 400)
        #expect(reply?.code == "parent_cycle")
        reply = node.send(.delete, "/v1/jobs/p")
        #expect(reply?.status == 409)
        #expect(reply?.error.contains("parent of c") == true)
        #expect(node.send(.delete, "/v1/jobs/d")?.status == 200)
        #expect(node.send(.delete, "/v1/jobs/c")?.status == 200)
        reply = node.send(.delete, "/v1/jobs/p")
        #expect(reply?["name"] == #""p""#)
        #expect(node.lastLog == "job deleted")
        #expect(node.send(.delete, "/v1/jobs/p")?.code == "unknown_job")
        #expect(node.get("/v1/jobs/p").status == 404)
    }

    @Test("the path names the job of a PUT")
    func putByName() {
        var node = APIHarness()
        var reply = node.send(.put, "/v1/jobs/a", #"{"schedule":"@daily"}"#)
        #expect(reply?.status == 201)
        #expect(reply?.headers["Location"] == "/v1/jobs/a")
        reply = node.send(.put, "/v1/jobs/a", #"{"name":"b","schedule":"@daily"}"#)
        #expect(reply?.status == 400)
        #expect(reply?["field"] == #""name""#)
        reply = node.send(.patch, "/v1/jobs", #"{"name":"b","schedule":"@daily"}"#)
        #expect(reply?.status == 201)
        reply = node.send(.put, "/v1/jobs/%C5%82%C3%B3d%C5%BA", #"{"schedule":"@daily"}"#)
        #expect(reply?["name"] == #""łódź""#)
        #expect(reply?.headers["Location"] == "/v1/jobs/%C5%82%C3%B3d%C5%BA")
    }

    @Test("a patch changes what it names and nothing else")
    func patch() {
        var node = APIHarness()
        node.put(
            #"{"name":"a","schedule":"@daily","tags":{"x":"1","y":"2"},"retries":3,"#
                + #""metadata":{"k":"v"},"concurrency":"forbid","fence":false,"executor":"shell","#
                + #""executor_config":{"command":"date"},"starts_at":"2030-01-01T00:00:00Z"}"#)
        let reply = node.send(
            .patch, "/v1/jobs/a",
            #"{"Tags":{"x":null,"z":"3"},"metadata":null,"owner":"me","starts_at":null}"#)
        #expect(reply?.status == 200)
        #expect(reply?["tags"] == #"{"y":"2","z":"3"}"#)
        #expect(reply?["metadata"] == "null")
        #expect(reply?["owner"] == #""me""#)
        #expect(reply?["retries"] == "3")
        #expect(reply?["concurrency"] == #""forbid""#)
        #expect(reply?["fence"] == "false")
        #expect(reply?["starts_at"] == "null")
        #expect(reply?["version"] == "2")
        #expect(node.send(.patch, "/v1/jobs/a", #"{"owner":"me"}"#)?["version"] == "2")
        #expect(node.send(.patch, "/v1/jobs/a", "[]")?.code == "wrong_type")
        #expect(node.send(.patch, "/v1/jobs/a", #"{"name":"b"}"#)?.status == 400)
        #expect(node.send(.patch, "/v1/jobs/a", #"{"retry":1}"#)?.code == "unknown_field")
        #expect(node.send(.patch, "/v1/jobs/nope", "{}")?.status == 404)
    }

    @Test("a patch and a toggle that meet a change are computed again")
    func recomputed() {
        var node = APIHarness()
        node.put(#"{"name":"a","schedule":"@daily"}"#)
        node.interference = { $0.put(#"{"name":"a","schedule":"@daily","owner":"other"}"#) }
        let reply = node.send(.patch, "/v1/jobs/a", #"{"displayname":"A"}"#)
        #expect(reply?.status == 200)
        #expect(reply?["owner"] == #""other""#)
        #expect(reply?["displayname"] == #""A""#)
        node.interference = { $0.put(#"{"name":"a","schedule":"@hourly"}"#) }
        let toggled = node.send(.post, "/v1/jobs/a/toggle")
        #expect(toggled?.status == 200)
        #expect(toggled?["disabled"] == "true")
        #expect(toggled?["schedule"] == #""@hourly""#)
        node.interference = { _ = $0.send(.delete, "/v1/jobs/a") }
        #expect(node.send(.post, "/v1/jobs/a/toggle")?.status == 404)
    }

    @Test("toggle flips and tells where")
    func toggle() {
        var node = APIHarness()
        node.put(#"{"name":"a","schedule":"@daily"}"#)
        let reply = node.send(.post, "/v1/jobs/a/toggle")
        #expect(reply?["disabled"] == "true")
        #expect(reply?.headers["Location"] == "/v1/jobs/a/toggle")
        #expect(node.send(.post, "/v1/jobs/a/toggle")?["disabled"] == "false")
        #expect(node.send(.post, "/v1/jobs/b/toggle")?.status == 404)
    }

    @Test("entity tags guard edits")
    func entityTags() {
        var node = APIHarness()
        let job = #"{"name":"a","schedule":"@daily"}"#
        let changed = #"{"name":"a","schedule":"@hourly"}"#
        let first = node.put(job).headers["ETag"] ?? ""
        #expect(node.get("/v1/jobs/a").headers["ETag"] == first)
        func edit(_ body: String, _ headers: HTTPHeaders) -> Int {
            node.send(.put, "/v1/jobs/a", body, headers: headers)?.status ?? 0
        }
        #expect(edit(job, ["If-None-Match": "*"]) == 412)
        #expect(edit(changed, ["If-Match": #""7""#]) == 412)
        #expect(edit(changed, ["If-Match": first]) == 201)
        #expect(edit(job, ["If-Match": first]) == 412)
        #expect(edit(job, ["If-Match": #""2""#]) == 201)
        #expect(edit(changed, ["If-Match": #""9", "3""#]) == 201)
        #expect(edit(job, ["If-Match": "*"]) == 201)
        #expect(edit(job, ["If-Match": #"W/"5""#]) == 412)
        #expect(node.send(.delete, "/v1/jobs/a", headers: ["If-Match": first])?.status == 412)
        let patch = node.send(
            .patch, "/v1/jobs/a", #"{"owner":"x"}"#, headers: ["If-Match": first])
        #expect(patch?.code == "precondition_failed")
        #expect(node.send(.delete, "/v1/jobs/a", headers: ["If-Match": "*"])?.status == 200)
        #expect(edit(job, ["If-Match": "*"]) == 412)
        // Whoever asks for both asks for what can't be.
        #expect(edit(job, ["If-None-Match": "*", "If-Match": "*"]) == 412)
        #expect(edit(job, ["If-None-Match": "*"]) == 201)
        // Deleted and made again it is another job, though its version is the same.
        #expect(edit(changed, ["If-Match": first]) == 412)
    }

    @Test("a change between the check and the commit fails the condition too")
    func entityTagRace() {
        var node = APIHarness()
        let tag = node.put(#"{"name":"a","schedule":"@daily"}"#).headers["ETag"] ?? ""
        node.interference = { $0.put(#"{"name":"a","schedule":"@hourly"}"#) }
        let reply = node.send(
            .patch, "/v1/jobs/a", #"{"owner":"x"}"#, headers: ["If-Match": tag])
        #expect(reply?.status == 412)
        node.interference = { $0.put(#"{"name":"b","schedule":"@hourly"}"#) }
        let absent = node.send(
            .put, "/v1/jobs/b", #"{"schedule":"@daily"}"#, headers: ["If-None-Match": "*"])
        #expect(absent?.status == 412)
    }

    @Test("a zone that is not known yet is asked for once, and the request waits")
    func zones() {
        var node = APIHarness()
        let reply = node.put(#"{"name":"a","schedule":"0 0 9 * * *","timezone":"Europe/Madrid"}"#)
        #expect(node.zonesLoaded == ["Europe/Madrid"])
        #expect(reply["next"] == #""2023-11-15T08:00:00Z""#)
        node.put(#"{"name":"b","schedule":"TZ=Europe/Madrid @daily","timezone":"Local"}"#)
        #expect(node.zonesLoaded.count == 1)
        #expect(node.api.pendingRequests == 0)
    }

    @Test("unknown executors and processors are saved with a warning")
    func warnings() {
        var node = APIHarness()
        let reply = node.put(
            #"{"name":"a","schedule":"@daily","executor":"fax","#
                + #""processors":{"slack":{"forward":true}}}"#)
        #expect(reply.headers.values(of: "X-Dkron-Warning").count == 2)
        #expect(reply["warnings"]?.contains("fax") == true)
        #expect(reply["warnings"]?.contains("slack") == true)
        #expect(reply.fieldNames.last == "warnings")
        #expect(reply["processors"] == #"{"slack":{"forward":"true"}}"#)
        #expect(node.get("/v1/jobs/a")["warnings"] == nil)
    }

    @Test("executors are listed with their settings, plugins without, and only those allowed")
    func offers() {
        var node = APIHarness()
        var config = node.config
        config.executors.plugins = ["fax"]
        node.api = API(config: config)
        let text = node.get("/v1/executors").text
        #expect(text.contains(#"{"name":"fax","source":"plugin"}"#))
        for name in BuiltInExecutor.names {
            let start = #"{"name":""# + name + #"","source":"built-in","settings":[{"#
            #expect(text.contains(start), "\(name)")
        }
        #expect(text.contains(#"{"name":"saslPassword","type":"secret","required":false,"#))
        config.executors.allowed = ["fax", "http"]
        node.api = API(config: config)
        #expect(node.get("/v1/executors").each("name") == ["fax", "http"])
    }

    @Test("what a release printed is accepted again")
    func roundTrip() {
        var node = APIHarness()
        let first = node.put(Self.nightly)
        let reply = node.put(first.text)
        #expect(reply["version"] == "1")
    }

    @Test("runs on create, at once")
    func runOnCreate() {
        var node = APIHarness()
        let reply = node.send(.post, "/v1/jobs?runoncreate=false", Self.nightly)
        #expect(reply?.status == 201)
        #expect(reply?.headers["Location"] == "/v1/jobs/nightly")
        #expect(reply?["running"] == "1")
        #expect(node.launched.count == 1)
    }

    @Test("an edit that fails says whether it happened")
    func failures() {
        var node = APIHarness()
        let cases: [(ProposalFailure, Int, String)] = [
            (.noLeader, 503, "no_leader"), (.outcomeUnknown, 503, "outcome_unknown"),
            (.busy, 503, "busy"), (.stopping, 503, "stopping"),
            (.tooLarge, 413, "command_too_large"),
        ]
        for (failure, status, code) in cases {
            node.failures = [failure]
            let reply = node.send(.post, "/v1/jobs", Self.nightly)
            #expect(reply?.status == status)
            #expect(reply?.code == code)
            #expect((reply?.headers["Retry-After"] != nil) == (status == 503))
        }
        #expect(node.api.pendingRequests == 0)
    }

    @Test("a client that went away is not answered, what it asked for happens")
    func abandoned() {
        var node = APIHarness()
        node.holdsProposals = true
        let id = node.begin(.post, "/v1/jobs", Self.nightly)
        #expect(node.api.pendingRequests == 1)
        node.abandon(id)
        #expect(node.api.pendingRequests == 0)
        let (proposal, body) = node.held[0]
        node.apply(proposal, body)
        #expect(node.replies[id] == nil)
        #expect(node.store.counters.jobs == 1)
        #expect(node.lastLog == "job created")
    }

    @Test("requests that would wait beyond the bound are refused")
    func bound() {
        var node = APIHarness()
        node.holdsProposals = true
        for _ in 0..<API.Limit.pending { _ = node.begin(.post, "/v1/pause") }
        let reply = node.send(.post, "/v1/pause")
        #expect(reply?.status == 503)
        #expect(reply?.code == "busy")
        #expect(reply?.headers["Retry-After"] == "1")
        #expect(node.get("/health").status == 200)
    }
}
