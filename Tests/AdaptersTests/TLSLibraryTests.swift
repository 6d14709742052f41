import Testing

@testable import Adapters

@Suite("TLS of the machine")
struct TLSLibraryTests {
    @Test("a machine without it says what is missing, and what to install")
    func missing() {
        let error = #expect(throws: CryptographyError.self) {
            try TLSLibrary(library: "libssl.so.0")
        }
        let words = error?.description ?? ""
        #expect(words.contains("TLS needs OpenSSL 3"), "\(words)")
        #expect(words.contains("libssl.so.0 can't be loaded"), "\(words)")
        #expect(words.contains("libssl3"), "\(words)")
    }

    @Test("every function that is in use is there")
    func present() throws {
        let library = try TLSLibrary.load()
        #expect(library.takeError() == nil)
        #expect(library.verifyText(10).map { String(cString: $0) } == "certificate has expired")
    }
}
