@testable import Core

/// A leader's sender and a follower's receiver with nothing between them but a bad network, and
/// nothing below them but a slow disk.
struct TransferBench {
    static let leader: ServerID = 1
    static let follower: ServerID = 2
    static let head = SnapshotHead(
        index: 500, term: 3, meta: RaftConfiguration(voters: [1, 2]).encoded)

    struct Message {
        var content: TransferMessage
        var isToFollower: Bool
        var at: Instant
    }

    var sender: SnapshotSender
    var receiver: SnapshotReceiver
    var now = Instant.zero
    var random: PRNG
    var term: Term = 3
    var followerTerm: Term = 3
    var appliedIndex: LogIndex = 0
    var head: SnapshotHead? = TransferBench.head
    var store = Store()
    var history = HistoryStore(dataID: 9)
    let disk = NodeHarness.Disk()
    let tunables: TransferTunables

    // The network.
    var messages: [Message] = []
    /// Out of a hundred.
    var loss: UInt64 = 0
    var repetition: UInt64 = 0
    var longestDelay: Duration = .milliseconds(1)
    /// Everything that was sent.
    var sent: [TransferMessage] = []
    var mostInFlight = 0

    // The follower's disk.
    var isWriting = false
    /// When the slice or sync under way is done.
    var diskDone: Instant?
    var slowness: Duration = .milliseconds(2)
    var slices: [[UInt8]] = []
    var begun: [SnapshotHead] = []
    var outputs: [HistoryChunk] = []
    var syncAsked: LogIndex?
    var durableOutputs: LogIndex = 0
    var isNaming = false
    var abandoned = 0
    var failures: [String] = []
    var installed: Store?
    /// Refuses a head, as a server whose log has everything.
    var holdsAll = false

    // The leader.
    var ended = 0
    var unreadable: [FileName] = []
    var lostReads: (FileName) -> Bool = { _ in false }

    init(seed: UInt64, records: Int = 400, outputs: Int = 60, outputSize: Int = 700) {
        var tunables = TransferTunables()
        tunables.windowBytes = 4_000
        tunables.windowParts = 5
        tunables.backlog = 5_000
        self.tunables = tunables
        random = PRNG(seed: seed)
        sender = SnapshotSender(sliceSize: 1_000, tunables: tunables)
        receiver = SnapshotReceiver(recordLimit: 1 << 20, tunables: tunables)
        for number in 0..<records {
            let key = [UInt8(ascii: "x")] + Array(String(number).utf8)
            store.restore(key: key, value: Array(repeating: UInt8(number & 255), count: 37))
        }
        fillHistory(outputs, size: outputSize)
    }

    /// Half of the outputs lie on the disk, the others in memory; the last are of later entries.
    private mutating func fillHistory(_ count: Int, size: Int) {
        var requests: [StorageRequest] = []
        history.recover(through: 0, into: &requests)
        pump(&requests)
        for number in 0..<count {
            for chunk in 0...UInt32(number % 3) {
                history.append(
                    index: LogIndex(10 * number + 1), key: key(number), chunk: chunk,
                    bytes: Array(repeating: UInt8(number & 255), count: size + Int(chunk)))
            }
            if number < count / 2 {
                history.flush(into: &requests)
                pump(&requests)
            }
        }
    }

    func key(_ number: Int) -> ByteKey { ByteKey(Array("k\(1_000 + number)".utf8)) }

    private mutating func pump(_ requests: inout [StorageRequest]) {
        while !requests.isEmpty {
            let batch = requests
            requests = []
            for request in batch {
                var actions: [HistoryAction] = []
                history.handle(
                    disk.perform(request.operation), for: request.ticket, at: .zero,
                    into: &requests, actions: &actions)
            }
        }
    }

    var source: SnapshotSender.Source {
        SnapshotSender.Source(now: now, term: term, head: head, store: store, history: history)
    }

    var place: SnapshotReceiver.Place {
        SnapshotReceiver.Place(
            now: now, term: followerTerm, leader: Self.leader, appliedIndex: appliedIndex,
            isWriting: isWriting, wantsSlice: isWriting && diskDone == nil && !isNaming,
            durableOutputs: durableOutputs, backlog: 0)
    }

    // MARK: Turning

    mutating func begin() { withSender { $0.begin(Self.follower, $1, into: &$2) } }

    mutating func withSender(
        _ body: (inout SnapshotSender, SnapshotSender.Source, inout [SnapshotSender.Action]) -> Void
    ) {
        var actions: [SnapshotSender.Action] = []
        body(&sender, source, &actions)
        for action in actions {
            switch action {
            case .send(let id, let message):
                invariant(id == Self.follower, "there is only one follower")
                post(message, toFollower: true)
            case .read(let ticket, let operation):
                var result = disk.perform(operation)
                if case .read(let file, _, _) = operation, lostReads(file) {
                    result = .failed(StorageFailure(.notFound, "gone"))
                }
                withSender { $0.stored(ticket, result, $1, into: &$2) }
            case .ended: ended += 1
            case .unreadable(let file, _): unreadable.append(file)
            }
        }
    }

