/// Why a file below the data directory can't be used, in words for the person who is called: what,
/// where, and what to do.
enum SegmentFault {
    static let remedy =
        "Nothing has been changed. Put back a backup of the data directory; or move it away and"
        + " start with an empty one: a server of a cluster then catches up from the others, a lone"
        + " server needs a restore from an export."

    /// The file's path below the data directory.
    static func path(_ file: FileName) -> String { file.directory.name + "/" + file.name }

    static func damaged(_ file: FileName, at position: UInt64) -> String {
        "\(path(file)) is damaged at byte \(position), in a part that had been synced. " + remedy
    }

    static func describe(_ fault: SegmentHeader.Fault, of file: FileName) -> String {
        switch fault {
        case .unreadable(let what):
            "\(path(file)) can't be read: \(what). " + remedy
        case .version(let version):
            "\(path(file)) was written in data format \(version) by a newer program; this one reads"
                + " formats up to \(DataFormat.version). Nothing has been changed. Start the newer"
                + " program, or export there and restore here."
        case .otherDataDirectory:
            "\(path(file)) belongs to another data directory. Nothing has been changed. Put back"
                + " the files that belong here."
        }
    }
}
