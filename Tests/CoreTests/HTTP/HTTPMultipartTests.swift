import Testing

@testable import Core

@Suite("HTTP multipart")
struct HTTPMultipartTests {
    private let type = "multipart/form-data; boundary=XyZ"

    private func part(
        _ body: String, type: String? = "multipart/form-data; boundary=XyZ"
    ) throws(HTTPMultipart.Failure) -> String {
        let content = try HTTPMultipart.part(
            named: "file", contentType: type, body: Array(body.utf8))
        return String(decoding: content, as: UTF8.self)
    }

    @Test func asCurlSendsIt() throws {
        let body =
            "--XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"b.json\"\r\n"
            + "Content-Type: application/json\r\n\r\n[{\"a\":1}]\r\n\r\n--XyZ--\r\n"
        #expect(try part(body) == "[{\"a\":1}]\r\n")
        #expect(try part("preamble\r\n" + body + "epilogue") == "[{\"a\":1}]\r\n")
    }

    @Test func otherPartsAreSkipped() throws {
        let other = "--XyZ\r\nContent-Disposition: form-data; name=other\r\n\r\n--XyX\r\n-\r\n"
        let wanted = "--XyZ \t\r\nX: y\r\ncontent-disposition: Form-Data ;name=file\r\n\r\n\r\n"
        #expect(try part(other + wanted + "--XyZ--") == "")
        #expect(try part(other + "--XyZ\r\n\r\nnameless\r\n" + wanted + "--XyZ--") == "")
        #expect(throws: HTTPMultipart.Failure.missingPart) { try part(other + "--XyZ--\r\n") }
    }

    @Test func aPartWithoutContent() throws {
        let head = "--XyZ\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n"
        #expect(try part(head + "\r\n--XyZ--") == "")
        #expect(try part(head + "--XyZ--") == "")
    }

    @Test func contentTypes() throws {
        let body = "--a b\r\nContent-Disposition: form-data; name=\"fi\\le\"\r\n\r\nx\r\n--a b--"
        #expect(try part(body, type: "Multipart/Form-Data;charset=x; BOUNDARY=\"a b\"") == "x")
        for type in [
            nil, "", "application/json", "multipart/mixed; boundary=a", "multipart/form-data",
            "multipart/form-data; boundary=", "multipart/form-data; boundary=\"a",
            "multipart/form-data; boundary", "multipart/form-data; boundary=a\u{1}",
            "multipart/form-data; boundary=" + String(repeating: "a", count: 71),
        ] {
            #expect(throws: HTTPMultipart.Failure.notMultipart) { try part(body, type: type) }
        }
    }

    private let malformedBodies = [
        "", "--XyZ", "--XyZ\n\r\n", "--XyZ\r\n", "--XyZ\r\nA: b", "--XyZ\r\nA: b\r\n\r\nx",
        "--XyZ\r\nA\r\n\r\nx\r\n--XyZ--", "--XyZ\r\n A: b\r\n\r\nx\r\n--XyZ--",
        "--XyZ\r\nA: b\n\r\nx\r\n--XyZ--", "--XyZab\r\n\r\n\r\n--XyZ--",
        "--XyZ\r\nA: " + String(repeating: "b", count: 9000) + "\r\n\r\nx\r\n--XyZ--",
        String(repeating: "--XyZ\r\n\r\n\r\n", count: 200) + "--XyZ--",
    ]

    @Test func malformed() {
        for body in malformedBodies {
            do {
                _ = try part(body)
                Issue.record("accepted \(body)")
            } catch {
                guard case .malformed = error else {
                    Issue.record("\(body): \(error)")
                    continue
                }
            }
        }
    }
}
