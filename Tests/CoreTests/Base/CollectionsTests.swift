import Testing

@testable import Core

@Suite("MinHeap and RingBuffer")
struct CollectionsTests {
    @Test func heapSortsAnyHistory() {
        for seed in 0..<100 as Range<UInt64> {
            var random = PRNG(seed: seed)
            var heap = MinHeap<UInt64>()
            var model: [UInt64] = []
            for _ in 0..<200 {
                switch random.below(5) {
                case 0, 1, 2:
                    let element = random.below(50)
                    heap.insert(element)
                    model.append(element)
                case 3:
                    model.sort(by: >)
                    #expect(heap.popFirst() == model.popLast())
                default:
                    guard !model.isEmpty else { continue }
                    model.sort(by: >)
                    let element = random.below(50)
                    #expect(heap.replaceFirst(with: element) == model.popLast())
                    model.append(element)
                }
                heap.checkInvariants()
                #expect(heap.first == model.min())
                #expect(heap.count == model.count)
            }
        }
    }

    @Test func ringBufferIsAQueueWithIndices() {
        for seed in 0..<100 as Range<UInt64> {
            var random = PRNG(seed: seed)
            var ring = RingBuffer<Int>()
            var model: [Int] = []
            for step in 0..<300 {
                switch random.below(9) {
                case 0, 1, 2, 3:
                    ring.append(step)
                    model.append(step)
                case 4:
                    ring.prepend(step)
                    model.insert(step, at: 0)
                case 5: #expect(ring.popFirst() == (model.isEmpty ? nil : model.removeFirst()))
                case 6: #expect(ring.popLast() == model.popLast())
                case 7:
                    let count = random.int(in: 0...min(3, model.count))
                    ring.removeFirst(count)
                    model.removeFirst(count)
                default:
                    guard !model.isEmpty else { continue }
                    let index = random.int(in: 0..<model.count)
                    ring[index] = -step
                    model[index] = -step
                }
                #expect(ring.count == model.count)
                #expect(Array(ring) == model)
                #expect(ring.first == model.first && ring.last == model.last)
            }
        }
    }
}
