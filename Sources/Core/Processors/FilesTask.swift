/// What the processor `files` does: it keeps outputs in files of a directory, one for each
/// execution, and removes the oldest of them when they become too many, too old or too large.
package struct FilesTask: Hashable, Sendable {
    /// Absolute, without a step upwards.
    package var directory = "/var/log/dkron"
    /// Files of this processor that stay in the directory; nil: all.
    package var mostFiles: Int?
    /// What is older goes.
    package var mostAge: Duration?
    /// Bytes of all of them together.
    package var mostBytes: UInt64?

    static let table = [
        SettingKey(
            "log_dir", .text, standard: "/var/log/dkron",
            "the directory, an absolute path; it is made if it does not exist"),
        SettingKey("max_files", .number, "how many files stay; the oldest go first"),
        SettingKey("max_age", .duration, "how old a file may become"),
        SettingKey("max_size", .size, "how many bytes all files together may have"),
    ]

    init(_ settings: ExecutorSettings) throws(ExecutorSettingError) {
        if let text = settings["log_dir"] { directory = try Self.path(text) }
        mostFiles = try settings.number("max_files", most: 1_000_000)
        guard mostFiles != 0 else {
            throw ExecutorSettingError(
                key: "max_files", message: "0 would remove the file that was just written")
        }
        mostAge = try TimeoutText.parse(settings["max_age"], key: "max_age")
        mostBytes = try settings.size("max_size")
    }

    private static func path(_ text: String) throws(ExecutorSettingError) -> String {
        let parts = text.split(separator: "/", omittingEmptySubsequences: true)
        guard text.utf8.first == UInt8(ascii: "/"), !parts.contains(".."), !text.utf8.contains(0)
        else {
            throw ExecutorSettingError(
                key: "log_dir",
                message: "\"\(text)\" is not an absolute path without \"..\", such as "
                    + "/var/log/dkron")
        }
        return "/" + parts.filter { $0 != "." }.joined(separator: "/")
    }

    /// The file of an execution: its id, of which a node's name can't lead anywhere else.
    package static func fileName(of execution: ExecutionID) -> String {
        var name: [UInt8] = []
        for byte in execution.text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "-"), UInt8(ascii: "_"),
                UInt8(ascii: "."):
                name.append(byte)
            default:
                name.append(UInt8(ascii: "%"))
                name += Hexadecimal.text(of: UInt64(byte)).suffix(2).utf8
            }
        }
        // A name of a file has at most 255 bytes.
        return String(decoding: name.prefix(240), as: UTF8.self) + ".log"
    }

    /// The number of the execution that a file is of: they grow with time. Nil for other files.
    package static func number(ofFile name: String) -> Int64? {
        name.hasSuffix(".log") ? ExecutionID(name).number : nil
    }

    package func path(of execution: ExecutionID) -> String {
        let folder = directory == "/" ? "" : directory
        return folder + "/" + Self.fileName(of: execution)
    }
}
