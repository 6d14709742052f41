/// One message for a Kafka cluster.
///
///     versions ─► (SASL) ─► metadata ─► producer ─► producing ─► ended
///         ▲                     │  the partition's leader is another broker
///         └─────────────────────┘
///
/// The producer is an idempotent one: its id, epoch and number go along with the message, so that
/// it may be sent again after a broken connection, and is stored once. What passes is tried again,
/// with growing pauses, until the time-out, or for two minutes without one.
struct KafkaConversation: Conversation {
    enum Stage {
        case versions
        case handshake
        case authenticating
        case metadata
        case producer
        case producing
    }

    let job: KafkaJob
    let host: any ExecutorHost
    private let execution: ExecutionID
    var stage = Stage.versions
    private var buffer: [UInt8] = []
    private var correlation: Int32 = 0
    private var here: ConversationServer
    var versions: KafkaVersions?
    var scram: SCRAMClient?
    /// The proof has been sent.
    var isProved = false
    private var producer: KafkaProducer?
    /// Once a message was sent there it must not go to another one.
    private var partition: Int32?
    private var batch: [UInt8] = []
    private var leader: ConversationServer?
    /// Those of the settings, and those that they told of.
    private var brokers: [ConversationServer]

    private var beganAt: Instant?
    private var unknownSince: Instant?
    private var rounds = 0
    private var hasReached = false
    /// The message was sent, and nothing was heard of it since.
    private var isUnderWay = false
    /// It may be stored, though nobody said so.
    private var isUncertain = false

    /// The metadata of a topic with thousands of partitions has a few hundred KiB.
    private static let mostReply = 4 << 20
    /// Brokers that create topics on demand need a moment.
    private static let patienceForTopic = Duration.seconds(5)
    private static let patience = Duration.minutes(2)
    private static let roundsUnreached = 3

    init(_ job: KafkaJob, _ execution: ExecutionID, on host: any ExecutorHost) {
        self.job = job
        self.execution = execution
        self.host = host
        here = job.servers[0]
        brokers = job.servers
    }

    var servers: [ConversationServer] { job.servers }
    var isCommitted: Bool { isUnderWay || isUncertain }
    var mayRepeat: Bool { true }

    // MARK: Events

    mutating func opened(
        _ server: ConversationServer, at now: Now, into steps: inout [ConversationStep]
    ) {
        noteBreak(at: now)
        here = server
        // Somebody else after a failure: who leads has to be asked again.
        if server != leader { leader = nil }
        buffer = []
        scram = nil
        stage = .versions
        ask(.apiVersions, version: 0, into: &steps) { _ in }
    }

    mutating func received(
        _ bytes: [UInt8], at now: Now, into steps: inout [ConversationStep]
    ) {
        buffer += bytes
        while buffer.count >= 4 {
            let size = buffer[..<4].reduce(0) { $0 << 8 | Int($1) }
            guard size >= 4, size <= Self.mostReply else { return refuse(into: &steps) }
            guard buffer.count >= 4 + size else { return }
            let reply = buffer[4..<(4 + size)]
            buffer.removeSubrange(..<(4 + size))
            guard
                reply.prefix(4).reduce(0, { $0 << 8 | UInt32($1) })
                    == UInt32(bitPattern: correlation)
            else { return refuse(into: &steps) }
            let body = Array(reply.dropFirst(4))
            do throws(ByteError) {
                guard try take(body[...], at: now, into: &steps) else { return }
            } catch {
                return refuse(into: &steps)
            }
        }
    }

    mutating func resumed(at now: Now, into steps: inout [ConversationStep]) {
        steps.append(.move(to: brokers[rounds % brokers.count]))
    }

    mutating func exhausted(
        reason: String, at now: Now, into steps: inout [ConversationStep]
    ) {
        noteBreak(at: now)
        leader = nil
        rounds += 1
        let pause: Duration = min(.milliseconds(100) * Int64(1 << min(rounds - 1, 5)), .seconds(2))
        let limit = job.timeout ?? Self.patience
        let isOver = (beganAt ?? now.monotonic) + limit <= now.monotonic + pause
        guard !isOver, hasReached || rounds < Self.roundsUnreached else {
            return end(reason, into: &steps)
        }
        steps.append(.wait(pause))
    }

    /// A connection has ended, or the first one is there.
    private mutating func noteBreak(at now: Now) {
        if beganAt == nil { beganAt = now.monotonic }
        if isUnderWay { (isUnderWay, isUncertain) = (false, true) }
    }

