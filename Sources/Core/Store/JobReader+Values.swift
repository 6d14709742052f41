// Values of a job's JSON by the type that their field has. They hang on the text and not on the
// reader, so that taking one does not copy what was taken before.

extension JSONDocument {
    typealias Field = JobReader.Field

    func text(_ value: JSONValue, _ field: Field) throws(JobError) -> String {
        guard let text = string(value) else { throw wrongType("a string", value, field) }
        return text
    }

    func bool(_ value: JSONValue, _ field: Field) throws(JobError) -> Bool {
        guard let bool = bool(value) else { throw wrongType("true or false", value, field) }
        return bool
    }

    /// A counter of an export. One below 0 counts nothing, and is no reason to refuse a file.
    func count(_ value: JSONValue, _ field: Field) throws(JobError) -> Int64 {
        guard let number = int64(value) else {
            throw wrongType("a whole number", value, field)
        }
        return max(0, number)
    }

    /// The text of a value that was kept, if one was.
    func text(_ kept: JSONValue?) -> String? {
        guard let kept else { return nil }
        return string(kept)
    }

    /// The value itself, if it is a string.
    func string(_ value: JSONValue, _ field: Field) throws(JobError) -> JSONValue {
        guard kind(of: value) == .string else { throw wrongType("a string", value, field) }
        return value
    }

    /// The value itself, if it is an array of strings.
    func strings(_ value: JSONValue, _ field: Field) throws(JobError) -> JSONValue {
        try expect(.array, value, field)
        for element in elements(of: value) { _ = try string(element, field) }
        return value
    }

    /// Full RFC 3339, or a UTC minute. The zero time stands for none, as older exports have it.
    /// People write 9999-12-31 for never: what can't be kept is as good as the end of what can.
    func time(_ value: JSONValue, _ field: Field) throws(JobError) -> WallTime? {
        let text = try text(value, field)
        if text == "0001-01-01T00:00:00Z" { return nil }
        if text.utf8.count == 16,
            let minute = try? RFC3339.parseMinute(text, clamped: true)
        {
            return minute
        }
        do throws(TextError) {
            return try RFC3339.parse(text, clamped: true)
        } catch {
            throw JobError(
                .invalidField, field.rawValue,
                "The field \(field.rawValue) is not a time: \(error).")
        }
    }

    func expect(_ kind: JSONKind, _ value: JSONValue, _ field: Field) throws(JobError) {
        guard self.kind(of: value) == kind else {
            throw wrongType(kind.description, value, field)
        }
    }

    // MARK: Settings

    /// Adds the members of an object to a list sorted by name; a later one of a name replaces.
    func merge(
        _ value: JSONValue, _ field: Field, into settings: inout [Setting]
    ) throws(JobError) {
        try expect(.object, value, field)
        merge(value, of: field, into: &settings)
    }

    /// As above, of a value that may be `null`, which has no members.
    func merge(_ object: JSONValue, of field: Field, into settings: inout [Setting]) {
        // Of a long object perhaps the same name again and again.
        if settings.isEmpty {
            settings.reserveCapacity(min(mostMembers(of: object), [Setting].few))
        }
        for member in members(of: object) {
            let name = string(member.name) ?? ""
            let text =
                field == .executorConfig && name == "env"
                ? environmentText(member.value) : settingText(member.value)
            settings.place(Setting(name: name, value: text))
        }
        if settings.count > [Setting].few { settings.sortByName() }
    }

    /// Settings are texts: booleans and numbers as written, lists and objects as compact JSON.
    func settingText(_ value: JSONValue) -> String {
        if let text = string(value) { return text }
        return isNull(value) ? "" : String(decoding: compact(value), as: UTF8.self)
    }

    /// The setting `env` may be a list of `K=V` or an object; both are kept as the text that means
    /// the same. In any other form it is a setting like others.
    private func environmentText(_ value: JSONValue) -> String {
        var pairs: [String] = []
        switch kind(of: value) {
        case .array:
            for element in elements(of: value) {
                guard let pair = string(element) else { return settingText(value) }
                pairs.append(pair)
            }
        case .object:
            for member in members(of: value) {
                pairs.append("\(string(member.name) ?? "")=\(settingText(member.value))")
            }
        case .null, .bool, .number, .string: return settingText(value)
        }
        return JobReader.joined(pairs)
    }

    // MARK: Errors

    func wrongType(_ wanted: String, _ value: JSONValue, _ field: Field) -> JobError {
        JobError(
            .wrongType, field.rawValue,
            "The field \(field.rawValue) must be \(wanted), found \(described(value)).")
    }

    /// The kind of a value and where it stands.
    func described(_ value: JSONValue) -> String {
        let position = position(of: value)
        let place = "line \(position.line), column \(position.column)"
        if kind(of: value) == .number, let text = numberText(value) {
            return "the number \(text.prefix(40)) (\(place))"
        }
        return "\(kind(of: value)) (\(place))"
    }
}

extension [Setting] {
    /// Up to so many are kept in order from the start, which is quickest for few.
    fileprivate static var few: Int { 16 }

    fileprivate mutating func place(_ setting: consuming Setting) {
        guard count < Self.few else { return append(setting) }
        var place = count
        while place > 0 {
            let order = setting.name.compare(self[place - 1].name)
            if order == 0 { return self[place - 1] = setting }
            if order > 0 { break }
            place -= 1
        }
        if place == count { append(setting) } else { insert(setting, at: place) }
    }

    /// Sorts by the bytes of the names; of several of one name the last stays.
    fileprivate mutating func sortByName() {
        sort { $0.name.compare($1.name) < 0 }  // stable
        var kept: [Setting] = []
        for setting in self {
            if let last = kept.last, last.name.compare(setting.name) == 0 { kept.removeLast() }
            kept.append(setting)
        }
        self = kept
    }
}

extension String {
    /// Byte by byte: below zero, zero or above. `==` of texts would make two spellings of one
    /// character equal.
    func compare(_ other: String) -> Int {
        let a = utf8.span
        let b = other.utf8.span
        let shorter = min(a.count, b.count)
        for index in 0..<shorter where a[index] != b[index] {
            return a[index] < b[index] ? -1 : 1
        }
        return a.count - b.count
    }
}
