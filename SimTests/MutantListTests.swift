import Glibc
import Testing

@testable import Simulator

/// The list of planted bugs follows the sources: a fragment that is gone would be found out only
/// when its turn comes.
@Suite struct MutantListTests {
    private static let root: String = {
        let parts = #filePath.split(separator: "/").dropLast(2)
        return "/" + parts.joined(separator: "/")
    }()

    private static func read(_ path: String) -> String? {
        guard let file = fopen(root + "/" + path, "r") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = fread(&buffer, 1, buffer.count, file)
            if count == 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes += buffer[..<count]
        }
    }

    @Test func everyFragmentOccursOnce() throws {
        let list = try #require(Self.read("SimTests/Mutants/mutants.txt"))
        var name = ""
        var file = ""
        var fragment: [Substring]?
        var count = 0
        for line in list.split(separator: "\n", omittingEmptySubsequences: false) {
            if line == "<<<<" {
                fragment = []
            } else if line == "====", let wanted = fragment?.joined(separator: "\n") {
                fragment = nil
                count += 1
                let text = try #require(Self.read(file), "\(name): there is no \(file)")
                #expect(occurrences(of: wanted, in: text) == 1, "\(name): in \(file)")
            } else if fragment != nil {
                fragment?.append(line)
            } else if line.hasPrefix("mutant ") {
                name = String(line.split(separator: " ")[1])
            } else if line.hasPrefix("file ") {
                file = String(line.dropFirst(5))
            }
        }
        #expect(count > 40)
    }

    private func occurrences(of fragment: String, in text: String) -> Int {
        let (wanted, bytes) = (Array(fragment.utf8), Array(text.utf8))
        guard let first = wanted.first, bytes.count >= wanted.count else { return 0 }
        var found = 0
        for start in 0...(bytes.count - wanted.count) where bytes[start] == first {
            if bytes[start..<start + wanted.count].elementsEqual(wanted) { found += 1 }
        }
        return found
    }
}
