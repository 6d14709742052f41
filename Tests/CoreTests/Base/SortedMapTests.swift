import Testing

@testable import Core

@Suite("SortedMap")
struct SortedMapTests {
    /// The obvious map to compare with: a sorted array.
    struct Model {
        var entries: [(key: Int, value: Int)] = []

        mutating func set(_ key: Int, _ value: Int?) {
            entries.removeAll { $0.key == key }
            guard let value else { return }
            let place = entries.firstIndex { $0.key > key } ?? entries.count
            entries.insert((key, value), at: place)
        }
    }

    static func expectEqual(_ map: SortedMap<Int, Int>, _ model: Model, keys: Range<Int>) {
        map.checkInvariants()
        #expect(map.count == model.entries.count)
        #expect(map.map { [$0.key, $0.value] } == model.entries.map { [$0.key, $0.value] })
        #expect(map.first?.key == model.entries.first?.key)
        #expect(map.last?.key == model.entries.last?.key)
        for key in keys {
            #expect(map[key] == model.entries.first { $0.key == key }?.value)
            #expect(map.next(after: key)?.key == model.entries.first { $0.key > key }?.key)
            #expect(map.first(atOrAfter: key)?.key == model.entries.first { $0.key >= key }?.key)
            #expect(map.last(before: key)?.key == model.entries.last { $0.key < key }?.key)
            #expect(map.last(atOrBefore: key)?.key == model.entries.last { $0.key <= key }?.key)
        }
    }

    /// Every order of inserting n keys, then every single removal and every first pair of them.
    @Test(arguments: 0...6)
    func everyOrderOfInsertion(size: Int) {
        var order = Array(0..<size)
        func visit(_ fixed: Int) {
            if fixed == size { return check(order) }
            for choice in fixed..<size {
                order.swapAt(fixed, choice)
                visit(fixed + 1)
                order.swapAt(fixed, choice)
            }
        }
        func check(_ order: [Int]) {
            var map = SortedMap<Int, Int>(nodeCapacity: 4)
            for key in order { map[key] = key * 10 }
            map.checkInvariants()
            #expect(map.map(\.key) == Array(0..<size))
            let full = map
            for first in 0..<size {
                var rest = full
                #expect(rest.remove(first) == first * 10)
                rest.checkInvariants()
                #expect(rest.map(\.key) == (0..<size).filter { $0 != first })
            }
            #expect(full.map(\.key) == Array(0..<size))
        }
        visit(0)
    }

    /// From trees of every size, removes keys from either end, the middle and by stride.
    @Test(arguments: [4, 5, 8])
    func everySizeShrinksToNothing(capacity: Int) {
        for size in 0..<70 {
            for stride in [1, 3, 7, size - 1] where stride > 0 {
                var map = SortedMap<Int, Int>(nodeCapacity: capacity)
                for key in 0..<size { map[key] = key }
                var keys = Array(0..<size)
                var position = 0
                while !keys.isEmpty {
                    position = (position + stride) % keys.count
                    let key = keys.remove(at: position)
                    #expect(map.remove(key) == key)
                    map.checkInvariants()
                }
                #expect(map.isEmpty && map.first == nil)
            }
        }
    }

    @Test(arguments: [4, 5, 6, 64] as [Int])
    func randomHistoriesWithPinnedCopies(capacity: Int) {
        for seed in 0..<40 as Range<UInt64> {
            var random = PRNG(seed: seed)
            var map = SortedMap<Int, Int>(nodeCapacity: capacity)
            var model = Model()
            var pinned: [(SortedMap<Int, Int>, Model)] = []
            let range = random.int(in: 5...120)
            for step in 0..<300 {
                let key = random.int(in: 0..<range)
                switch random.below(10) {
                case 0..<5:
                    map[key] = step
                    model.set(key, step)
                case 5..<8:
                    map[key] = nil
                    model.set(key, nil)
                case 8:
                    let changed = map.update(key) { $0 += 1 } != nil
                    if let old = model.entries.first(where: { $0.key == key }) {
                        #expect(changed)
                        model.set(key, old.value + 1)
                    } else {
                        #expect(!changed)
                    }
                default:
                    if pinned.count < 5 { pinned.append((map, model)) }
                }
                map.checkInvariants()
            }
            Self.expectEqual(map, model, keys: -1..<range + 1)
            for (copy, copyModel) in pinned {
                Self.expectEqual(copy, copyModel, keys: -1..<range + 1)
            }
        }
    }

    @Test func rangesAndWalks() {
        var map = SortedMap<Int, Int>(nodeCapacity: 4)
        for key in stride(from: 0, to: 100, by: 2) { map[key] = key }
        for low in -1...101 {
            for high in [low, low + 1, low + 7, 200] {
                var seen: [Int] = []
                map.forEach(from: low, to: high) { key, _ in
                    seen.append(key)
                    return true
                }
                #expect(seen == (0..<50).map { $0 * 2 }.filter { $0 >= low && $0 < high })
            }
        }
        for limit in [1, 3, 50, 51] {
            var seen: [Int] = []
            var next: Int?
            repeat {
                let before = seen.count
                next = map.walk(from: next, limit: limit) { key, _ in seen.append(key) }
                #expect(seen.count - before <= limit)
            } while next != nil
            #expect(seen == map.map(\.key))
        }
        var stopped = 0
        map.forEach { _, _ in
            stopped += 1
            return stopped < 5
        }
        #expect(stopped == 5)
    }

    @Test func aWriteIntoACopyCopiesOnlyItsPath() {
        var map = SortedMap<Int, Int>()
        for key in 0..<20_000 { map[key] = key }
        let pinned = map
        map[777] = -1
        func nodes(_ node: SortedMapNode<Int, Int>) -> [ObjectIdentifier] {
            [ObjectIdentifier(node)] + node.children.flatMap(nodes)
        }
        let shared = Set(nodes(map.root)).intersection(nodes(pinned.root))
        #expect(nodes(map.root).count - shared.count <= 4)
        #expect(pinned[777] == 777)
    }

    @Test func byteKeysOrderLikeTheirBytes() {
        var random = PRNG(seed: 5)
        var keys: [[UInt8]] = [[]]
        for _ in 0..<300 {
            let length = random.int(in: 0...20)
            keys.append((0..<length).map { _ in UInt8(random.below(3) == 0 ? 0xff : 0) })
        }
        for a in keys {
            for b in keys {
                #expect((ByteKey(a) < ByteKey(b)) == a.lexicographicallyPrecedes(b))
                #expect((ByteKey(a) == ByteKey(b)) == (a == b))
            }
        }
    }
}
