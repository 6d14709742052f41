// Names and numbers that identify things. Text identifiers compare by their UTF-8 bytes: Swift's
// `String` equates different byte sequences ("é" composed and decomposed), which must never make
// two jobs one.

/// A name whose identity and order are those of its UTF-8 bytes.
package struct Identifier<Kind>: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let text: String

    package init(_ text: String) {
        var native = text
        native.makeContiguousUTF8()
        self.text = native
    }

    package var description: String { text }

    package static func == (a: Self, b: Self) -> Bool {
        let (left, right) = (a.text.utf8.span, b.text.utf8.span)
        guard left.count == right.count else { return false }
        for index in left.indices where left[unchecked: index] != right[unchecked: index] {
            return false
        }
        return true
    }
    package static func < (a: Self, b: Self) -> Bool {
        let (left, right) = (a.text.utf8.span, b.text.utf8.span)
        for index in 0..<min(left.count, right.count) {
            let (x, y) = (left[unchecked: index], right[unchecked: index])
            if x != y { return x < y }
        }
        return left.count < right.count
    }
    package func hash(into hasher: inout Hasher) {
        text.utf8.span.withUnsafeBytes { hasher.combine(bytes: $0) }
        hasher.combine(0xff as UInt8)
    }
}

package enum JobNameKind {}
package enum NodeNameKind {}
package enum ExecutionIDKind {}

/// The unique key of a job.
package typealias JobName = Identifier<JobNameKind>
/// The cluster-wide unique name of a node.
package typealias NodeName = Identifier<NodeNameKind>
/// `<number>-<node>`: one attempt on one target. Clients must not read times out of it.
package typealias ExecutionID = Identifier<ExecutionIDKind>

/// The identity of a data directory: drawn once when it is made, kept in its format file, stamped
/// on every file below it, so that a file copied from elsewhere is refused.
package typealias DataID = UInt128
/// A position in the replicated log, counted from 1; 0 means "before the first entry".
package typealias LogIndex = UInt64
/// A Raft term.
package typealias Term = UInt64
/// The log index at which a job was created: a re-created job of the same name is another job.
package typealias Generation = UInt64
/// What one tick or request started: a number unique in the cluster.
package typealias GroupID = Int64

extension ExecutionID {
    /// The number before the first hyphen, unique in the cluster; nil for text of another form.
    package var number: Int64? {
        var value: Int64 = 0
        var digits = 0
        for byte in text.utf8 {
            if byte == UInt8(ascii: "-") { return digits > 0 ? value : nil }
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte), digits < 19 else {
                return nil
            }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(Int64(byte) - 48)
            guard !overflow, !carry else { return nil }
            value = sum
            digits += 1
        }
        return nil
    }
}

extension ByteWriter {
    package mutating func serverID(_ id: DataID) {
        u64(UInt64(truncatingIfNeeded: id))
        u64(UInt64(truncatingIfNeeded: id >> 64))
    }
}

extension ByteReader {
    package mutating func serverID() throws(ByteError) -> DataID {
        let low = try u64()
        return try UInt128(u64()) << 64 | UInt128(low)
    }
}