    private mutating func refuse(into steps: inout [ConversationStep]) {
        let isTLS = stage == .versions && job.tls == nil && buffer.starts(with: [0x15, 0x03])
        let hint = isTLS ? "; it speaks TLS, which tlsEnable is for" : ""
        steps.append(.leave(reason: "what answers does not speak Kafka\(hint)"))
    }

    private func end(_ reason: String, into steps: inout [ConversationStep]) {
        let caveat = isUncertain ? "; the message may be stored all the same" : ""
        steps.append(.end(error: reason + caveat))
    }

    /// Ends with an error of this broker's.
    func fail(_ reason: String, into steps: inout [ConversationStep]) {
        end("\(here.name): \(reason)", into: &steps)
    }

    // MARK: Requests

    mutating func ask(
        _ request: KafkaRequest, version: Int16, into steps: inout [ConversationStep],
        _ body: (inout KafkaWriter) -> Void
    ) {
        correlation = correlation &+ 1
        steps.append(
            .send(request.framed(version: version, correlation: correlation, body)))
    }

    /// The version of a request that both sides know; without one the conversation ends.
    func version(
        of request: KafkaRequest, into steps: inout [ConversationStep]
    ) -> Int16? {
        if let version = versions?.version(of: request) { return version }
        fail(
            "the broker takes no version of \(request.name) that dkron speaks; brokers from 0.11 "
                + "on do", into: &steps)
        return nil
    }

    // MARK: Replies

    /// - Returns: false once nothing more of this connection counts.
    private mutating func take(
        _ body: ArraySlice<UInt8>, at now: Now, into steps: inout [ConversationStep]
    ) throws(ByteError) -> Bool {
        switch stage {
        case .versions:
            let versions = try KafkaVersions(body)
            guard versions.error == .none else {
                steps.append(.leave(reason: versions.error.description))
                return false
            }
            hasReached = true
            self.versions = versions
            return job.login == nil ? proceed(at: now, into: &steps) : greet(into: &steps)
        case .handshake: return shake(try KafkaHandshake(body), into: &steps)
        case .authenticating:
            let word = try KafkaAuthentication(body)
            guard authenticated(word, into: &steps) else { return steps.isAsking }
            return proceed(at: now, into: &steps)
        case .metadata:
            guard let version = version(of: .metadata, into: &steps) else { return false }
            let metadata = try KafkaMetadata(body, version: version, topic: job.topic)
            return choose(metadata, at: now, into: &steps)
        case .producer:
            let producer = try KafkaProducer(body)
            guard producer.error == .none else { return judge(producer.error, "", into: &steps) }
            self.producer = producer
            return proceed(at: now, into: &steps)
        case .producing:
            guard let version = version(of: .produce, into: &steps) else { return false }
            isUnderWay = false
            return finish(try KafkaReceipt(body, version: version), into: &steps)
        }
    }

    /// Does what is missing next.
    private mutating func proceed(
        at now: Now, into steps: inout [ConversationStep]
    ) -> Bool {
        guard let leader, let partition else { return askMetadata(into: &steps) }
        guard let producer else {
            guard let version = version(of: .initProducerID, into: &steps) else { return false }
            stage = .producer
            ask(.initProducerID, version: version, into: &steps) {
                $0.string(nil)
                $0.int32(-1)
            }
            return true
        }
        guard leader == here else {
            steps.append(.move(to: leader))
            return false
        }
        return produce(producer, partition, at: now, into: &steps)
    }

    private mutating func askMetadata(into steps: inout [ConversationStep]) -> Bool {
        guard let version = version(of: .metadata, into: &steps) else { return false }
        stage = .metadata
        let topic = job.topic
        ask(.metadata, version: version, into: &steps) {
            $0.int32(1)
            $0.string(topic)
            // It may be created, if the cluster does that.
            if version >= 4 { $0.int8(1) }
        }
        return true
    }

