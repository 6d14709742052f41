/// What the engine tells of pulling an image: JSON objects with line ends between them, of which
/// one may tell an error, although the answer's status said that all is well.
struct DockerProgress: Sendable {
    /// Of one line, in bytes.
    static let longestLine = 64 << 10

    private var line: [UInt8] = []
    /// Why it failed; nil so far.
    private(set) var error: String?

    /// Linear.
    mutating func take(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while error == nil, let end = rest.firstIndex(of: 0x0a) {
            line += rest[..<end]
            rest = rest[(end + 1)...]
            read()
        }
        guard error == nil else { return }
        line += rest
        if line.count > Self.longestLine { error = Self.nonsense }
    }

    /// Nothing more comes.
    mutating func finish() { if error == nil { read() } }

    private mutating func read() {
        defer { line.removeAll(keepingCapacity: true) }
        guard line.contains(where: { $0 > 0x20 }) else { return }
        guard line.count <= Self.longestLine, let document = try? JSONDocument(line),
            document.kind(of: document.root) == .object
        else {
            error = Self.nonsense
            return
        }
        let detail = document.member(named: "errorDetail", of: document.root)
        error =
            document.text("error", of: document.root)
            ?? detail.flatMap { document.text("message", of: $0) }
    }

    private static let nonsense = "what answers tells the progress in no form of Docker's"
}
