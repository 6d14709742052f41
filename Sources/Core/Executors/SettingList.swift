/// Lists in settings: JSON, or with commas between.
enum SettingList {
    /// A JSON list of strings.
    static func json(_ text: String, key: String) throws(ExecutorSettingError) -> [String] {
        let document: JSONDocument
        do throws(JSONError) { document = try JSONDocument(Array(text.utf8)) } catch {
            throw ExecutorSettingError(key: key, message: "this is not JSON: \(error)")
        }
        var strings: [String] = []
        for element in document.elements(of: document.root) {
            guard let string = document.string(element) else {
                throw ExecutorSettingError(
                    key: key, message: "entry \(strings.count + 1) is not a string")
            }
            strings.append(string)
        }
        return strings
    }

    /// Words with commas between them, blanks around them meaning nothing; or a JSON list.
    static func words(_ text: String?, key: String) throws(ExecutorSettingError) -> [String] {
        guard let text else { return [] }
        if text.utf8.first == UInt8(ascii: "[") { return try json(text, key: key) }
        return text.split(separator: ",").map { part in
            var rest = part.drop { $0 == " " }
            while rest.last == " " { rest.removeLast() }
            return String(rest)
        }
    }

    /// `NAME=value`, as the shell executor reads it; or a JSON list.
    static func environment(
        _ text: String?, key: String
    ) throws(ExecutorSettingError) -> [EnvironmentEntry] {
        guard let text else { return [] }
        guard text.utf8.first == UInt8(ascii: "[") else {
            do throws(TextError) { return try ShellEnvironment.parse(text) } catch {
                throw ExecutorSettingError(key: key, message: error.description)
            }
        }
        var entries: [EnvironmentEntry] = []
        for line in try json(text, key: key) {
            guard let sign = line.firstIndex(of: "="), sign > line.startIndex else {
                throw ExecutorSettingError(
                    key: key, message: "entry \(entries.count + 1) has not the form NAME=value")
            }
            entries.append(
                EnvironmentEntry(
                    name: String(line[..<sign]), value: String(line[line.index(after: sign)...])))
        }
        return entries
    }
}
