// A small disk of one's own, for tests that fill it or make it read-only.

import Glibc

/// Whether this process may mount; in many containers root may not.
let canMount: Bool = {
    let scratch = Scratch("mount")
    return withExtendedLifetime(scratch) {
        (try? Mount(scratch.path("disk"), size: "64k")) != nil
    }
}()

/// A file system in memory; unmounted when it goes, so extend its life over all of its use.
final class Mount {
    struct Refused: Error {
        let reason: String
    }

    let path: String

    init(_ path: String, size: String) throws {
        self.path = path
        mkdir(path, 0o755)
        guard mount("tmpfs", path, "tmpfs", 0, "size=\(size)") == 0 else {
            throw Refused(reason: String(cString: strerror(errno)))
        }
    }

    func remountReadOnly() throws {
        let flags = UInt(MS_REMOUNT | MS_RDONLY)
        guard mount("tmpfs", path, "tmpfs", flags, nil) == 0 else {
            throw Refused(reason: String(cString: strerror(errno)))
        }
    }

    deinit { umount2(path, Int32(MNT_DETACH)) }
}
