import Testing

@testable import Core

@Suite("API: an output by itself")
struct OutputAPITests {
    private static let events: HTTPHeaders = ["Accept": "text/event-stream"]

    /// A run under way.
    private func node() -> (APIHarness, Assignment, String) {
        var node = APIHarness()
        node.put(#"{"name":"o","schedule":"@daily"}"#)
        node.send(.post, "/v1/jobs/o/run?wait=0")
        let run = node.launched[0]
        node.start(run)
        return (node, run, "/v1/jobs/o/executions/\(run.id)/output")
    }

    @Test("the bytes as they are, live, from memory and from files")
    func whole() {
        var (node, run, path) = node()
        #expect(node.get(path).text == "")
        let bytes: [UInt8] = [0, 0xff, 0x0a] + Array("x\r\n".utf8)
        node.prints(run, bytes)
        #expect(node.get(path).body == bytes)
        node.output(run, ["one\u{0}", "two\n"])
        node.end(run)
        node.forgetLive(run)
        let reply = node.get(path)
        #expect(reply.text == "one\u{0}two\n" && reply.status == 200 && reply.pieces == 0)
        #expect(reply.headers["Content-Type"] == "text/plain; charset=utf-8")
        #expect(reply.headers["X-Dkron-Output-Truncated"] == nil)
        node.writeHistory()
        #expect(node.get(path).text == "one\u{0}two\n")
        #expect(node.get(path + "?follow").text == "one\u{0}two\n")
        #expect(node.reads > 0)
        #expect(node.send(.head, path)?.status == 200)
        for file in node.disk.names(in: .history) { node.disk.delete(file) }
        #expect(node.get(path).code == "output_unreadable")
        #expect(node.api.pendingRequests == 0 && node.api.outputs.isEmpty)
    }

    @Test("what is not there, and what is not understood")
    func refusals() {
        var (node, _, path) = node()
        #expect(node.get("/v1/jobs/x/executions/1-n1/output").code == "unknown_job")
        #expect(node.get("/v1/jobs/o/executions/1-n1/output").code == "unknown_execution")
        #expect(node.get(path + "?follow=maybe").code == "invalid_parameter")
        let headers: HTTPHeaders = ["Accept": "text/event-stream", "Last-Event-ID": "-1"]
        #expect(node.send(.get, path, headers: headers)?.code == "invalid_parameter")
        #expect(node.api.pendingRequests == 0)
    }

    @Test("a follower gets what there is, then each piece, then the end")
    func follow() {
        var (node, run, path) = node()
        node.prints(run, Array("before ".utf8))
        let id = node.begin(.get, path + "?follow")
        #expect(node.replies[id]?.text == "before ")
        node.prints(run, Array("during ".utf8))
        #expect(node.replies[id]?.text == "before during ")
        node.prints(run, Array("after".utf8))
        node.output(run, ["before during after"])
        #expect(node.api.outputs.count == 1)
        node.end(run)
        #expect(node.replies[id]?.text == "before during after")
        #expect(node.api.outputs.isEmpty && node.api.followers.isEmpty)
        #expect(node.api.pendingRequests == 0 && node.api.nextDeadline == nil)
    }

    @Test("the header is there before the first byte")
    func silence() {
        var (node, _, path) = node()
        let id = node.begin(.get, path + "?follow")
        #expect(node.replies[id]?.status == 200)
        #expect(node.replies[id]?.pieces == 0)
    }

    @Test("a slow reader costs one piece, skips, and is told")
    func slow() {
        var (node, run, path) = node()
        node.isStalled = true
        let id = node.begin(.get, path + "?follow")
        node.prints(run, Array("first".utf8), limit: 10)
        for digit in 0..<9 { node.prints(run, Array("\(digit)0000".utf8)) }
        #expect(node.replies[id]?.text == "first", "nothing more before that has left")
        node.isStalled = false
        node.run { $0.drained(id, $1, into: &$2) }
        let note = "\n[dkron: 35 bytes of output were skipped: they came too fast]\n"
        #expect(node.replies[id]?.text == "first" + note + "7000080000")
    }

    @Test("a slow reader gets the rest from the history, without a gap")
    func slowAtTheEnd() {
        var (node, run, path) = node()
        node.isStalled = true
        let id = node.begin(.get, path + "?follow")
        node.prints(run, Array("first".utf8), limit: 10)
        node.prints(run, Array("12345abcde".utf8))
        node.output(run, ["12345abcde"])
        node.end(run)
        node.forgetLive(run)
        node.isStalled = false
        node.run { $0.drained(id, $1, into: &$2) }
        #expect(node.replies[id]?.text == "first12345abcde")
        #expect(node.api.pendingRequests == 0)
    }

    @Test("events carry offsets, whole characters and lines, and an end")
    func events() {
        var (node, run, path) = node()
        node.prints(run, Array("a\nb\r\n".utf8) + [0xc3])
        let id = node.begin(.get, path, headers: Self.events)
        #expect(node.replies[id]?.headers["Content-Type"] == "text/event-stream; charset=utf-8")
        #expect(node.replies[id]?.text == "id: 5\ndata: a\ndata: b\ndata: \n\n")
        node.prints(run, [0xb6, 0x0d])
        #expect(node.replies[id]?.text.hasSuffix("id: 7\ndata: ö\n\n") == true)
        node.prints(run, [0x0a])
        #expect(node.replies[id]?.text.hasSuffix("id: 9\ndata: \ndata: \n\n") == true)
        node.wait(.seconds(16))
        #expect(node.replies[id]?.text.hasSuffix("\n\n:\n\n") == true)
        node.output(run, ["a\nb\r\nö\r\n"])
        node.end(run)
        #expect(
            node.replies[id]?.text.hasSuffix(":\n\nevent: end\nid: end\ndata: success\n\n") == true)
        #expect(node.api.nextDeadline == nil)
    }

