// Sizes and delays of everything that this folder writes. Each is legal over a wide range, so that
// a simulation can make rare paths common; the defaults are for production.

/// The layout of a data directory as a whole.
package enum DataFormat {
    /// Grows with every change that an older program could not read.
    package static let version: UInt16 = 1
    /// The first line of the directory's format file.
    package static let text = "dkron data format 1"
}

package struct JournalTunables: Hashable, Sendable {
    /// A segment of at least so many bytes is closed and followed by a new one.
    package var segmentSize = 16 << 20
    /// The most bytes of one record's payload. A record found on disk that claims more is damage.
    package var recordLimit = 1 << 20
    /// The most bytes of one append, except that a single record always fits.
    package var batchLimit = 4 << 20
    /// Bytes asked for at once while recovering: what they hold is taken in within one step.
    package var readChunk = 256 << 10
    /// A start writes the last segment anew if it is at most this long, and goes on in another one
    /// if it is longer.
    package var renewalLimit = 1 << 20
    /// How long after the last sync an idle log writes a mark which proves that sync.
    package var markDelay = Duration.milliseconds(50)
    /// How long the history waits after a full disk before it tries again.
    package var retryDelay = Duration.seconds(5)
    /// A run journal of at least so many bytes, most of them dead, asks to be rewritten.
    package var rewriteSize = 4 << 20
    /// A closed history segment with less than this percentage of live bytes is copied and removed.
    package var compactionPercent = 25

    package init() {}
}
