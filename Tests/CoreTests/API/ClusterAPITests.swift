import Testing

@testable import Core

@Suite("API: node and cluster")
struct ClusterAPITests {
    @Test("liveness and readiness differ")
    func health() {
        var node = APIHarness()
        #expect(node.get("/health").text == #"{"status":"healthy"}"#)
        #expect(node.get("/health").headers["X-Whom"] == nil)
        #expect(node.get("/ready").text == #"{"status":"ready"}"#)
        let cases: [(APIContext.Role, String)] = [
            (.follower(leader: nil), "no leader"), (.recovering("half way"), "half way"),
            (.stopping, "stopping"), (.halted("the disk lies"), "the disk lies"),
        ]
        for (role, text) in cases {
            node.role = role
            #expect(node.get("/health").status == 200)
            let reply = node.get("/ready")
            #expect(reply.status == 503)
            #expect(reply.code == "not_ready")
            #expect(reply.error.contains(text))
        }
        node.role = .follower(leader: NodeName("n2"))
        #expect(node.get("/ready").status == 200)
    }

    @Test("without a leader it says who is missing, or that there is no cluster yet")
    func majority() {
        var node = APIHarness()
        node.role = .follower(leader: nil)
        node.configuration = RaftConfiguration(voters: [7, 8, 9])
        let counts = "of its 3 servers 2 are needed"
        #expect(node.get("/ready").error.contains(counts))
        #expect(node.get("/v1/jobs").error.contains("O" + counts.dropFirst()))
        #expect(node.get("/v1/leader").error.contains(Hexadecimal.text(ofIdentity: 9)))
        node.configuration = .empty
        #expect(node.get("/ready").error.contains("no cluster yet"))
        #expect(!node.get("/v1/jobs").error.contains("servers"))
    }

    @Test("gossip is told to be encrypted when it is", arguments: [0, 29])
    func encrypted(sealBytes: Int) {
        var node = APIHarness()
        node.config.gossip = GossipSettings()
        node.config.gossip?.sealBytes = sealBytes
        let shown = node.get("/v1").text
        #expect(shown.contains(#""encrypted":"\#(sealBytes > 0)""#))
    }

    @Test("what a node can't do in its state it says")
    func roles() {
        var node = APIHarness()
        node.put(#"{"name":"a","schedule":"@daily"}"#)
        func codes(_ role: APIContext.Role) -> [String?] {
            node.role = role
            return [
                node.get("/v1/jobs").code, node.get("/v1/jobs/a?stale").code,
                node.send(.post, "/v1/jobs/a/toggle")?.code,
            ]
        }
        #expect(codes(.follower(leader: nil)) == ["no_leader", nil, "no_leader"])
        #expect(codes(.follower(leader: NodeName("n2"))) == ["not_leader", nil, "not_leader"])
        #expect(codes(.recovering("x")) == ["recovering", "recovering", "recovering"])
        #expect(codes(.stopping) == [nil, nil, "stopping"])
        #expect(codes(.halted("x")) == ["halted", "halted", "halted"])
        node.role = .follower(leader: nil)
        let reply = node.get("/v1/jobs/a")
        #expect(reply.status == 503)
        #expect(reply.error.contains("?stale"))
        #expect(reply.headers["Retry-After"] == "1")
        #expect(node.get("/v1/leader").code == "no_leader")
        #expect(node.get("/v1/isleader").text == #""I am a follower""#)
        #expect(node.get("/v1/isleader").status == 404)
        #expect(node.get("/v1/members").status == 200)
    }

    @Test("the node's status is texts only")
    func status() {
        var node = APIHarness()
        let reply = node.get("/v1")
        #expect(reply["agent"] == #"{"name":"n1","version":"1.0"}"#)
        #expect(reply["tags"]?.contains(#""role":"dkron""#) == true)
        #expect(reply["tags"]?.contains(#""rpc_addr":"127.0.0.1:6868""#) == true)
        #expect(reply["cluster"]?.contains(#""default_timezone":"UTC""#) == true)
        #expect(reply["serf"]?.contains(#""members":"1""#) == true)
        #expect(reply["serf"]?.contains(#""member_time":"1""#) == true)
        #expect(reply.fieldNames == ["agent", "serf", "tags", "cluster"])
        #expect(node.get("/v1/").text == reply.text)
    }

    @Test("members have Dkron's capitals")
    func members() {
        var node = APIHarness()
        let reply = node.get("/v1/members")
        #expect(
            reply.fieldNames == [
                "Name", "Addr", "Port", "Tags", "Status", "ProtocolMin", "ProtocolMax",
                "ProtocolCur", "DelegateMin", "DelegateMax", "DelegateCur", "id", "statusText",
            ])
        #expect(reply.headers["X-Total-Count"] == "1")
        #expect(reply.each("statusText") == ["alive"])
        #expect(reply.each("Status") == ["1"])
        let leader = node.get("/v1/leader")
        #expect(leader["Name"] == #""n1""#)
        #expect(leader.fieldNames.count == 11)
        #expect(node.get("/v1/isleader").text == #""I am a leader""#)
    }

