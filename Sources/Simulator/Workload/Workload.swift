// What clients ask for: every area of the interface, names that collide, and one in ten that
// must be refused. SimTests/coverage.md says which field and endpoint is made here.

import Core

struct Workload {
    private let swarm: Swarm
    private var draws: DrawStream
    private var jobs: JobDrafts
    private var keys = 0
    /// Bodies sent so far by name: some are sent again.
    private var sent: [String: String] = [:]

    init(swarm: Swarm, draws: DrawStream) {
        self.swarm = swarm
        self.draws = draws.child(1)
        jobs = JobDrafts(swarm: swarm, draws: draws.child(2))
    }

    mutating func time(before span: Duration) -> Duration {
        let time = draws.duration(.zero, span)
        // Bursts: a third of all requests gathers at full ten seconds.
        if draws.chance(1, 3) { return .seconds(time.wholeSeconds / 10 * 10) }
        return .milliseconds(time.wholeMilliseconds)
    }

    mutating func next(isEarly: Bool, at time: Duration) -> (client: Int, Plan.Draft) {
        let client = draws.int(0...swarm.clients - 1)
        let kind =
            isEarly && draws.chance(4, 5)
            ? .put : Swarm.Request.allCases[draws.weighted(swarm.operationWeights)]
        return (client, draft(kind, at: time))
    }

    /// Half from a small hot set, so that collisions happen.
    private mutating func name() -> String {
        draws.chance(2, 3)
            ? draws.element(["a", "b", "c", "d"]) : "job-\(draws.int(1...12))"
    }

    private mutating func draft(_ kind: Swarm.Request, at time: Duration) -> Plan.Draft {
        let name = name()
        switch kind {
        case .put: return put(name, at: time)
        case .patch: return patch(name, at: time)
        case .toggle: return Plan.Draft(method: "POST", target: "/v1/jobs/\(name)/toggle")
        case .delete:
            let kill = draws.chance(1, 4) ? "?kill=true" : ""
            return Plan.Draft(method: "DELETE", target: "/v1/jobs/\(name)\(kill)")
        case .runNow: return runNow(name)
        case .kill:
            return Plan.Draft(
                method: "POST", target: "/v1/jobs/\(name)/executions/{last:\(name)}/kill")
        case .lost:
            return Plan.Draft(
                method: "POST", target: "/v1/jobs/\(name)/executions/{last:\(name)}/lost")
        case .deleteExecutions:
            return Plan.Draft(method: "DELETE", target: "/v1/jobs/\(name)/executions")
        case .pause:
            if draws.chance(1, 4) { return node("drain") }
            let edits = draws.chance(1, 3) ? "?edits=allow" : ""
            return Plan.Draft(method: "POST", target: "/v1/pause\(edits)")
        case .unpause:
            if draws.chance(1, 2) { return node("undrain") }
            return Plan.Draft(method: "POST", target: "/v1/unpause")
        case .settings: return settings()
        case .restore: return restore(at: time)
        case .read: return read(name)
        case .invalid: return Invalid.draft(name, &draws)
        }
    }

    /// Mostly of the first node, which every plan has.
    private mutating func node(_ verb: String) -> Plan.Draft {
        let name = draws.chance(2, 3) ? "s1" : draws.element(["s2", "s3", "a1", "nobody"])
        return Plan.Draft(method: "POST", target: "/v1/members/\(name)/\(verb)")
    }

    private mutating func put(_ name: String, at time: Duration) -> Plan.Draft {
        var body = jobs.body(name, at: time)
        if let before = sent[name], draws.chance(1, 6) { body = before }
        sent[name] = body
        var target = "/v1/jobs"
        if draws.chance(1, 12) { target += "?runoncreate=true" }
        var draft = Plan.Draft(method: "POST", target: target, body: body)
        if draws.chance(1, 3) {
            draft.method = "PUT"
            draft.target = "/v1/jobs/\(name)"
        }
        if draws.chance(1, 20) {
            draft.headers.append(Plan.Setting(name: "If-None-Match", value: "*"))
        }
        if draws.chance(1, 20) {
            draft.headers.append(Plan.Setting(name: "If-Match", value: "\"\(draws.int(1...3))\""))
        }
        return draft
    }