    private mutating func choose(
        _ metadata: KafkaMetadata, at now: Now, into steps: inout [ConversationStep]
    ) -> Bool {
        remember(metadata.brokers)
        let error = metadata.topic?.error ?? .unknownTopic
        if error == .unknownTopic {
            let since = unknownSince ?? now.monotonic
            unknownSince = since
            if now.monotonic >= since + Self.patienceForTopic {
                fail("there is no topic \"\(job.topic)\", and none was created", into: &steps)
                return false
            }
        }
        guard let topic = metadata.topic, error == .none else {
            return judge(error, "", into: &steps)
        }
        guard let chosen = choice(topic.partitions, into: &steps) else { return false }
        partition = chosen.index
        guard let broker = metadata.brokers.first(where: { $0.id == chosen.leader }),
            let port = UInt16(exactly: broker.port), port > 0, !broker.host.isEmpty
        else { return judge(KafkaError(5), "", into: &steps) }
        leader = job.server(broker.host, port)
        if job.isVerbose {
            let words =
                "< topic \(job.topic): \(topic.partitions.count) partitions; "
                + "\(broker.host):\(port) leads partition \(chosen.index)\n"
            steps.append(.output(Array(words.utf8)))
        }
        return proceed(at: now, into: &steps)
    }

    private mutating func remember(_ told: [KafkaMetadata.Broker]) {
        for broker in told where brokers.count < 100 {
            guard let port = UInt16(exactly: broker.port), port > 0, !broker.host.isEmpty else {
                continue
            }
            let server = job.server(broker.host, port)
            if !brokers.contains(server) { brokers.append(server) }
        }
    }

    private func choice(
        _ partitions: [KafkaMetadata.Partition], into steps: inout [ConversationStep]
    ) -> KafkaMetadata.Partition? {
        let count = partitions.count
        guard count > 0 else {
            steps.append(.leave(reason: KafkaError(5).description))
            return nil
        }
        var wanted = partition ?? job.partition
        if wanted == nil, let key = job.key {
            wanted = Int32(clamping: KafkaRecords.partition(of: key, among: count))
        }
        guard let wanted else {
            // Any will do: executions spread over those that can take it.
            let able = partitions.filter { $0.leader >= 0 }
            let from = able.isEmpty ? partitions : able
            return from[KafkaRecords.partition(of: Array(execution.text.utf8), among: from.count)]
        }
        guard let found = partitions.first(where: { $0.index == wanted }) else {
            fail(
                "the topic \"\(job.topic)\" has no partition \(wanted), but 0 to \(count - 1)",
                into: &steps)
            return nil
        }
        return found
    }

    private mutating func produce(
        _ producer: KafkaProducer, _ partition: Int32, at now: Now,
        into steps: inout [ConversationStep]
    ) -> Bool {
        guard let version = version(of: .produce, into: &steps) else { return false }
        if batch.isEmpty {
            batch = KafkaRecords.batch(
                key: job.key, value: job.message, headers: job.headers.fields,
                at: now.wall.nanoseconds / 1_000_000, by: producer)
        }
        stage = .producing
        isUnderWay = true
        let patience = (job.timeout ?? .seconds(30)).wholeMilliseconds
        let (topic, batch) = (job.topic, batch)
        ask(.produce, version: version, into: &steps) {
            $0.string(nil)
            // All replicas that are in sync.
            $0.int16(-1)
            $0.int32(Int32(clamping: max(1, patience)))
            $0.int32(1)
            $0.string(topic)
            $0.int32(1)
            $0.int32(partition)
            $0.bytes(batch)
        }
        return true
    }

    private mutating func finish(
        _ receipt: KafkaReceipt, into steps: inout [ConversationStep]
    ) -> Bool {
        guard receipt.error == .none || receipt.error == .duplicate else {
            if receipt.error.isUncertain { isUncertain = true }
            return judge(receipt.error, receipt.words, into: &steps)
        }
        let place = receipt.offset < 0 ? "" : ", offset \(receipt.offset)"
        let words =
            "Result: successfully produced the message on Kafka broker\n"
            + "Partition \(receipt.partition)\(place)\n"
        steps.append(.output(Array(words.utf8)))
        steps.append(.end(error: ""))
        return false
    }

    /// Tries again elsewhere or later, or gives up.
    /// - Returns: false.
    private mutating func judge(
        _ error: KafkaError, _ words: String, into steps: inout [ConversationStep]
    ) -> Bool {
        let more = words.isEmpty ? "" : ": \(words.prefix(200))"
        leader = nil
        if error.isPassing {
            steps.append(.leave(reason: "\(error)\(more)"))
        } else {
            fail("\(error)\(more)", into: &steps)
        }
        return false
    }
}

extension [ConversationStep] {
    /// The last step asks the server something, so that it may answer.
    fileprivate var isAsking: Bool {
        if case .send = last { true } else { false }
    }
}
