package import Core

/// A configuration file: which one is read, and what it holds.
package struct ConfigurationFile: Sendable {
    package let path: String
    /// Its keys at the top, in their order, spelled as they are.
    package let members: [YAMLMember]

    /// The longest file that is read.
    static let mostBytes = YAMLLimits.standard.bytes

    private static let readable = ["yml", "yaml", "json"]
    /// Formats that Dkron reads and this program does not. A file of one is pointed out, because
    /// passing over it would start a node with other settings than those written down.
    private static let foreign = [
        "toml", "env", "dotenv", "hcl", "tfvars", "properties", "props", "prop", "ini",
    ]

    /// The file of `--config`, or else the first in the folders where it is looked for; nil if
    /// there is none.
    ///
    /// Errors: a file given that does not exist, one that can't be read, of another format or
    /// malformed, and two that could be meant.
    package static func find(
        given: String?, host: ConfigurationHost
    ) throws(UsageError) -> ConfigurationFile? {
        if let given {
            guard let bytes = try contents(given, host) else {
                throw UsageError("--config \(given): there is no such file")
            }
            return try ConfigurationFile(path: given, bytes: bytes)
        }
        let home = host.variable("HOME").map { [$0 + "/.dkron"] } ?? []
        for folder in ["/etc/dkron"] + home + ["config"] {
            var found: [(path: String, bytes: [UInt8])] = []
            for name in readable {
                let path = "\(folder)/dkron.\(name)"
                if let bytes = try contents(path, host) { found.append((path, bytes)) }
            }
            if found.count > 1 {
                throw UsageError(
                    "both \(found[0].path) and \(found[1].path) exist; remove one, or choose by "
                        + "--config")
            }
            if let file = found.first {
                return try ConfigurationFile(path: file.path, bytes: file.bytes)
            }
            for name in foreign {
                let path = "\(folder)/dkron.\(name)"
                if try contents(path, host) != nil { throw format(path) }
            }
        }
        return nil
    }

    private static func contents(
        _ path: String, _ host: ConfigurationHost
    ) throws(UsageError) -> [UInt8]? {
        do { return try host.read(path) } catch { throw UsageError("\(path): \(error.reason)") }
    }

    private static func format(_ path: String) -> UsageError {
        UsageError(
            "\(path): configuration files are read as YAML (.yml, .yaml) or JSON (.json); write "
                + "the settings in one of these, or remove the file")
    }

    /// Reads a file by the format that its name's ending says.
    package init(path: String, bytes: [UInt8]) throws(UsageError) {
        let name = path.split(separator: "/").last ?? ""
        let ending = name.split(separator: ".", omittingEmptySubsequences: false).dropFirst().last
        let root: YAMLNode
        switch ending?.lowercased() {
        case "yml", "yaml":
            do { root = try YAML.parse(bytes) } catch { throw UsageError("\(path): \(error)") }
        case "json":
            do { root = try Self.json(bytes) } catch { throw UsageError("\(path): \(error)") }
        default: throw Self.format(path)
        }
        self.path = path
        if root.isNull {
            members = []
            return
        }
        guard case .map(let members) = root.content else {
            throw UsageError(
                "\(path):\(root.line): a configuration file is a map of options such as "
                    + "\"server: true\", not \(root.kind)")
        }
        self.members = members
    }

    // MARK: JSON

    /// A JSON text in the shape of YAML, which contains it.
    static func json(_ bytes: [UInt8]) throws(JSONError) -> YAMLNode {
        let limits = JSONLimits(bytes: mostBytes, depth: YAMLLimits.standard.depth)
        let document = try JSONDocument(bytes, limits: limits)
        var lines = LineCounter(bytes: bytes)
        return try node(document, document.root, &lines)
    }

    private static func node(
        _ document: JSONDocument, _ value: JSONValue, _ lines: inout LineCounter
    ) throws(JSONError) -> YAMLNode {
        let line = lines.line(at: document.source(of: value).startIndex)
        switch document.kind(of: value) {
        case .array:
            var items: [YAMLNode] = []
            for element in document.elements(of: value) {
                items.append(try node(document, element, &lines))
            }
            return YAMLNode(.list(items), line: line)
        case .object:
            var members: [YAMLMember] = []
            var seen: Set<String> = []
            for member in document.members(of: value) {
                let key = document.string(member.name) ?? ""
                guard seen.insert(key).inserted else {
                    throw document.error("the key \"\(key)\" stands here twice", at: member.name)
                }
                let keyLine = lines.line(at: document.source(of: member.name).startIndex)
                let value = try node(document, member.value, &lines)
                members.append(YAMLMember(key: key, line: keyLine, value: value))
            }
            return YAMLNode(.map(members), line: line)
        case .string:
            return YAMLNode(.scalar(document.string(value) ?? "", isPlain: false), line: line)
        case .null, .bool, .number:
            let text = String(decoding: document.source(of: value), as: UTF8.self)
            return YAMLNode(.scalar(text, isPlain: true), line: line)
        }
    }
}

/// Lines of offsets that are asked for in rising order.
private struct LineCounter {
    let bytes: [UInt8]
    private var offset = 0
    private var line = 1

    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func line(at wanted: Int) -> Int {
        while offset < wanted {
            if bytes[offset] == UInt8(ascii: "\n") { line += 1 }
            offset += 1
        }
        return line
    }
}
