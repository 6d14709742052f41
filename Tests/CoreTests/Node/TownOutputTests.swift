import Testing

@testable import Core

/// Outputs of runs on agents, read at any server while they are printed.
@Suite struct TownOutputTests {
    /// Three servers and an agent, the last one, on which a run has been started.
    private struct Stage {
        var town = TownHarness()
        var leader = 0
        var agent: Int { 3 }
        var run = ExecutionID("")
        var path: String { "/v1/jobs/a/executions/\(run)/output" }

        init(agent configure: (inout Config) -> Void = { _ in }) throws {
            for others in [[1, 2], [0, 2], [0, 1]] { town.add(expect: 3, joining: others) }
            town.add(server: false, joining: [0]) { config in
                config.tags = [TagEntry(name: "kind", value: "worker")]
                configure(&config)
            }
            town.advance(.seconds(8))
            leader = try #require(town.leader)
            town.nodes[3].exitCode = nil
            same(
                town.ask(
                    leader, .post, "/v1/jobs",
                    #"{"name":"a","schedule":"@daily","tags":{"kind":"worker"},"#
                        + #""executor":"shell","executor_config":{"command":"date"}}"#
                ).status, 201)
            same(town.ask(leader, .post, "/v1/jobs/a/run?wait=0").status, 202)
            town.advance(.seconds(6))
            run = try #require(town.nodes[agent].started.first?.execution)
        }

        var followers: [Int] { (0..<3).filter { $0 != leader } }

        mutating func read(_ position: Int, _ query: String) -> RequestID {
            let id = town.nodes[position].send(.get, path + query)
            town.exchange()
            return id
        }

        mutating func print(_ text: String, skipped: UInt64 = 0) {
            town.nodes[agent].feed(.run(run, .output(Array(text.utf8), skipped: skipped)))
            town.exchange()
        }

        mutating func end(_ last: String) {
            town.nodes[agent].output = Array(last.utf8)
            town.nodes[agent].end(run)
            town.advance(.seconds(2))
        }

        func text(_ position: Int, _ id: RequestID) -> String { town.nodes[position].text(id) }
    }

    @Test func everyServerShowsWhatAnAgentsRunPrints() throws {
        var stage = try Stage()
        let followers = stage.followers
        stage.print("one ")
        let readers = [
            (stage.leader, stage.read(stage.leader, "?follow")),
            (followers[0], stage.read(followers[0], "?follow")),
            (followers[1], stage.read(followers[1], "?follow&stale")),
        ]
        for (position, id) in readers { same(stage.text(position, id), "one ") }
        stage.print("two ")
        for (position, id) in readers { same(stage.text(position, id), "one two ") }
        // One that asks without waiting for the end.
        let once = stage.read(followers[0], "")
        same(stage.text(followers[0], once), "one two ")
        stage.town.advance(.seconds(30))
        stage.print("three ")
        stage.end("four")
        for (position, id) in readers {
            same(stage.text(position, id), "one two three four")
            #expect(stage.town.nodes[position].streamed.contains(id))
        }
        for node in stage.town.nodes {
            #expect(node.node.mirrors.runs.isEmpty)
            same(node.node.mirrors.nextLook, nil)
        }
    }

    /// More than the run's node keeps: what is stored is laid on what was read.
    @Test func aLongOutputComesWholeToWhoeverReadsAlong() throws {
        var stage = try Stage()
        let id = stage.read(stage.leader, "?follow")
        var printed = ""
        for piece in 0..<40 {
            let text = String(repeating: "\(piece % 10)", count: 50_000)
            printed += text
            stage.print(text)
        }
        stage.end("end")
        #expect(stage.text(stage.leader, id) == printed + "end")
        let late = stage.read(stage.leader, "")
        let kept = stage.text(stage.leader, late).utf8.count
        #expect(kept > 100_000 && kept < printed.utf8.count)
    }

