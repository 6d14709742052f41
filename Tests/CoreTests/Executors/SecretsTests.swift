import Testing

@testable import Core

@Suite struct SecretsTests {
    private func names(_ text: String) -> [String]? { try? SecretReference.names(in: text) }

    private func fill(_ text: String) throws -> String {
        let values = [
            Setting(name: "a", value: "x"), Setting(name: "b.c-d_e", value: "${secret:a}"),
        ]
        return try SecretReference.fill(text, values)
    }

    @Test func namesAreFoundWhereTheyStand() {
        #expect(names("") == [])
        #expect(names("plain ${HOME} $secret {secret:a}") == [])
        #expect(names("${secret:a}") == ["a"])
        #expect(names("-${secret:b.c-d_e}${secret:a}${secret:a}-") == ["b.c-d_e", "a"])
        #expect(names("$${secret:a} ${secret:b}") == ["b"])
        #expect(names("$ $$ ${secre $${ ${secret:a}\u{301}$") == ["a"])
    }

    @Test func aBrokenReferenceIsRefusedWithItsPlace() {
        let broken = [
            "${secret:", "${secret:}", "${secret:a b}", "${secret:../x}", "${secret:.x}",
            "${secret:\u{301}a}",
        ]
        for text in broken {
            let error = #expect(throws: TextError.self) {
                try SecretReference.names(in: "12" + text)
            }
            #expect(error?.column == 3)
            #expect(error?.message.contains("a name has letters") == true)
        }
        let long = String(repeating: "a", count: SecretReference.longestName)
        #expect(names("${secret:\(long)}") == [long])
        #expect(names("${secret:\(long)a}") == nil)
    }

    @Test func valuesTakeThePlacesOfNamesOnce() throws {
        #expect(try fill("Bearer ${secret:a}!") == "Bearer x!")
        #expect(try fill("${secret:b.c-d_e}") == "${secret:a}", "a value is not read again")
        #expect(try fill("$${secret:a}") == "${secret:a}")
        #expect(try fill("$$${secret:a}") == "$${secret:a}")
        #expect(try fill("plain") == "plain")
    }

    // MARK: Output

    private func masked(_ pieces: [String], _ secrets: [String]) -> String {
        var mask = SecretMask(secrets.map { Setting(name: "n", value: $0) })
        var shown: [UInt8] = []
        for piece in pieces { shown += mask.take(Array(piece.utf8)) }
        return String(decoding: shown + mask.finish(), as: UTF8.self)
    }

    @Test func secretsAreHiddenHoweverTheOutputIsCut() {
        let secrets = ["hunter2", "hunter22", "unter"]
        let text = "a hunter2 b hunter22 c hunt unter hunterhunter2hunte"
        let expected = "a *** b *** c hunt *** h******hunte"
        #expect(masked([text], secrets) == expected)
        #expect(masked(text.map { String($0) }, secrets) == expected)
        for cut in 0...text.utf8.count {
            let pieces = [String(text.prefix(cut)), String(text.dropFirst(cut))]
            #expect(masked(pieces, secrets) == expected)
        }
    }

    @Test func whatIsTooShortToHideIsLeft() {
        #expect(masked(["abc abcd"], ["abc", ""]) == "abc abcd")
        #expect(masked(["abc abcd"], ["abcd"]) == "abc ***")
    }

    // MARK: A node

    private func harness() -> NodeHarness {
        var harness = NodeHarness()
        let job =
            #"{"name":"a","schedule":"@manually","executor":"shell","#
            + #""executor_config":{"command":"date","env":"T=${secret:token}"}}"#
        _ = harness.ask(.post, "/v1/jobs", job)
        return harness
    }

    @Test func aSecretIsReadWhereTheJobRunsAndIsNeverStored() throws {
        var harness = harness()
        harness.secrets = ["token": "open sesame"]
        harness.output = Array("it is open sesame\n".utf8)
        let ran = harness.ask(.post, "/v1/jobs/a/run?wait=10s")
        #expect(ran.status == 200)
        let variables = harness.started[0].command.environment
        #expect(variables.contains(EnvironmentEntry(name: "T", value: "open sesame")))
        let shown = harness.ask(.get, "/v1/jobs/a/executions").body
        #expect(shown.contains(#"it is ***\n"#), "\(shown)")
        #expect(harness.ask(.get, "/v1/jobs/a").body.contains("T=${secret:token}"))
        let written = harness.files.values.flatMap { $0 }
        #expect(written.firstRange(of: Array("${secret:token}".utf8)) != nil)
        #expect(written.firstRange(of: Array("open sesame".utf8)) == nil)
        #expect(!"\(harness.logs)".contains("open sesame"))
    }

    @Test func aMissingSecretFailsTheRunWithItsName() throws {
        var harness = harness()
        _ = harness.ask(.post, "/v1/jobs/a/run?wait=10s")
        let shown = harness.ask(.get, "/v1/jobs/a/executions").body
        #expect(shown.contains("the secret is not here"), "\(shown)")
        #expect(harness.started.isEmpty)
    }

    @Test func settingsThatSecretsArePartOfAreCheckedWhereTheyAre() {
        func save(_ config: String) -> (status: Int, body: String) {
            var harness = NodeHarness()
            let job =
                #"{"name":"a","schedule":"@manually","executor":"http","#
                + #""executor_config":\#(config)}"#
            return harness.ask(.post, "/v1/jobs", job)
        }
        same(save(#"{"method":"GET","url":"${secret:hook}","timeout":"${secret:t}"}"#).status, 201)
        let unknown = save(#"{"method":"GET","url":"${secret:hook}","x":"1"}"#)
        same(unknown.status, 400)
        let broken = save(#"{"method":"GET","url":"http://h/${secret:a b}"}"#)
        same(broken.status, 400)
        #expect(broken.body.contains("column 10"), "\(broken.body)")
    }
}
