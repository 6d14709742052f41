import Core
import Testing

@testable import Adapters

@Suite("Driver")
struct DriverTests {
    @Test(arguments: [
        (Duration.nanoseconds(.min), Int32(0)), (.zero, 0), (.nanoseconds(1), 1),
        (.microseconds(999), 1),
        (.milliseconds(1), 1), (.nanoseconds(1_000_001), 2), (.seconds(1), 1_000),
        (.seconds(3_600), 60_000), (.max, 60_000),
    ])
    func `waits are rounded up and bounded`(rest: Duration, milliseconds: Int32) {
        #expect(Driver.milliseconds(rest) == milliseconds)
    }
}
