import Testing

@testable import Core

@Suite("JSON merge patch")
struct JSONMergePatchTests {
    private func apply(_ patch: String, to target: String) throws -> String {
        let result = try JSONMergePatch.apply(Array(patch.utf8), to: Array(target.utf8))
        return String(decoding: result, as: UTF8.self)
    }

    /// RFC 7396 appendix A: target, patch, result.
    @Test(arguments: [
        (#"{"a":"b"}"#, #"{"a":"c"}"#, #"{"a":"c"}"#),
        (#"{"a":"b"}"#, #"{"b":"c"}"#, #"{"a":"b","b":"c"}"#),
        (#"{"a":"b"}"#, #"{"a":null}"#, #"{}"#),
        (#"{"a":"b","b":"c"}"#, #"{"a":null}"#, #"{"b":"c"}"#),
        (#"{"a":["b"]}"#, #"{"a":"c"}"#, #"{"a":"c"}"#),
        (#"{"a":"c"}"#, #"{"a":["b"]}"#, #"{"a":["b"]}"#),
        (#"{"a":{"b":"c"}}"#, #"{"a":{"b":"d","c":null}}"#, #"{"a":{"b":"d"}}"#),
        (#"{"a":[{"b":"c"}]}"#, #"{"a":[1]}"#, #"{"a":[1]}"#),
        (#"["a","b"]"#, #"["c","d"]"#, #"["c","d"]"#),
        (#"{"a":"b"}"#, #"["c"]"#, #"["c"]"#),
        (#"{"a":"foo"}"#, #"null"#, #"null"#),
        (#"{"a":"foo"}"#, #""bar""#, #""bar""#),
        (#"{"e":null}"#, #"{"a":1}"#, #"{"e":null,"a":1}"#),
        (#"[1,2]"#, #"{"a":"b","c":null}"#, #"{"a":"b"}"#),
        (#"{}"#, #"{"a":{"bb":{"ccc":null}}}"#, #"{"a":{"bb":{}}}"#),
    ])
    func followsTheStandard(_ target: String, _ patch: String, _ result: String) throws {
        #expect(try apply(patch, to: target) == result)
    }

    @Test func theLastDuplicateCounts() throws {
        #expect(try apply(#"{"a":1,"a":null}"#, to: #"{"a":0,"b":1,"a":5}"#) == #"{"b":1}"#)
        #expect(try apply(#"{"c":null,"c":2}"#, to: #"{"b":1,"b":2}"#) == #"{"b":2,"c":2}"#)
        #expect(try apply(#"{"\u0061":2}"#, to: #"{"a":1}"#) == #"{"a":2}"#)
    }

    @Test func keepsNumbersAsWritten() throws {
        #expect(try apply(#"{"x":1.50}"#, to: #"{"n":1e400}"#) == #"{"n":1e400,"x":1.50}"#)
    }

    @Test func refusesMalformedTexts() {
        #expect(throws: JSONError.self) { try apply("{", to: "{}") }
        #expect(throws: JSONError.self) { try apply("{}", to: "{") }
    }
}
