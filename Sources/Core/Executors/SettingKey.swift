/// One setting of an executor or a processor: read, checked and described out of the same row.
package struct SettingKey: Hashable, Sendable {
    /// What its value is; all values are stored as text.
    package enum Kind: String, Sendable {
        case text
        /// Text that nobody should see who need not.
        case secret
        /// Go's words for truth.
        case boolean
        /// Whole seconds, or a Go duration.
        case duration
        /// A whole number from 0 on.
        case number
        /// Bytes, or a number with a unit.
        case size
        /// Values with commas between them.
        case list
        /// JSON, most of the time a list of strings.
        case json
    }

    package var name: String
    package var kind: Kind
    package var isRequired: Bool
    /// What nothing means, as text; nil: nothing means nothing.
    package var standard: String?
    /// What it is for, a phrase without its full stop.
    package var meaning: String

    package init(
        _ name: String, _ kind: Kind, isRequired: Bool = false, standard: String? = nil,
        _ meaning: String
    ) {
        self.name = name
        self.kind = kind
        self.isRequired = isRequired
        self.standard = standard
        self.meaning = meaning
    }
}

extension ExecutorSettings {
    /// Refuses what is not in the table.
    init(
        _ config: [Setting], of processor: String, table: [SettingKey]
    ) throws(ExecutorSettingError) {
        try self.init(
            config.map { ($0.name, $0.value) }, of: processor, kind: "processor",
            allowing: table.map(\.name))
        for key in table where key.isRequired && self[key.name] == nil {
            throw ExecutorSettingError(
                key: key.name, message: "a \(key.name) is required: \(key.meaning)")
        }
    }

    /// A boolean for which nothing is not false.
    func flag(_ key: String, standard: Bool) throws(ExecutorSettingError) -> Bool {
        try self[key] == nil ? standard : flag(key)
    }

    /// A whole number from 0 to `most`.
    func number(_ key: String, most: Int) throws(ExecutorSettingError) -> Int? {
        guard let text = self[key] else { return nil }
        guard let number = Int(text), number >= 0, number <= most else {
            throw ExecutorSettingError(
                key: key, message: "\"\(text)\" is not a whole number from 0 to \(most)")
        }
        return number
    }

    /// Bytes, or a number with a unit; more than 0.
    func size(_ key: String) throws(ExecutorSettingError) -> UInt64? {
        guard let text = self[key] else { return nil }
        do throws(TextError) { return try ByteCountText.parse(text) } catch {
            throw ExecutorSettingError(key: key, message: error.description)
        }
    }

    /// One of a few words.
    func choice<Value>(
        _ key: String, _ words: [(word: String, value: Value)]
    ) throws(ExecutorSettingError) -> Value? {
        guard let text = self[key] else { return nil }
        guard let found = words.first(where: { $0.word == text }) else {
            let names = words.map(\.word).joined(separator: ", ")
            throw ExecutorSettingError(
                key: key, message: "\"\(text)\" is none of \(names)")
        }
        return found.value
    }
}
