import Testing

@testable import Adapters
@testable import Core

@Suite("Signature of Amazon's requests")
struct AWSSignatureTests {
    private static let token =
        "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwA"
        + "eMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8p"
        + "hUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT"
        + "38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabI"
        + "Qwj2ICCR/oLxBA=="

    /// The cases of Amazon's own suite that need a method, headers and a body.
    @Test(
        "the values of Amazon's test suite",
        arguments: [
            ("get-vanilla", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            ("post-vanilla", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
            (
                "post-header-key-sort",
                "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"
            ),
            (
                "get-header-value-trim",
                "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"
            ),
            (
                "post-x-www-form-urlencoded",
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
            ),
            (
                "post-sts-header-before",
                "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"
            ),
        ])
    func suite(name: String, signature: String) throws {
        var exchange = HTTPExchange(
            method: name.hasPrefix("get") ? .get : .post,
            url: try HTTPURL("http://example.amazonaws.com/"))
        switch name {
        case "post-header-key-sort": exchange.headers.append("My-Header1", "value1")
        case "get-header-value-trim":
            exchange.headers.append("My-Header1", " value1")
            exchange.headers.append("My-Header2", "  \"a   b   c\"")
        case "post-x-www-form-urlencoded":
            exchange.headers.append("Content-Type", "application/x-www-form-urlencoded")
            exchange.body = Array("Param1=value1".utf8)
        default: break
        }
        let signer = AWSSignature(
            keys: AWSSignature.Keys(
                id: "AKIDEXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                token: name.contains("sts") ? Self.token : nil),
            region: "us-east-1", service: "service")
        // 2015-08-30T12:36:00Z
        try signer.sign(&exchange, at: WallTime(seconds: 1_440_938_160), on: SystemHost())
        #expect(exchange.headers["X-Amz-Date"] == "20150830T123600Z")
        let authorization = exchange.headers["Authorization"] ?? ""
        #expect(
            authorization.hasPrefix(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
                    + "SignedHeaders="), "\(authorization)")
        #expect(authorization.hasSuffix("Signature=\(signature)"), "\(authorization)")
    }
}
