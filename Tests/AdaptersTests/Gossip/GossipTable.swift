import Glibc

/// The recordings that the tests of Core keep.
enum GossipTable {
    static func lines(_ name: String, file: StaticString = #filePath) -> [String] {
        let folder = "\(file)".split(separator: "/").dropLast(3).joined(separator: "/")
        guard let stream = fopen("/\(folder)/CoreTests/Tables/\(name)", "r") else { return [] }
        defer { fclose(stream) }
        var bytes: [UInt8] = []
        var byte = fgetc(stream)
        while byte != EOF {
            bytes.append(UInt8(byte))
            byte = fgetc(stream)
        }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    static func bytes(_ hexadecimal: String) -> [UInt8] {
        let digits = hexadecimal.compactMap(\.hexDigitValue)
        return stride(from: 0, to: digits.count - 1, by: 2).map {
            UInt8(digits[$0] << 4 | digits[$0 + 1])
        }
    }

    static func base64(_ text: String) -> [UInt8] {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var bytes: [UInt8] = []
        var held = 0
        var bits = 0
        for letter in text where letter != "=" {
            held = held << 6 | (letters.firstIndex(of: letter) ?? 0)
            bits += 6
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(held >> bits & 255))
            }
        }
        return bytes
    }
}
