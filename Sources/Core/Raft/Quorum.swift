/// Majorities of voters.
package enum Quorum {
    /// How many of `voters` make a majority.
    package static func size(of voters: Int) -> Int { voters / 2 + 1 }

    /// The highest index that a majority has reached, given what each voter has reached.
    package static func index(of reached: [LogIndex]) -> LogIndex {
        guard !reached.isEmpty else { return 0 }
        return reached.sorted(by: >)[size(of: reached.count) - 1]
    }
}
