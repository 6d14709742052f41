/// What is new in the output of a run that is asked for again and again. The server keeps the end
/// of an output: once it is longer than that, its beginning vanishes between two looks.
struct OutputFollower {
    private var last: [UInt8] = []

    /// The bytes that the last look did not show.
    ///
    /// - Returns: `hasGap` when what followed the last look has vanished already.
    ///
    /// Complexity: O(n) in both outputs.
    mutating func take(_ output: [UInt8]) -> (new: ArraySlice<UInt8>, hasGap: Bool) {
        let before = last
        last = output
        if output.starts(with: before) { return (output[before.count...], false) }
        // The longest end of what was there that begins what is there now.
        let overlap = Self.overlap(of: before, and: output)
        return (output[overlap...], overlap == 0)
    }

    /// The length of the longest suffix of `a` that is a prefix of `b`, by the failure function of
    /// Knuth, Morris and Pratt.
    private static func overlap(of a: [UInt8], and b: [UInt8]) -> Int {
        guard !a.isEmpty, !b.isEmpty else { return 0 }
        var borders = [0]
        var length = 0
        for index in b.indices.dropFirst() {
            while length > 0, b[index] != b[length] { length = borders[length - 1] }
            if b[index] == b[length] { length += 1 }
            borders.append(length)
        }
        length = 0
        for byte in a {
            if length == b.count { length = borders[length - 1] }
            while length > 0, byte != b[length] { length = borders[length - 1] }
            if byte == b[length] { length += 1 }
        }
        return length
    }
}
