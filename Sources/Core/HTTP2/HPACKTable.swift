// The tables to which indices refer (RFC 7541 section 2.3 and appendix A).

enum HPACK {
    /// What an entry costs besides its name and value (RFC 7541 section 4.1).
    static let overhead = 32

    static func size(of field: HTTP2Field) -> Int {
        field.name.utf8.count + field.value.utf8.count + overhead
    }

    /// The static table; index 1 is the first.
    static let fixed: [HTTP2Field] =
        [
            HTTP2Field(":authority", ""), HTTP2Field(":method", "GET"),
            HTTP2Field(":method", "POST"),
            HTTP2Field(":path", "/"), HTTP2Field(":path", "/index.html"),
            HTTP2Field(":scheme", "http"), HTTP2Field(":scheme", "https"),
            HTTP2Field(":status", "200"), HTTP2Field(":status", "204"),
            HTTP2Field(":status", "206"),
            HTTP2Field(":status", "304"), HTTP2Field(":status", "400"),
            HTTP2Field(":status", "404"),
            HTTP2Field(":status", "500"), HTTP2Field("accept-charset", ""),
            HTTP2Field("accept-encoding", "gzip, deflate"),
        ]
        + [
            "accept-language", "accept-ranges", "accept", "access-control-allow-origin", "age",
            "allow", "authorization", "cache-control", "content-disposition", "content-encoding",
            "content-language", "content-length", "content-location", "content-range",
            "content-type", "cookie", "date", "etag", "expect", "expires", "from", "host",
            "if-match",
            "if-modified-since", "if-none-match", "if-range", "if-unmodified-since",
            "last-modified",
            "link", "location", "max-forwards", "proxy-authenticate", "proxy-authorization",
            "range",
            "referer", "refresh", "retry-after", "server", "set-cookie",
            "strict-transport-security",
            "transfer-encoding", "user-agent", "vary", "via", "www-authenticate",
        ].map { HTTP2Field($0, "") }

    /// Digests of the static table's names and fields, for the encoder's search.
    static let fixedDigests: [Digest] = fixed.map(Digest.init)

    /// FNV-1a of a name, and of a name and its value: unequal fields are told apart by comparing
    /// one number for nearly all of them.
    struct Digest: Hashable, Sendable {
        let name: UInt32
        let field: UInt32

        init(_ field: HTTP2Field) {
            var hash: UInt32 = 0x811c_9dc5
            for byte in field.name.utf8 { hash = (hash ^ UInt32(byte)) &* 0x0100_0193 }
            name = hash
            hash = (hash ^ 0xff) &* 0x0100_0193
            for byte in field.value.utf8 { hash = (hash ^ UInt32(byte)) &* 0x0100_0193 }
            self.field = hash
        }
    }
}

/// The dynamic table of one direction of a connection. Entries come at one end and are dropped at
/// the other, so that their sizes never exceed `capacity`.
struct HPACKTable: Sendable {
    private struct Entry: Sendable {
        let field: HTTP2Field
        let digest: HPACK.Digest
        let size: Int
    }

    /// The oldest first.
    private var entries = RingBuffer<Entry>()
    private(set) var size = 0
    private(set) var capacity: Int

    init(capacity: Int) { self.capacity = capacity }

    var count: Int { entries.count }

    /// The field at an index of static and dynamic table together, from 1.
    subscript(index: Int) -> HTTP2Field? {
        if index <= HPACK.fixed.count { return index > 0 ? HPACK.fixed[index - 1] : nil }
        let place = entries.count - (index - HPACK.fixed.count)
        return place >= 0 ? entries[place].field : nil
    }

    /// Adds an entry of `size`, which counts the octets that were sent. One that is larger than
    /// the whole table empties it (section 4.4).
    mutating func insert(_ field: HTTP2Field, size entrySize: Int) {
        evict(to: capacity - entrySize)
        guard entrySize <= capacity else { return }
        entries.append(Entry(field: field, digest: HPACK.Digest(field), size: entrySize))
        size += entrySize
    }

    mutating func resize(to capacity: Int) {
        self.capacity = capacity
        evict(to: capacity)
    }

    private mutating func evict(to bound: Int) {
        while size > bound, let oldest = entries.popFirst() { size -= oldest.size }
    }

    /// The index of an equal field, else that of a field with the same name. Complexity:
    /// O(entries), of which there are at most `capacity / 32`.
    func find(_ field: HTTP2Field) -> (index: Int, isWhole: Bool)? {
        let digest = HPACK.Digest(field)
        var named: Int?
        for (offset, known) in HPACK.fixedDigests.enumerated() where known.name == digest.name {
            let entry = HPACK.fixed[offset]
            guard sameBytes(entry.name, field.name) else { continue }
            if sameBytes(entry.value, field.value) { return (offset + 1, true) }
            if named == nil { named = offset + 1 }
        }
        for place in stride(from: entries.count - 1, through: 0, by: -1) {
            let known = entries[place].digest
            guard known.field == digest.field || named == nil && known.name == digest.name,
                sameBytes(entries[place].field.name, field.name)
            else { continue }
            let index = HPACK.fixed.count + entries.count - place
            if sameBytes(entries[place].field.value, field.value) { return (index, true) }
            if named == nil { named = index }
        }
        return named.map { ($0, false) }
    }
}
