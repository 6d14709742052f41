import Testing

@testable import Core

@Suite struct QuorumTests {
    /// Every placement of up to seven voters on up to four indices, against the definition.
    @Test func theIndexIsTheHighestThatAMajorityHasReached() {
        for voters in 1...7 {
            for code in 0..<power(4, voters) {
                let reached = (0..<voters).map { LogIndex(code / power(4, $0) % 4) }
                let expected = (0...3).last { index in
                    reached.filter { $0 >= index }.count * 2 > voters
                }
                #expect(Quorum.index(of: reached) == LogIndex(expected ?? 0), "\(reached)")
            }
        }
        #expect(Quorum.index(of: []) == 0)
    }

    @Test func anyTwoMajoritiesShareAVoter() {
        for voters in 1...9 {
            let size = Quorum.size(of: voters)
            #expect(2 * size > voters)
            #expect(2 * (size - 1) <= voters, "no smaller set would do")
        }
    }

    private func power(_ base: Int, _ exponent: Int) -> Int {
        (0..<exponent).reduce(1) { product, _ in product * base }
    }
}