    private mutating func patch(_ name: String, at time: Duration) -> Plan.Draft {
        let members = jobs.members(at: time, name: name).filter { _ in draws.chance(1, 4) }
        let body = NaiveJSON.object(
            members.map { NaiveJSON.Member(name: $0.0, value: $0.1) })
        return Plan.Draft(method: "PATCH", target: "/v1/jobs/\(name)", body: body.json)
    }

    private mutating func runNow(_ name: String) -> Plan.Draft {
        let wait = draws.chance(1, 2) ? "?wait=\(draws.int(0...20))" : ""
        let path = draws.chance(1, 5) ? "/v1/jobs/\(name)" : "/v1/jobs/\(name)/run"
        var draft = Plan.Draft(method: "POST", target: path + wait)
        if draws.chance(1, 2) {
            if draws.chance(3, 4) { keys += 1 }
            draft.headers.append(Plan.Setting(name: "Idempotency-Key", value: "key-\(keys)"))
        }
        return draft
    }

    private mutating func settings() -> Plan.Draft {
        guard draws.chance(2, 3) else {
            return Plan.Draft(method: "GET", target: "/v1/settings")
        }
        let choices = [
            #"{"on_time":"5s"}"#, #"{"on_time":"30s"}"#, #"{"catch_up_window":"1m"}"#,
            #"{"catch_up_window":"1h"}"#, #"{"group_retention":5}"#, #"{"lost_after":"45s"}"#,
            #"{"ledger_retention":50}"#, #"{"default_timezone":"Europe/Berlin"}"#,
        ]
        return Plan.Draft(method: "PUT", target: "/v1/settings", body: draws.element(choices))
    }

    private mutating func restore(at time: Duration) -> Plan.Draft {
        var bodies: [String] = []
        for _ in 0..<draws.int(1...4) {
            let job = name()
            bodies.append(jobs.body(job, at: time, mayBeChild: false))
        }
        let boundary = "simulated-boundary"
        let body =
            "--\(boundary)\r\nContent-Disposition: form-data; name=\"file\"; "
            + "filename=\"jobs.json\"\r\n\r\n[\(bodies.joined(separator: ","))]\r\n"
            + "--\(boundary)--\r\n"
        let suffix = draws.element(["", "", "?dry_run=true", "?strict=true"])
        return Plan.Draft(
            method: "POST", target: "/v1/restore\(suffix)",
            headers: [
                Plan.Setting(
                    name: "Content-Type", value: "multipart/form-data; boundary=\(boundary)")
            ], body: body)
    }

    private mutating func read(_ name: String) -> Plan.Draft {
        let targets = [
            "/v1", "/v1/jobs", "/v1/jobs/\(name)", "/v1/jobs/\(name)/executions",
            "/v1/jobs/\(name)/executions/{last:\(name)}", "/v1/jobs/\(name)/ticks", "/v1/busy",
            "/v1/members", "/v1/leader", "/v1/isleader", "/v1/pause", "/v1/settings", "/health",
            "/ready", "/v1/jobs?_sort=name&_order=DESC&_start=0&_end=3",
            "/v1/jobs?status=untriggered&disabled=false", "/v1/jobs?q=job&_start=90",
            "/v1/jobs?stale", "/v1/jobs/\(name)/executions?output_size_limit=10&_end=5",
            "/v1/jobs/\(name)/executions/{last:\(name)}/output",
            "/v1/jobs/\(name)/executions/{last:\(name)}/output?follow", "/metrics",
            "/debug/vars", "/v1/backup", "/", "/ui/",
        ]
        let method = draws.chance(1, 15) ? "HEAD" : "GET"
        return Plan.Draft(method: method, target: draws.element(targets))
    }
}

