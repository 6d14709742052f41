@testable import Core

/// What is left of a perfect disk when the power fails: bytes that were synced, under names that
/// were.
final class Platter {
    private final class File {
        var content: [UInt8]
        var synced: [UInt8]

        init(_ content: [UInt8]) {
            self.content = content
            synced = content
        }
    }

    private var names: [FileName: File]
    private var syncedNames: [FileName: File]

    /// Everything that is there is on the platter.
    init(_ files: NodeHarness.Files) {
        names = files.mapValues { File($0) }
        syncedNames = names
    }

    /// Hears of every operation after it was performed.
    func observe(_ operation: StorageOperation) {
        switch operation {
        case .create(let name):
            names[name] = names[name] ?? File([])
            names[name]!.synced = []
        case .append(let name, _, let bytes): names[name]?.content += bytes
        case .truncate(let name, let length): names[name]?.content.removeSubrange(Int(length)...)
        case .sync(let name): names[name].map { $0.synced = $0.content }
        case .rename(let name, let target): names[target] = names.removeValue(forKey: name)
        case .remove(let name): names[name] = nil
        case .syncDirectory(let directory):
            syncedNames = syncedNames.filter { $0.key.directory != directory }
            for (name, file) in names where name.directory == directory {
                syncedNames[name] = file
            }
        case .list, .read: break
        }
    }

    var survivors: NodeHarness.Files { syncedNames.mapValues(\.synced) }
}