    /// The run's end is known here before the last piece has come.
    @Test func whatWasNotReadInTimeComesFromTheStore() throws {
        var stage = try Stage()
        let id = stage.read(stage.leader, "?follow")
        stage.print("one ")
        var printed = "one "
        for piece in 0..<12 {
            let text = String(repeating: "\(piece % 10)", count: 50_000)
            printed += text
            // Nothing is brought meanwhile.
            let run = stage.run
            stage.town.nodes[stage.agent].feed(.run(run, .output(Array(text.utf8), skipped: 0)))
        }
        stage.end("end")
        let text = stage.text(stage.leader, id)
        #expect(text.hasPrefix("one ") && text.hasSuffix("end"))
        #expect(text.contains("bytes of output were skipped"))
        let note = text.split(separator: "\n").first { $0.hasPrefix("[dkron: ") }
        let words = try #require(note).split(separator: " ")
        let missing = try #require(Int(words[1]))
        let shown = text.utf8.count - (try #require(note).utf8.count + 2)
        same(shown + missing, printed.utf8.count + 3)
    }

    @Test func aNodeThatIsNotReachedDelaysNobodyForLong() throws {
        var stage = try Stage()
        stage.print("one ")
        stage.town.isolated = [stage.agent]
        let once = stage.read(stage.leader, "")
        let follower = stage.read(stage.leader, "?follow")
        same(stage.town.nodes[stage.leader].answers[once]?.status, nil)
        stage.town.advance(.seconds(3))
        same(stage.town.nodes[stage.leader].answers[once]?.status, 200)
        same(stage.text(stage.leader, once), "")
        // It is asked again, and told what it has missed.
        stage.town.isolated = []
        stage.town.advance(.seconds(3))
        same(stage.text(stage.leader, follower), "one ")
        stage.print("two ")
        same(stage.text(stage.leader, follower), "one two ")
    }

    @Test func anOlderProgramIsNotAsked() throws {
        var stage = try Stage { $0.featureLevel = FeatureLevel.fourth }
        stage.print("one ")
        let once = stage.read(stage.leader, "")
        let follower = stage.read(stage.leader, "?follow")
        stage.town.advance(.seconds(3))
        same(stage.text(stage.leader, once), "")
        stage.end("two")
        same(stage.text(stage.leader, follower), "one two")
    }

    @Test func whoReadsADeletedRunIsToldSo() throws {
        var stage = try Stage()
        stage.print("one ")
        stage.town.deaf = [[stage.agent, stage.leader]]
        let once = stage.read(stage.leader, "")
        let follower = stage.read(stage.leader, "?follow")
        same(stage.town.ask(stage.leader, .delete, "/v1/jobs/a").status, 200)
        stage.town.advance(.seconds(3))
        for id in [once, follower] {
            let text = stage.text(stage.leader, id)
            #expect(text.contains("the execution was deleted"), "\(text)")
        }
        #expect(stage.town.nodes[stage.leader].streamed.contains(follower))
    }

    // MARK: The pieces

    @Test func aMirrorTakesEveryByteOnce() {
        let key = ExecutionKey(generation: 1, number: 2)
        func piece(_ start: UInt64, _ bytes: [UInt8], of total: UInt64) -> PrintedOutput {
            PrintedOutput(key: key, total: total, start: start, bytes: bytes)
        }
        var mirror = OutputMirror(limit: 8, at: .zero)
        same(mirror.take(piece(0, [0, 1, 2], of: 5)), true)
        #expect(!mirror.isWhole)
        same(mirror.take(piece(0, [0, 1, 2], of: 5)), false)
        // What came before and more.
        same(mirror.take(piece(1, [1, 2, 3, 4], of: 5)), true)
        #expect(mirror.isWhole)
        same(Array(mirror.tail.bytes), [0, 1, 2, 3, 4])
        // Only the total; and a piece behind a gap.
        same(mirror.take(piece(9, [], of: 9)), false)
        same(mirror.total, 9)
        same(mirror.take(piece(7, [7, 8], of: 9)), true)
        same(mirror.tail.totalBytes, 9)
        same(mirror.tail.start, 7)
        // Places that can't be.
        same(mirror.take(piece(.max, [1], of: 3)), false)
        same(mirror.total, 9)
    }

    @Test func questionsAreBoundedAndLapse() {
        let key = ExecutionKey(generation: 1, number: 2)
        var tail = OutputTail(limit: 8)
        tail.append([1, 2, 3])
        var watchers = OutputWatchers()
        for server in 0..<UInt128(OutputWatchers.limit) + 1 {
            watchers.ask(key, from: 1, by: server, at: .zero)
        }
        var answers = watchers.answers(key, tail, isEnd: false, to: nil, at: .zero)
        same(answers.count, OutputWatchers.limit)
        same(answers[0].piece, PrintedOutput(key: key, total: 3, start: 1, bytes: [2, 3]))
        // One piece for each question; the end is told to all.
        answers = watchers.answers(key, tail, isEnd: false, to: nil, at: .zero)
        #expect(answers.isEmpty)
        answers = watchers.answers(key, tail, isEnd: true, to: nil, at: .zero)
        same(answers.count, OutputWatchers.limit)
        same(answers[0].piece, PrintedOutput(key: key, total: 3, start: 3, bytes: []))
        let later = Instant.zero + OutputWatchers.patience
        watchers.ask(key, from: 0, by: 1 << 100, at: later)
        answers = watchers.answers(key, tail, isEnd: true, to: nil, at: later)
        same(answers.map(\.server), [1 << 100])
    }
}