    mutating func withReceiver(
        _ body: (
            inout SnapshotReceiver, SnapshotReceiver.Place, inout [SnapshotReceiver.Action]
        ) -> Void
    ) {
        var actions: [SnapshotReceiver.Action] = []
        body(&receiver, place, &actions)
        for action in actions { perform(action) }
    }

    private mutating func perform(_ action: SnapshotReceiver.Action) {
        switch action {
        case .send(let id, let message):
            invariant(id == Self.leader, "there is only one leader")
            post(message, toFollower: false)
        case .begin(let head):
            if holdsAll { return withReceiver { $0.refuse(into: &$2) } }
            invariant(!isWriting, "one snapshot at a time")
            begun.append(head)
            isWriting = true
            slices = []
            outputs = []
            diskDone = now + slowness
        case .write(let slice):
            invariant(isWriting && diskDone == nil, "one slice at a time")
            slices.append(slice)
            diskDone = now + slowness
        case .append(let chunk):
            invariant(isWriting, "outputs belong to a snapshot")
            outputs.append(chunk)
        case .syncOutputs(let index):
            syncAsked = index
            durableOutputs = 0
            diskDone = now + slowness
        case .finish:
            invariant(durableOutputs >= head!.index, "outputs are durable before the name is")
            isNaming = true
            diskDone = now + slowness
        case .abandon:
            invariant(isWriting && !isNaming, "what has its name stays")
            abandoned += 1
            isWriting = false
            diskDone = nil
            syncAsked = nil
        case .failed(_, let reason): failures.append(reason)
        }
    }

    private mutating func post(_ message: TransferMessage, toFollower: Bool) {
        // What travels is bytes.
        var writer = ByteWriter()
        message.encode(into: &writer)
        var reader = ByteReader(writer.output)
        let copy = try? TransferMessage(from: &reader)
        invariant(copy == message && reader.isAtEnd, "a message survives its encoding")
        sent.append(message)
        for _ in 0..<(random.chance(repetition, 100) ? 2 : 1) where !random.chance(loss, 100) {
            let delay = Duration(
                nanoseconds: Int64(random.below(UInt64(longestDelay.nanoseconds))))
            messages.append(Message(content: message, isToFollower: toFollower, at: now + delay))
        }
        mostInFlight = max(mostInFlight, Set(parts.map(\.number)).count)
    }

    private var parts: [(number: UInt64, part: TransferPart)] {
        messages.compactMap { message in
            guard case .part(let number, let part) = message.content.body else { return nil }
            return (number, part)
        }
    }

    /// A millisecond passes.
    mutating func tick() {
        now = now + .milliseconds(1)
        if let done = diskDone, done <= now { finishDisk() }
        let due = messages.filter { $0.at <= now }
        messages.removeAll { $0.at <= now }
        for message in due {
            if message.isToFollower {
                withReceiver {
                    $0.receive(message.content, from: Self.leader, at: $1, into: &$2)
                }
            } else {
                withSender { $0.receive(message.content, from: Self.follower, $1, into: &$2) }
            }
        }
        while let next = sender.nextDeadline, next <= now {
            withSender { $0.deadline($1, into: &$2) }
        }
        if let next = receiver.nextDeadline, next <= now {
            withReceiver { $0.deadline(at: $1.now, into: &$2) }
        }
        withReceiver { receiver, place, actions in
            receiver.enter(place.term, into: &actions)
            receiver.proceed(at: place, into: &actions)
        }
    }

    private mutating func finishDisk() {
        diskDone = nil
        if isNaming {
            isNaming = false
            isWriting = false
            var state: Store?
            withReceiver { receiver, _, actions in state = receiver.written(into: &actions) }
            installed = state
            return
        }
        if let index = syncAsked {
            durableOutputs = index
            syncAsked = nil
        }
    }

    /// - Returns: whether `condition` held within the time.
    mutating func run(
        for duration: Duration = .minutes(10), until condition: (TransferBench) -> Bool,
        before change: (inout TransferBench) -> Void = { _ in }
    ) -> Bool {
        let end = now + duration
        while now < end {
            if condition(self) { return true }
            change(&self)
            tick()
        }
        return condition(self)
    }

    /// The chunks that a follower with `appliedIndex` needs.
    var expectedOutputs: [HistoryChunk] {
        var found: [HistoryChunk] = []
        var after: ByteKey?
        while let next = history.records(after: after) {
            after = next.key
            for piece in next.pieces {
                var record: [UInt8] = []
                switch piece {
                case .memory(let bytes): record = bytes
                case .file(let file, let offset, let length):
                    let content = disk.files[file] ?? []
                    record = Array(content[Int(offset)..<Int(offset) + length])
                }
                if let chunk = HistoryChunk(record: record), chunk.index > appliedIndex,
                    chunk.index <= Self.head.index
                {
                    found.append(chunk)
                }
            }
        }
        return found
    }
}
