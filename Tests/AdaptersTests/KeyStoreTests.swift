import Glibc
import Testing

@testable import Adapters
@testable import Core

@Suite("Keys of the cluster")
struct KeyStoreTests {
    private let first = [UInt8](repeating: 1, count: 16)
    private let second = [UInt8](repeating: 2, count: 32)

    private func request(_ operation: GossipKeyRequest.Operation, _ key: [UInt8] = [])
        -> GossipKeyRequest
    {
        let query = SerfQuery(
            time: 1, id: 1, source: GossipAddress(IPAddress([127, 0, 0, 1])!, 1), sourceNode: "n",
            filters: [], flags: 0, relayFactor: 0, timeout: 1, name: operation.rawValue,
            payload: [])
        return GossipKeyRequest(operation: operation, key: key, query: query)
    }

    @Test func `the option counts until the keys are changed, then the file does`() throws {
        let folder = TemporaryDirectory()
        let path = folder.path
        let store = try KeyStore(directory: path, given: first)
        #expect(store.ring?.keys == [first])
        #expect(store.notice == nil)
        #expect(try KeyStore(directory: path, given: second).ring?.keys == [second])
        #expect(store.perform(request(.install, second)).succeeded)
        #expect(store.perform(request(.use, second)).succeeded)
        let listed = store.perform(request(.list))
        #expect(listed.keys == [second, first].map(Base64Text.encode))
        #expect(listed.primaryKey == Base64Text.encode(second))

        let again = try KeyStore(directory: path, given: first)
        #expect(again.ring?.keys == [second, first])
        #expect(again.notice?.level == .info)
        // Without the option, too: nothing is opened that was shut.
        #expect(try KeyStore(directory: path, given: nil).ring?.keys == [second, first])
        #expect(again.perform(request(.remove, first)).succeeded)
        let outdated = try KeyStore(directory: path, given: first)
        #expect(outdated.ring?.keys == [second])
        #expect(outdated.notice?.level == .warning)
        #expect(outdated.notice?.message.contains("--encrypt") == true)
        var status = stat()
        #expect(stat(path + "/keyring.json", &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
    }

    @Test func `what is refused changes nothing`() throws {
        let folder = TemporaryDirectory()
        let store = try KeyStore(directory: folder.path, given: first)
        #expect(!store.perform(request(.use, second)).succeeded)
        #expect(!store.perform(request(.remove, first)).succeeded)
        #expect(!store.perform(request(.install, [1, 2, 3])).succeeded)
        #expect(store.ring?.keys == [first])
        #expect(access(folder.path + "/keyring.json", F_OK) != 0)
        #expect(!KeyStore(nil).perform(request(.list)).succeeded)
    }

    @Test func `a change that can't be kept is none`() throws {
        let folder = TemporaryDirectory()
        let store = try KeyStore(directory: folder.path + "/gone", given: first)
        let answer = store.perform(request(.install, second))
        #expect(!answer.succeeded)
        #expect(answer.message.contains("can't be kept"), "\(answer.message)")
        #expect(store.ring?.keys == [first])
    }

    @Test(arguments: ["", "[]", "{}", "[1]", "[\"!\"]", "[\"AQI=\"]", "[\"AQI=\""])
    func `a damaged file ends the start with its name`(content: String) throws {
        let folder = TemporaryDirectory()
        folder.write(content, to: "keyring.json")
        let error = #expect(throws: KeyStoreError.self) {
            try KeyStore(directory: folder.path, given: first)
        }
        #expect(error?.description.contains(folder.path + "/keyring.json") == true)
    }

    /// RFC 5869, appendix A, cases 1 and 2.
    @Test func `keys are derived as the RFC says`() throws {
        let crypto = try OpenSSL.load()
        let short = try crypto.deriveKey(
            [UInt8](repeating: 0x0b, count: 22), salt: (0x00...0x0c).map { $0 },
            purpose: (0xf0...0xf9).map { $0 }, count: 42)
        #expect(
            hexadecimal(short)
                == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887"
                + "185865")
        let long = try crypto.deriveKey(
            (0x00...0x4f).map { $0 }, salt: (0x60...0xaf).map { $0 },
            purpose: (0xb0...0xff).map { $0 }, count: 82)
        #expect(hexadecimal(long).hasPrefix("b11e398dc80327a1c8e7f78c596a4934"))
        #expect(hexadecimal(long).hasSuffix("cc30c58179ec3e87c14c01d5c1f3434f1d87"))
    }

    private func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
