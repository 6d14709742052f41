extension Checksum {
    /// CRC-32 of IEEE 802.3 (polynomial 0x04C11DB7, reflected 0xEDB88320), as memberlist puts it
    /// before a packet. One byte a step: packets are small.
    package static func crc32(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        var crc = UInt32.max
        for byte in bytes {
            crc = (crc >> 8) ^ crc32Table[Int(UInt8(truncatingIfNeeded: crc) ^ byte)]
        }
        return ~crc
    }

    private static let crc32Table: [UInt32] = (0..<256).map { byte in
        var crc = UInt32(byte)
        for _ in 0..<8 { crc = crc & 1 == 1 ? (crc >> 1) ^ 0xedb8_8320 : crc >> 1 }
        return crc
    }
}
