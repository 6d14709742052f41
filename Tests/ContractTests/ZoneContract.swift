// What the effect "load a zone" promises, run twice: against the simulator's model, and against the
// files of this machine.

import Adapters
import Core
import Glibc
import Testing

@testable import Simulator

/// One of the two worlds that have zone files.
protocol ZoneWorld {
    var name: String { get }
    func load(_ name: String) -> [UInt8]?
    /// The file of a zone goes away, or comes back.
    mutating func setPresent(_ isPresent: Bool, _ name: String) throws
}

struct ModelZoneWorld: ZoneWorld {
    let name = "model"
    private var folder = ZoneFolder()

    func load(_ name: String) -> [UInt8]? { folder.load(name) }

    mutating func setPresent(_ isPresent: Bool, _ name: String) {
        if isPresent { folder.absent.remove(name) } else { folder.absent.insert(name) }
    }
}

/// A folder that shows the machine's zones through links.
struct RealZoneWorld: ZoneWorld {
    let name = "machine"
    private let folder: Folder

    init() throws {
        folder = try Folder()
        for name in ["UTC", "Europe"] {
            try #require(symlink("/usr/share/zoneinfo/" + name, folder.path + "/" + name) == 0)
        }
    }

    func load(_ name: String) -> [UInt8]? { Adapters.ZoneFiles.load(name, in: [folder.path]) }

    mutating func setPresent(_ isPresent: Bool, _ name: String) throws {
        let here = folder.path + "/" + name
        let away = folder.path + "/away"
        try #require(rename(isPresent ? away : here, isPresent ? here : away) == 0)
    }
}

@Suite("Contract of zone files")
struct ZoneContract {
    static func worlds() throws -> [any ZoneWorld] { [ModelZoneWorld(), try RealZoneWorld()] }

    @Test func `a zone's file tells its rules`() throws {
        for world in try Self.worlds() {
            let side = world.name
            let bytes = try #require(world.load("Europe/Berlin"), "\(side)")
            let rules = try ZoneRules(name: "Europe/Berlin", bytes: bytes)
            // 2026-01-15 and 2026-07-15, and beyond what any file writes out.
            for (instant, offset) in [
                (1_768_435_200, 3_600), (1_784_073_600, 7_200), (4_102_488_000, 3_600),
            ] {
                #expect(rules.offset(at: Int64(instant)) == offset, "\(side)")
            }
        }
    }

    @Test(arguments: [
        "", "Nowhere/Atlantis", "../UTC", "/etc/passwd", "Europe", "Europe/../UTC", "europe/berlin",
    ])
    func `what names no zone has no file`(name: String) throws {
        for world in try Self.worlds() {
            let side = world.name
            #expect(world.load(name) == nil, "\(side)")
        }
    }

    @Test func `a file that went away is missed, and found again`() throws {
        for each in try Self.worlds() {
            var world = each
            let side = world.name
            let before = world.load("UTC")
            #expect(before != nil, "\(side)")
            try world.setPresent(false, "UTC")
            let without = world.load("UTC")
            #expect(without == nil, "\(side)")
            try world.setPresent(true, "UTC")
            let after = world.load("UTC")
            #expect(after == before, "\(side)")
        }
    }
}
