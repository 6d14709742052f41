package import Core
internal import Glibc

/// The keys with which this node's cluster encrypts. Those of the option `encrypt` hold until the
/// cluster changes its keys while it runs; from then on the file `keyring.json` in the data
/// directory does: a list of keys in base64, the primary one first, as Serf keeps it.
package final class KeyStore {
    /// Nil: nothing is encrypted.
    package private(set) var ring: GossipKeyRing?
    /// Nil: changes are not kept.
    private let directory: String?
    /// What somebody should know about where the keys come from.
    package private(set) var notice: LogRecord?

    /// Keys that are kept nowhere.
    package init(_ ring: GossipKeyRing?) {
        self.ring = ring
        directory = nil
    }

    /// - Parameters:
    ///   - directory: the path of the data directory.
    ///   - given: the key of the option.
    /// - Throws: when the file is there and can't be read, or holds no keys.
    package init(directory: String, given: [UInt8]?) throws(KeyStoreError) {
        self.directory = directory
        let path = Self.path(directory)
        let bytes: [UInt8]?
        do throws(SystemError) { bytes = try ConfigurationHost.readFile(path) } catch {
            throw KeyStoreError(description: "can't \(error)")
        }
        do throws(CryptographyError) {
            guard let bytes else {
                ring = try given.map { (key) throws(CryptographyError) in
                    try GossipKeyRing([key])
                }
                return
            }
            let ring = try GossipKeyRing(try Self.read(bytes))
            self.ring = ring
            let fields = [LogRecord.Field("path", path), .init("keys", "\(ring.keys.count)")]
            if let given, !ring.keys.contains(given) {
                notice = LogRecord(
                    .warning,
                    "agent: the key of --encrypt is not used: the cluster has changed its keys "
                        + "since, and those of the file count", fields)
            } else {
                notice = LogRecord(.info, "agent: the keys of the cluster are in a file", fields)
            }
        } catch {
            throw KeyStoreError(
                description: "\(path): \(error); it must hold a JSON list of keys in base64, the "
                    + "primary one first. Put it back from another node, or remove it to begin "
                    + "with the key of --encrypt again")
        }
    }

    private static func path(_ directory: String) -> String { directory + "/keyring.json" }

    private static func read(_ bytes: [UInt8]) throws(CryptographyError) -> [[UInt8]] {
        guard let document = try? JSONDocument(bytes) else {
            throw CryptographyError("it is not JSON")
        }
        var keys: [[UInt8]] = []
        for element in document.elements(of: document.root) {
            guard let text = document.string(element), let key = try? Base64Text.decode(text) else {
                throw CryptographyError("an element is no base64")
            }
            keys.append(key)
        }
        return keys
    }

    /// Changes the keys, on the disk before anywhere else.
    package func perform(_ request: GossipKeyRequest) -> SerfKeyResponse {
        func refusal(_ message: String) -> SerfKeyResponse {
            SerfKeyResponse(succeeded: false, message: message, keys: [], primaryKey: "")
        }
        guard var ring else { return refusal("this node does not encrypt its gossip") }
        do throws(CryptographyError) {
            switch request.operation {
            case .install: try ring.install(request.key)
            case .use: try ring.use(request.key)
            case .remove: try ring.remove(request.key)
            case .list: break
            }
        } catch {
            return refusal(error.description)
        }
        if ring != self.ring, let directory {
            do { try Self.save(ring, in: directory) } catch {
                return refusal("the keys can't be kept: \(error)")
            }
        }
        self.ring = ring
        let keys = request.operation == .list ? ring.keys.map(Base64Text.encode) : []
        return SerfKeyResponse(
            succeeded: true, message: "", keys: keys, primaryKey: keys.first ?? "")
    }

    private static func save(_ ring: GossipKeyRing, in directory: String) throws(SystemError) {
        var writer = JSONWriter(.compact, escaping: .minimal)
        writer.beginArray()
        for key in ring.keys { writer.string(Base64Text.encode(key)) }
        writer.endArray()
        // An operator's doing, once in a long while: the loop may wait for the disk.
        try DataDirectory.writeDurably(writer.take(), to: path(directory), in: directory)
    }
}

/// Why the keys of the data directory can't be used.
package struct KeyStoreError: Error, Hashable, Sendable, CustomStringConvertible {
    package var description: String
}
