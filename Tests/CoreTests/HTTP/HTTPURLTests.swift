import Testing

@testable import Core

@Suite("URLs")
struct HTTPURLTests {
    @Test(
        "what a URL says",
        arguments: [
            ("http://example.com", "example.com:80", "/"),
            ("HTTP://Example.COM/A", "example.com:80", "/A"),
            ("http://h:8080/a/b?c=d#e", "h:8080", "/a/b?c=d"), ("http://h?x", "h:80", "/?x"),
            ("http://h:/", "h:80", "/"), ("http://[::1]:99/x", "[::1]:99", "/x"),
            ("http://[2001:DB8::7]/", "[2001:db8::7]:80", "/"),
            ("http://127.0.0.1/", "127.0.0.1:80", "/"),
            ("http://[::ffff:1.2.3.4]/", "[::ffff:1.2.3.4]:80", "/"),
            ("http://h/a b/ä?q={x}|%20", "h:80", "/a%20b/%C3%A4?q=%7Bx%7D%7C%20"),
            ("http://my_host-1.x/", "my_host-1.x:80", "/"), ("http://h/#a?b", "h:80", "/"),
            ("http://h/a/../b/./c", "h:80", "/a/../b/./c"), ("https://h/a", "h:443", "/a"),
            ("HTTPS://h:80/a", "h:80", "/a"),
        ] as [(String, String, String)])
    func reading(_ row: (text: String, authority: String, target: String)) throws {
        let url = try HTTPURL(row.text)
        #expect(url.authority == row.authority)
        #expect(url.target == row.target)
    }

    @Test(
        "what is refused, and where",
        arguments: [
            ("", 1, "begins with"), ("example.com/x", 1, "begins with"), ("/x", 1, "begins with"),
            ("ftp://h/", 1, "scheme \"ftp\""), ("https:h", 7, "follow \"https:\""),
            ("http:h", 6, "\"//\""), ("http://", 8, "host is missing"),
            ("http://:80/", 8, "host is missing"),
            ("http://h:0/", 10, "1 to 65535"), ("http://h:65536/", 10, "1 to 65535"),
            ("http://h:x/", 10, "1 to 65535"), ("http://[::1/", 8, "not closed"),
            ("http://[::g]/", 9, "IPv6"), ("http://[1:2]/", 9, "IPv6"),
            ("http://[::1]x/", 13, "colon"),
            ("http://[1::2::3]/", 9, "IPv6"), ("http://bücher.de/", 9, "xn--"),
            ("http://a b/", 9, "no place"),
            ("http://h/%zz", 10, "hexadecimal"), ("http://h/a\nb", 11, "control"),
            ("http://u%0ap@h/", 9, "control"), ("http://h%41/", 9, "no place"),
        ] as [(String, Int, String)])
    func refusals(_ row: (text: String, column: Int, words: String)) {
        let error = #expect(throws: TextError.self) { try HTTPURL(row.text) }
        #expect(error?.message.contains(row.words) == true, "\(error.map { "\($0)" } ?? "taken")")
        #expect(error?.column == row.column)
    }

    @Test("credentials are taken apart and never displayed")
    func credentials() throws {
        let url = try HTTPURL("http://us%65r:p%40ss@h:81/x?token=secret")
        #expect(url.userInformation.map { String(decoding: $0, as: UTF8.self) } == "user:p@ss")
        #expect(url.display == "http://h:81/x")
        #expect(try HTTPURL("http://@h/").userInformation == nil)
        #expect(try HTTPURL("http://@h/").credentials == nil)
        // A colon that is escaped is the user's.
        let pairs: [(String, String, String?)] = [
            ("u%3av:p%3aq:r", "u:v", "p:q:r"), ("u", "u", nil), ("u:", "u", ""), (":p", "", "p"),
        ]
        for (text, user, password) in pairs {
            let found = try HTTPURL("http://\(text)@h/x").resolving("/y").credentials
            #expect(found?.user == user && found?.password == password)
        }
    }

    @Test("what is told to one scheme is not told to the other")
    func schemes() throws {
        let secure = try HTTPURL("https://h/x")
        #expect(secure.isSecure && secure.hostField == "h" && secure.display == "https://h/x")
        #expect(try HTTPURL("http://h:443/x").hostField == "h:443")
        #expect(try !secure.hasSameOrigin(as: HTTPURL("http://h:443/x")))
        #expect(try secure.resolving("//i/y").display == "https://i/y")
        #expect(try secure.resolving("/y").display == "https://h/y")
        #expect(try secure.resolving("http://h/y").display == "http://h/y")
    }

    @Test(
        "references of RFC 3986 section 5.4, as far as they are http",
        arguments: [
            ("http:g", "?"), ("g", "/b/c/g"), ("./g", "/b/c/g"), ("g/", "/b/c/g/"), ("/g", "/g"),
            ("//g", "g/"), ("?y", "/b/c/d;p?y"), ("g?y", "/b/c/g?y"), ("#s", "/b/c/d;p?q"),
            ("g#s", "/b/c/g"), (";x", "/b/c/;x"), ("", "/b/c/d;p?q"), (".", "/b/c/"),
            ("./", "/b/c/"),
            ("..", "/b/"), ("../", "/b/"), ("../g", "/b/g"), ("../..", "/"), ("../../g", "/g"),
            ("../../../g", "/g"), ("/./g", "/g"), ("/../g", "/g"), ("g.", "/b/c/g."),
            ("..g", "/b/c/..g"),
            ("./../g", "/b/g"), ("./g/.", "/b/c/g/"), ("g/../h", "/b/c/h"),
            ("g;x=1/../y", "/b/c/y"),
            ("g?y/../x", "/b/c/g?y/../x"), ("http://x:5/y", "x:5/y"),
        ] as [(String, String)])
    func references(_ row: (reference: String, expected: String)) throws {
        let base = try HTTPURL("http://a/b/c/d;p?q")
        guard row.expected != "?" else {
            #expect(throws: TextError.self) { try base.resolving(row.reference) }
            return
        }
        let url = try base.resolving(row.reference)
        let host = url.host == "a" ? "" : url.hostField
        #expect(host + url.target == row.expected)
    }
}
