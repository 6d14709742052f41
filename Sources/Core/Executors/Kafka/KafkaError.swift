/// An error code of Kafka's protocol.
struct KafkaError: Hashable, Sendable, CustomStringConvertible {
    let code: Int16

    init(_ code: Int16) { self.code = code }

    static let none = KafkaError(0)
    static let unknownTopic = KafkaError(3)
    static let timedOut = KafkaError(7)
    static let notEnoughReplicasAfterAppend = KafkaError(20)
    static let unsupportedMechanism = KafkaError(33)
    static let duplicate = KafkaError(46)

    /// Another try, perhaps with another broker, may go better.
    var isPassing: Bool {
        switch code {
        case 2, 3, 5...9, 13...16, 19, 20, 41, 51, 56, 72, 74, 75, 89: true
        default: false
        }
    }

    /// It may be stored all the same.
    var isUncertain: Bool { self == .timedOut || self == .notEnoughReplicasAfterAppend }

    var description: String {
        switch code {
        case -1: "the broker failed for a reason that it does not tell (UNKNOWN_SERVER_ERROR)"
        case 2: "the message was damaged on its way (CORRUPT_MESSAGE)"
        case 3: "the broker does not know the topic or partition (UNKNOWN_TOPIC_OR_PARTITION)"
        case 5: "the partition has no leader at present (LEADER_NOT_AVAILABLE)"
        case 6: "the broker does not lead the partition (NOT_LEADER_OR_FOLLOWER)"
        case 7: "not all replicas had the message in time (REQUEST_TIMED_OUT)"
        case 8: "a broker is not available (BROKER_NOT_AVAILABLE)"
        case 9: "a replica is not available (REPLICA_NOT_AVAILABLE)"
        case 10: "the message is larger than the broker takes (MESSAGE_TOO_LARGE)"
        case 13: "the broker lost its own connection (NETWORK_EXCEPTION)"
        case 14: "the coordinator is still loading (COORDINATOR_LOAD_IN_PROGRESS)"
        case 15: "there is no coordinator at present (COORDINATOR_NOT_AVAILABLE)"
        case 16: "the broker is not the coordinator (NOT_COORDINATOR)"
        case 17: "the topic's name is not allowed (INVALID_TOPIC_EXCEPTION)"
        case 18: "the batch is larger than a segment of the topic (RECORD_LIST_TOO_LARGE)"
        case 19: "too few replicas are in sync (NOT_ENOUGH_REPLICAS)"
        case 20: "too few replicas got the message (NOT_ENOUGH_REPLICAS_AFTER_APPEND)"
        case 29: "the user may not write to the topic (TOPIC_AUTHORIZATION_FAILED)"
        case 31: "the user may not do that in this cluster (CLUSTER_AUTHORIZATION_FAILED)"
        case 32: "the message's time is out of bounds (INVALID_TIMESTAMP)"
        case 33: "the broker does not offer the mechanism (UNSUPPORTED_SASL_MECHANISM)"
        case 34: "the broker expects no authentication now (ILLEGAL_SASL_STATE)"
        case 35: "the broker does not know the request's version (UNSUPPORTED_VERSION)"
        case 41: "the broker is not the controller (NOT_CONTROLLER)"
        case 45: "the broker misses earlier messages (OUT_OF_ORDER_SEQUENCE_NUMBER)"
        case 46: "the broker has the message already (DUPLICATE_SEQUENCE_NUMBER)"
        case 47: "the producer's epoch is over (INVALID_PRODUCER_EPOCH)"
        case 51: "another transaction is in the way (CONCURRENT_TRANSACTIONS)"
        case 56: "the broker can't write to its disk (KAFKA_STORAGE_ERROR)"
        case 58: "user name or password is wrong (SASL_AUTHENTICATION_FAILED)"
        case 59: "the broker does not know the producer (UNKNOWN_PRODUCER_ID)"
        case 65: "the user may not use the transaction (TRANSACTIONAL_ID_AUTHORIZATION_FAILED)"
        case 72: "the leader has no such listener (LISTENER_NOT_FOUND)"
        case 74, 75: "the partition's leader has changed (LEADER_EPOCH)"
        case 87: "the topic refuses the message (INVALID_RECORD)"
        case 89: "the broker wants the sender to be slower (THROTTLING_QUOTA_EXCEEDED)"
        default: "error \(code) of the Kafka protocol"
        }
    }
}