    @Test("a node keeps its own role")
    func ownRole() {
        var config = APIHarness().config
        config.tags = [TagEntry(name: "role", value: "web"), TagEntry(name: "dc", value: "mine")]
        let member = Member(config, tags: config.tags)
        #expect(member.tag("role") == "web")
        #expect(member.tag("dc") == "dc1")
        #expect(member.tag("server") == "true")
        #expect(member.tag("expect") == nil)
    }

    @Test("how many servers the cluster begins with is a tag, if it was said")
    func expect() {
        var config = APIHarness().config
        config.tags = [TagEntry(name: "expect", value: "7")]
        #expect(Member(config, tags: config.tags).tag("expect") == nil)
        config.bootstrapExpect = 1
        #expect(Member(config, tags: config.tags).tag("expect") == "1")
        config.isServer = false
        #expect(Member(config, tags: config.tags).tag("expect") == nil)
    }

    @Test("a pause stops submissions, and with edits=allow does not")
    func pause() {
        var node = APIHarness()
        #expect(node.get("/v1/pause").text == #"{"paused":false}"#)
        node.put(#"{"name":"a","schedule":"@daily"}"#)
        let reply = node.send(.post, "/v1/pause", "whatever")
        #expect(reply?.text == #"{"paused":true,"edits":"refuse"}"#)
        #expect(node.lastLog == "cluster paused")
        let refused = node.send(.post, "/v1/jobs", #"{"name":"b","schedule":"@daily"}"#)
        #expect(refused?.status == 503)
        #expect(refused?.code == "paused")
        #expect(node.send(.patch, "/v1/jobs/a", "{}")?.code == "paused")
        #expect(node.send(.post, "/v1/jobs/a/toggle")?.status == 200)
        #expect(
            node.send(.post, "/v1/pause?edits=allow")?.text
                == #"{"paused":true,"edits":"allow"}"#)
        node.put(#"{"name":"b","schedule":"@daily"}"#)
        #expect(node.send(.post, "/v1/unpause")?.text == #"{"paused":false}"#)
        #expect(node.lastLog == "cluster resumed")
        #expect(node.send(.post, "/v1/pause?edits=x")?.status == 400)
    }

    @Test("a change of settings goes on from the one that is on its way")
    func settingsOnTheirWay() {
        var node = APIHarness()
        node.holdsProposals = true
        let ids = [
            node.begin(.put, "/v1/settings", #"{"group_retention":7}"#),
            node.begin(.put, "/v1/settings", #"{"ledger_retention":70}"#),
        ]
        node.apply(node.held[0].0, node.held[0].1)
        let third = node.begin(.put, "/v1/settings", #"{"on_time":"20s"}"#)
        for (proposal, body) in node.held[1...] { node.apply(proposal, body) }
        #expect((ids + [third]).allSatisfy { node.replies[$0]?.status == 200 })
        let settings = node.store.cluster.settings
        #expect(settings.groupRetention == 7 && settings.ledgerRetention == 70)
        #expect(settings.onTime == .seconds(20))
        // One that came to nothing is not gone on from.
        let lost = node.begin(.put, "/v1/settings", #"{"group_retention":9}"#)
        let proposal = node.held[3].0
        node.run { $0.failed(proposal, .noLeader, $1, into: &$2) }
        #expect(node.replies[lost]?.status == 503)
        _ = node.begin(.put, "/v1/settings", #"{"ledger_retention":80}"#)
        node.apply(node.held[4].0, node.held[4].1)
        #expect(node.store.cluster.settings.groupRetention == 7)
    }

    @Test("settings change one by one and within bounds")
    func settings() {
        var node = APIHarness()
        #expect(
            node.get("/v1/settings").text
                == #"{"default_timezone":"UTC","on_time":"10s","catch_up_window":"10m0s","#
                + #""lost_after":"5m0s","lost_after_fenced":"1h0m0s","group_retention":100,"#
                + #""ledger_retention":1000,"age_retention":null}"#)
        let reply = node.send(
            .put, "/v1/settings",
            #"{"on_time":"20s","group_retention":7,"age_retention":"720h","#
                + #""default_timezone":"UTC"}"#)
        #expect(reply?.status == 200)
        #expect(reply?["on_time"] == #""20s""#)
        #expect(reply?["group_retention"] == "7")
        #expect(reply?["age_retention"] == #""720h0m0s""#)
        #expect(reply?["catch_up_window"] == #""10m0s""#)
        let cleared = node.send(.put, "/v1/settings", #"{"age_retention":null}"#)
        #expect(cleared?["age_retention"] == "null")
        let wrong = [
            ("{", nil), ("[]", nil), (#"{"x":1}"#, "x"), (#"{"on_time":5}"#, "on_time"),
            (#"{"on_time":"5x"}"#, "on_time"), (#"{"lost_after":"1s"}"#, "lost_after"),
            (#"{"group_retention":0}"#, "group_retention"),
            (#"{"default_timezone":"Europe/Madrid"}"#, "default_timezone"),
        ]
        for (body, field) in wrong {
            let reply = node.send(.put, "/v1/settings", body)
            #expect(reply?.status == 400)
            #expect(reply?["field"] == field.map { "\"\($0)\"" })
        }
    }

    @Test("the only server can't leave")
    func leave() {
        var node = APIHarness()
        let reply = node.send(.post, "/v1/leave")
        #expect(reply?.status == 409)
        #expect(reply?.error.contains("SIGTERM") == true)
    }
}