/// Requests that must be refused, one rule each.
enum Invalid {
    static func draft(_ name: String, _ draws: inout DrawStream) -> Plan.Draft {
        var draft = draws.chance(2, 3) ? body(name, &draws) : other(name, &draws)
        draft.isInvalid = true
        return draft
    }

    private static func body(_ name: String, _ draws: inout DrawStream) -> Plan.Draft {
        func job(_ member: String) -> String {
            #"{"name":"\#(name)","schedule":"@every 1h","executor":"shell","#
                + #""executor_config":{"command":"sim"},\#(member)}"#
        }
        func request(_ settings: String) -> String {
            #"{"name":"\#(name)","schedule":"@hourly","executor":"http","#
                + #""executor_config":{"method":"GET",\#(settings)}}"#
        }
        let bodies = [
            "", "{", "[]", "null", "\"job\"", #"{"name":"x","schedule":"@hourly"} trailing"#,
            #"{"name":"Bad Name","schedule":"@hourly"}"#, #"{"name":"","schedule":"@hourly"}"#,
            #"{"schedule":"@hourly"}"#, #"{"name":"\#(name)"}"#,
            #"{"name":"\#(name)","schedule":"61 * * * * *"}"#,
            #"{"name":"\#(name)","schedule":"* * * *"}"#,
            #"{"name":"\#(name)","schedule":"0 0 0 31 2 *"}"#,
            #"{"name":"\#(name)","schedule":"@every x"}"#,
            #"{"name":"\#(name)","schedule":"0 0 0 , * *"}"#,
            #"{"name":"\#(name)","schedule":"TZ=Nowhere/Land 0 0 0 * * *"}"#,
            #"{"name":"\#(name)","schedule":"@at 1999-01-01T00:00:00Z"}"#,
            job(#""concurrency":"maybe""#), job(#""timezone":"Nowhere/Land""#),
            job(#""retries":-1"#), job(#""retries":99999999999"#), job(#""retries":"two""#),
            job(#""parent_job":"\#(name)""#), job(#""no_such_field":1"#),
            job(#""tags":{"a":"b:0"}"#),
            job(#""tags":[]"#), job(#""dst":"sometimes""#), job(#""catch_up":"some""#),
            job(#""starts_at":"yesterday""#), job(#""ephemeral":"yes""#),
            #"{"name":"\#(name)","schedule":"@hourly","executor":"shell","#
                + #""executor_config":{"command":"sim","timeout":"soon"}}"#,
            request(#""url":"ftp://peer.sim/""#), request(#""url":"peer.sim""#),
            request(#""url":"http://peer.sim/","expectCode":"2xx""#),
            request(#""url":"http://peer.sim/","expectBody":"(a)\\1""#),
            request(#""url":"http://peer.sim/","headers":"[\"nothing\"]""#),
        ]
        return Plan.Draft(method: "POST", target: "/v1/jobs", body: draws.element(bodies))
    }

    private static func other(_ name: String, _ draws: inout DrawStream) -> Plan.Draft {
        let choices = [
            ("PUT", "/v1/jobs/\(name)", #"{"name":"other","schedule":"@hourly"}"#),
            ("GET", "/v1/jobs?_sort=nonsense", ""), ("GET", "/v1/nowhere", ""),
            ("DELETE", "/v1/jobs", ""), ("GET", "/v1/jobs/%zz", ""),
            ("POST", "/v1/jobs/no-such-job/run", ""), ("GET", "/v1/jobs/no-such-job", ""),
            ("POST", "/v1/jobs/no-such-job/toggle", ""),
            ("DELETE", "/v1/jobs/no-such-job", ""),
            ("POST", "/v1/jobs/\(name)/executions/1-nobody/kill", ""),
            ("GET", "/v1/jobs/no-such-job/executions", ""),
            ("PUT", "/v1/settings", #"{"on_time":"never"}"#),
            ("POST", "/v1/restore", "not multipart"), ("PATCH", "/v1/jobs/no-such-job", "{}"),
            ("BREW", "/v1/jobs", ""),
        ]
        let (method, target, body) = draws.element(choices)
        return Plan.Draft(method: method, target: target, body: body)
    }
}
