// Which jobs a list shows, and in which order.

/// All conditions must hold.
struct JobFilter: Sendable {
    var metadata: [(key: String, value: String)] = []
    /// Compared with the tag as written, its count included.
    var tags: [(key: String, value: String)] = []
    /// Part of the name or of the display name.
    var text: String?
    var status: String?
    var isDisabled: Bool?

    var isEmpty: Bool {
        metadata.isEmpty && tags.isEmpty && text == nil && status == nil && isDisabled == nil
    }

    init(_ query: HTTPQuery) throws(APIError) {
        metadata = Self.pairs(query.keyed("metadata"))
        tags = Self.pairs(query.keyed("tags"))
        if let text = query["q"], !text.isEmpty { self.text = text }
        if let status = query["status"], !status.isEmpty {
            self.status = status == "untriggered" ? "" : status
        }
        switch query["disabled"] {
        case nil, "": break
        case "true": isDisabled = true
        case "false": isDisabled = false
        case .some(let other):
            throw .parameter(
                "disabled", "The parameter disabled is true or false, not \"\(other)\".")
        }
    }

    /// Of a repeated key the first counts; a pair without a key says nothing.
    private static func pairs(
        _ items: [(key: String, value: String)]
    ) -> [(key: String, value: String)] {
        var pairs: [(key: String, value: String)] = []
        for item in items where !item.key.isEmpty {
            if !pairs.contains(where: { $0.key == item.key }) { pairs.append(item) }
        }
        return pairs
    }

    func matches(_ document: JobDocument, _ state: JobState) -> Bool {
        if let isDisabled, document.isDisabled != isDisabled { return false }
        if let status, state.status.text != status { return false }
        if let text, !Self.contains(document.name.text, text),
            !Self.contains(document.displayName, text)
        {
            return false
        }
        return Self.has(metadata, document.metadata) && Self.has(tags, document.tags)
    }

    private static func has(
        _ wanted: [(key: String, value: String)], _ settings: [Setting]
    ) -> Bool {
        wanted.allSatisfy { pair in
            settings.contains { $0.name == pair.key && $0.value == pair.value }
        }
    }

    /// Whether the bytes of one text occur in another. O(n · m), both short.
    private static func contains(_ text: String, _ part: String) -> Bool {
        let text = Array(text.utf8)
        let part = Array(part.utf8)
        guard text.count >= part.count else { return false }
        for start in 0...(text.count - part.count)
        where text[start..<(start + part.count)].elementsEqual(part) {
            return true
        }
        return false
    }
}

enum JobSort: String, Sendable, CaseIterable {
    case id, name, displayname, schedule
    case successCount = "success_count"
    case errorCount = "error_count"
    case lastSuccess = "last_success"
    case lastError = "last_error"
    case next

    init(_ query: HTTPQuery) throws(APIError) {
        let text = query["_sort"] ?? ""
        guard let sort = text.isEmpty ? .name : JobSort(rawValue: text) else {
            let allowed = Self.allCases.map(\.rawValue).joined(separator: ", ")
            throw .parameter("_sort", "Jobs can't be sorted by \"\(text)\", only by \(allowed).")
        }
        self = sort
    }

    /// Whether the order is that of the names, in which the store keeps jobs.
    var isByName: Bool { self == .id || self == .name }

    /// What stands before the name in the order.
    func key(
        _ document: JobDocument, _ state: JobState, next: @autoclosure () -> WallTime?
    ) -> SortKey {
        var key = SortKey()
        switch self {
        case .id, .name: break
        case .displayname: key.add(document.displayName)
        case .schedule: key.add(document.schedule)
        case .successCount: key.add(state.successCount)
        case .errorCount: key.add(state.errorCount)
        // Jobs without such a time come last.
        case .lastSuccess: key.add(state.lastSuccess?.nanoseconds ?? .max)
        case .lastError: key.add(state.lastError?.nanoseconds ?? .max)
        case .next: key.add(next()?.nanoseconds ?? .min)
        }
        key.addExactly(document.name.text)
        return key
    }
}

enum ExecutionSort: String, Sendable, CaseIterable {
    case key = ""
    case id
    case startedAt = "started_at"
    case finishedAt = "finished_at"
    case attempt

    init(_ query: HTTPQuery) throws(APIError) {
        let text = query["_sort"] ?? ""
        guard let sort = ExecutionSort(rawValue: text) else {
            throw .parameter(
                "_sort",
                "Executions can't be sorted by \"\(text)\", only by id, started_at, finished_at"
                    + " and attempt.")
        }
        self = sort
    }

    func key(_ execution: Execution) -> SortKey {
        var key = SortKey()
        switch self {
        case .key: break
        case .id, .startedAt: key.add(execution.startedAt?.nanoseconds ?? .min)
        case .finishedAt: key.add(execution.finishedAt?.nanoseconds ?? .min)
        case .attempt: key.add(Int64(execution.attempt))
        }
        key.add(execution.number)
        return key
    }
}

/// Bytes whose order is that of the values they were made of, the first being the most important.
struct SortKey {
    private(set) var bytes: [UInt8] = []

    /// ASCII letters of either case are equal.
    mutating func add(_ text: String) {
        bytes.append(contentsOf: text.utf8.lazy.map(asciiLowercased))
        bytes.append(0)
    }

    mutating func addExactly(_ text: String) {
        bytes.append(contentsOf: text.utf8)
        bytes.append(0)
    }

    mutating func add(_ number: Int64) {
        let ordered = UInt64(bitPattern: number) ^ (1 << 63)
        withUnsafeBytes(of: ordered.bigEndian) { bytes.append(contentsOf: $0) }
    }
}
