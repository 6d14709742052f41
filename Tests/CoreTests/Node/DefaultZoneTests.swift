// A server that was given another default zone than its cluster has says so.

import Testing

@testable import Core

@Suite("The default zone that a server is given")
struct DefaultZoneTests {
    private static func warnings(_ harness: NodeHarness, since first: Int = 0) -> [String] {
        harness.logs[first...].filter { $0.level == .warning }.map(\.message)
            .filter { $0.contains("default-timezone") }
    }

    private static let madrid = """
        default-timezone Europe/Madrid has no effect: jobs that name no zone follow UTC, the \
        default zone of this cluster, which was fixed when the cluster was made and can't be \
        changed. Give the jobs that are to follow Europe/Madrid that "timezone", and take the \
        option away
        """

    private static func give(_ zone: String, _ config: inout Config) {
        config.defaultZone = zone
        config.isZoneGiven = true
    }

    @Test("a server of an older cluster warns once per start, and only of another zone")
    func restarts() {
        var harness = NodeHarness { Self.give("UTC", &$0) }
        #expect(Self.warnings(harness) == [], "the cluster was made with it")
        for _ in 1...2 {
            let before = harness.logs.count
            harness.restart { Self.give("Europe/Madrid", &$0) }
            same(harness.ask(.put, "/v1/settings", #"{"group_retention": 50}"#).status, 200)
            harness.advance(.seconds(30))
            #expect(Self.warnings(harness, since: before) == [Self.madrid])
        }
        var before = harness.logs.count
        harness.restart { Self.give("UTC", &$0) }
        #expect(Self.warnings(harness, since: before) == [])
        before = harness.logs.count
        harness.restart { config in
            config.defaultZone = "Europe/Madrid"
            config.isZoneGiven = false
        }
        #expect(Self.warnings(harness, since: before) == [], "that is the host's")
    }

    @Test("a new server warns when it has the log, or the leader's state")
    func newServers() throws {
        for isBehind in [false, true] {
            let tunables = isBehind ? TransferTests.small : Tunables()
            var cluster = ClusterHarness(3, tunables: tunables)
            if isBehind {
                let job =
                    #"{"name":"a","schedule":"@every 1s","executor":"shell","#
                    + #""executor_config":{"command":"date"}}"#
                same(cluster.ask(try #require(cluster.leader), .post, "/v1/jobs", job).status, 201)
                cluster.advance(.seconds(25))
            }
            try cluster.addLearner(tunables: tunables) { Self.give("Europe/Madrid", &$0) }
            #expect(Self.warnings(cluster.servers[3]) == [])
            cluster.advance(.seconds(10))
            let installed = cluster.servers[3].logs.count {
                $0.message == "this server has the leader's state and outputs"
            }
            #expect(installed == (isBehind ? 1 : 0))
            #expect(Self.warnings(cluster.servers[3]) == [Self.madrid])
            for old in cluster.servers[..<3] { #expect(Self.warnings(old) == []) }
        }
    }
}
