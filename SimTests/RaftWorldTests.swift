import Core
import Testing

@testable import Simulator

@Suite struct RaftWorldTests {
    /// A few seeds; `Simulator --raft --seeds A..B` runs thousands.
    @Test(arguments: 0..<2) func safetyAndLiveness(slice: Int) {
        var elections = 0
        var reads = 0
        var snapshots = 0
        for seed in slice * 16..<slice * 16 + 16 {
            let run = RaftRun(seed: UInt64(seed))
            #expect(run.violation == nil, "\(run.line)")
            elections += run.elections
            reads += run.readsAnswered
            snapshots += run.snapshots
        }
        #expect(elections > 8)
        #expect(reads > 8)
        #expect(snapshots > 0)
    }

    @Test func theSameSeedIsTheSameWorld() {
        let (one, other) = (RaftRun(seed: 7), RaftRun(seed: 7))
        #expect(one.steps == other.steps)
        #expect(one.committed == other.committed)
        #expect(one.elections == other.elections)
    }
}