    @Test("events go on where the client says, live and from the history")
    func resume() {
        var (node, run, path) = node()
        node.prints(run, Array("0123456789".utf8))
        func at(_ id: String) -> HTTPHeaders {
            ["Accept": "text/event-stream", "Last-Event-ID": id]
        }
        let live = node.begin(.get, path, headers: at("4"))
        #expect(node.replies[live]?.text == "id: 10\ndata: 456789\n\n")
        let early = node.begin(.get, path, headers: at("99"))
        #expect(node.replies[early]?.text == "")
        node.output(run, ["0123456789"])
        node.end(run)
        node.forgetLive(run)
        let end = "event: end\nid: end\ndata: success\n\n"
        #expect(node.replies[early]?.text == end)
        #expect(
            node.send(.get, path, headers: at("7"))?.text == "id: 10\ndata: 789\n\n" + end)
        #expect(node.send(.get, path, headers: at("10"))?.text == end)
        #expect(node.send(.get, path, headers: at("end"))?.status == 204)
    }

    @Test("a client that goes away, or a job that is deleted, frees the follower")
    func freed() {
        var (node, run, path) = node()
        let gone = node.begin(.get, path + "?follow")
        let stays = node.begin(.get, path + "?follow")
        #expect(node.api.isFollowed(run.key) && node.api.followers.count == 2)
        node.abandon(gone)
        #expect(node.api.followers.count == 1)
        node.send(.delete, "/v1/jobs/o")
        #expect(node.replies[stays]?.text == "\n[dkron: the execution was deleted]\n")
        #expect(node.api.followers.isEmpty && node.api.pendingRequests == 0)
        #expect(!node.api.isFollowed(run.key))
    }

    @Test("followers are bounded, and take no place from lists")
    func bounded() {
        var (node, _, path) = node()
        for _ in 0..<API.Limit.outputs { _ = node.begin(.get, path + "?follow") }
        #expect(node.get(path + "?follow").code == "busy")
        #expect(node.get("/v1/jobs").status == 200)
    }

    @Test("a place in a tail counts what never came, and nothing before it")
    func places() {
        var tail = OutputTail(limit: 8)
        tail.append([1, 2, 3])
        #expect(tail.start == 0 && Array(tail.bytes(from: 1, limit: 1)) == [2])
        tail.append([4, 5], skipped: 10)
        #expect(tail.totalBytes == 15 && tail.start == 13)
        #expect(Array(tail.bytes(from: 13, limit: 9)) == [4, 5])
        tail.append([6, 7, 8, 9, 10, 11, 12])
        #expect(tail.totalBytes == 22 && tail.start == 14)
        #expect(Array(tail.bytes(from: 14, limit: 2)) == [5, 6])
        #expect(tail.bytes(from: 22, limit: 2).isEmpty && tail.bytes(from: .max, limit: 2).isEmpty)
    }

    @Test("a whole node streams a run from its start to its end")
    func wholeNode() throws {
        var node = NodeHarness()
        node.exitCode = nil
        _ = node.ask(
            .post, "/v1/jobs",
            #"{"name":"j","schedule":"@daily","executor":"shell","#
                + #""executor_config":{"command":"x"}}"#)
        _ = node.ask(.post, "/v1/jobs/j/run?wait=0")
        let run = try #require(node.started.first?.execution)
        let id = node.send(.get, "/v1/jobs/j/executions/\(run)/output?follow")
        node.feed(.run(run, .output(Array("one ".utf8), skipped: 0)))
        #expect(node.text(id) == "one ")
        node.end(run)
        #expect(node.text(id) == "one hello\n")
        #expect(node.node.api.outputs.isEmpty && node.node.runner.heldCount == 0)
        #expect(node.ask(.get, "/v1/jobs/j/executions/\(run)/output").body == "one hello\n")
    }
}
