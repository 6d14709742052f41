/// A message for a syslog server over a stream (RFC 6587 section 3.4.1, RFC 5425): its length in
/// octets, a blank, the message. Servers acknowledge nothing, so it counts as delivered when the
/// connection has taken all of it and stands for a moment more.
package struct SyslogDelivery: ConversationJob {
    package var server: ConversationServer
    package var message: [UInt8]
    package var timeout: Duration?

    package init(server: ConversationServer, message: [UInt8], timeout: Duration?) {
        self.server = server
        self.message = message
        self.timeout = timeout
    }

    package func begin(
        _ attempt: ConversationCall, on host: any ExecutorHost
    ) -> any Conversation {
        SyslogConversation(self)
    }
}

struct SyslogConversation: Conversation {
    private let delivery: SyslogDelivery
    private var rest: Int
    private(set) var isCommitted = false

    /// A server that refuses a sender closes the connection by then.
    private static let patience = Duration.milliseconds(300)

    init(_ delivery: SyslogDelivery) {
        self.delivery = delivery
        rest = 0
    }

    var servers: [ConversationServer] { [delivery.server] }

    mutating func opened(
        _ server: ConversationServer, at now: Now, into steps: inout [ConversationStep]
    ) {
        let frame = Array("\(delivery.message.count) ".utf8) + delivery.message
        rest = frame.count
        isCommitted = true
        steps.append(.send(frame))
    }

    mutating func wrote(_ count: Int, at now: Now, into steps: inout [ConversationStep]) {
        rest -= count
        if rest == 0 { steps.append(.wait(Self.patience)) }
    }

    /// Servers say nothing; whatever this one says is nothing to us.
    mutating func received(
        _ bytes: [UInt8], at now: Now, into steps: inout [ConversationStep]
    ) {}

    mutating func resumed(at now: Now, into steps: inout [ConversationStep]) {
        steps.append(.end(error: ""))
    }
}
