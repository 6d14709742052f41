// The records of a history segment.
//
//     chunk    = crc:u32 index:u64 number:u32 key:bytes data          (crc covers what follows it)
//     page     = (index:u64 number:u32 key:bytes position:u32 length:u32)*
//     trailer  = position of the first page:u64 pages:u32 chunks:u32
//
// A closed segment ends with pages that list its chunks and a trailer that finds them, so that a
// start reads these alone. A segment without a trailer is read through.

/// A chunk as the pages list it. `position` and `length` are those of the chunk record's payload.
struct HistoryListing: Hashable, Sendable {
    var index: LogIndex
    var number: UInt32
    var key: ByteKey
    var position: UInt32
    var length: UInt32
}

enum HistoryFormat {
    static let chunkType: UInt8 = 1
    static let pageType: UInt8 = 2
    static let trailerType: UInt8 = 3
    static let trailerSize = SegmentRecord.headerSize + 16
    /// Bytes of a page, from which on another one is begun.
    private static let pageSize = 64 << 10

    struct Chunk: Hashable {
        var index: LogIndex
        var number: UInt32
        var key: ByteKey
        var data: ArraySlice<UInt8>
    }

    static func encode(
        index: LogIndex, number: UInt32, key: ByteKey, data: [UInt8]
    ) -> [UInt8] {
        var writer = ByteWriter(capacity: 24 + key.bytes.count + data.count)
        writer.u32(0)
        writer.u64(index)
        writer.u32(number)
        writer.bytes(key.bytes)
        writer.raw(data)
        writer.patch(u32: Checksum.crc32c(writer.output[4...]), at: 0)
        return writer.output
    }

    static func decodeChunk(_ payload: [UInt8]) -> Chunk? {
        var reader = ByteReader(payload)
        do throws(ByteError) {
            guard try reader.u32() == Checksum.crc32c(payload[4...]) else { return nil }
            return Chunk(
                index: try reader.u64(), number: try reader.u32(),
                key: ByteKey(try reader.bytes()), data: reader.rest())
        } catch {
            return nil
        }
    }

    /// The pages and the trailer of a segment whose next record would begin at `position`.
    static func footer(
        _ listings: [HistoryListing], at position: UInt64
    ) -> [(type: UInt8, payload: [UInt8])] {
        var records: [(type: UInt8, payload: [UInt8])] = []
        var page = ByteWriter()
        for listing in listings {
            page.u64(listing.index)
            page.u32(listing.number)
            page.bytes(listing.key.bytes)
            page.u32(listing.position)
            page.u32(listing.length)
            if page.count >= pageSize {
                records.append((pageType, page.output))
                page.clear()
            }
        }
        if page.count > 0 { records.append((pageType, page.output)) }
        var trailer = ByteWriter()
        trailer.u64(position)
        trailer.u32(UInt32(records.count))
        trailer.u32(UInt32(listings.count))
        records.append((trailerType, trailer.output))
        return records
    }

    static func decodePage(_ payload: [UInt8]) -> [HistoryListing]? {
        var reader = ByteReader(payload)
        var listings: [HistoryListing] = []
        do throws(ByteError) {
            while !reader.isAtEnd {
                listings.append(
                    HistoryListing(
                        index: try reader.u64(), number: try reader.u32(),
                        key: ByteKey(try reader.bytes()), position: try reader.u32(),
                        length: try reader.u32()))
            }
            return listings
        } catch {
            return nil
        }
    }
}
