// The methods of AMQP 0-9-1 that a client which publishes needs (specification, section 1), with
// RabbitMQ's confirmations and notes about blocked connections.

/// The numbers of a method: its class, and its own.
struct AMQPMethodID: Hashable, Sendable {
    var group: UInt16
    var number: UInt16

    init(_ group: UInt16, _ number: UInt16) {
        self.group = group
        self.number = number
    }

    /// The method that says that this one was carried out.
    var done: AMQPMethodID { AMQPMethodID(group, number + 1) }
}

/// Why a server closes something or gives a message back.
struct AMQPReason: Hashable, Sendable, CustomStringConvertible {
    var code: UInt16
    var text: String

    /// `NOT_FOUND - no exchange 'x' in vhost '/' (404)`.
    var description: String { "\(text.prefix(300)) (\(code))" }
}

/// What a server says.
enum AMQPAnswer: Hashable, Sendable {
    case start(properties: AMQPTable, mechanisms: String)
    /// Wants to hear more than a name and a password.
    case secure
    /// The largest frame, head and end included, and the seconds between heartbeats; 0 is none.
    case tune(frameLimit: UInt32, heartbeat: UInt16)
    case connectionClosed(AMQPReason)
    case channelClosed(AMQPReason)
    case blocked(String)
    case unblocked
    /// A message that no queue took.
    case returned(AMQPReason)
    /// Messages up to this number, or this one alone, are taken.
    case taken(number: UInt64, upTo: Bool)
    case refused(number: UInt64, upTo: Bool)
    case done(AMQPMethodID)

    /// - Parameter payload: of a frame with a method.
    init(_ payload: ArraySlice<UInt8>) throws(AMQPError) {
        do throws(ByteError) { self = try Self.read(payload) } catch { throw AMQPError(error) }
    }

    private static func read(_ payload: ArraySlice<UInt8>) throws(ByteError) -> AMQPAnswer {
        var reader = AMQPReader(payload)
        let method = AMQPMethodID(try reader.short(), try reader.short())
        switch (method.group, method.number) {
        case (10, 10):
            _ = try reader.short()
            let properties = try reader.table()
            let mechanisms = String(decoding: try reader.longBytes(), as: UTF8.self)
            return .start(properties: properties, mechanisms: mechanisms)
        case (10, 20): return .secure
        case (10, 30):
            _ = try reader.short()
            return .tune(frameLimit: try reader.long(), heartbeat: try reader.short())
        case (10, 50): return .connectionClosed(try reason(&reader))
        case (10, 60): return .blocked(try reader.shortText())
        case (10, 61): return .unblocked
        case (20, 40): return .channelClosed(try reason(&reader))
        case (60, 50): return .returned(try reason(&reader))
        case (60, 80):
            return .taken(number: try reader.longLong(), upTo: try reader.octet() & 1 != 0)
        case (60, 120):
            return .refused(number: try reader.longLong(), upTo: try reader.octet() & 1 != 0)
        default: return .done(method)
        }
    }

    private static func reason(_ reader: inout AMQPReader) throws(ByteError) -> AMQPReason {
        AMQPReason(code: try reader.short(), text: try reader.shortText())
    }
}

/// What a client says and gets an answer to: `AMQPAnswer.done`.
enum AMQPRequest: Hashable, Sendable {
    case open(host: String)
    case openChannel
    case confirm
    case declareExchange(name: String, kind: String, isDurable: Bool, isAutoDeleted: Bool)
    case declareQueue(name: String, isDurable: Bool, isExclusive: Bool, isAutoDeleted: Bool)
    case bind(queue: String, exchange: String)

    /// What the server was to do, for messages.
    var purpose: String {
        switch self {
        case .open(let host): "open the virtual host \"\(host)\""
        case .openChannel: "open a channel"
        case .confirm: "confirm messages"
        case .declareExchange(let name, _, _, _): "declare the exchange \"\(name)\""
        case .declareQueue(let name, _, _, _): "declare the queue \"\(name)\""
        case .bind(let queue, let exchange):
            "bind the queue \"\(queue)\" to the exchange \"\(exchange)\""
        }
    }

    var method: AMQPMethodID {
        switch self {
        case .open: AMQPMethodID(10, 40)
        case .openChannel: AMQPMethodID(20, 10)
        case .confirm: AMQPMethodID(85, 10)
        case .declareExchange: AMQPMethodID(40, 10)
        case .declareQueue: AMQPMethodID(50, 10)
        case .bind: AMQPMethodID(50, 20)
        }
    }

    var frame: AMQPFrame {
        let channel: UInt16 = if case .open = self { 0 } else { 1 }
        return .method(method, channel: channel) { writer in
            switch self {
            case .open(let host):
                writer.shortText(host)
                writer.shortText("")
                writer.bits(false)
            case .openChannel: writer.shortText("")
            case .confirm: writer.bits(false)
            case .declareExchange(let name, let kind, let isDurable, let isAutoDeleted):
                writer.short(0)
                writer.shortText(name)
                writer.shortText(kind)
                // Passive first, internal and "no answer" last.
                writer.bits(false, isDurable, isAutoDeleted, false, false)
                writer.table(AMQPTable())
            case .declareQueue(let name, let isDurable, let isExclusive, let isAutoDeleted):
                writer.short(0)
                writer.shortText(name)
                writer.bits(false, isDurable, isExclusive, isAutoDeleted, false)
                writer.table(AMQPTable())
            case .bind(let queue, let exchange):
                writer.short(0)
                writer.shortText(queue)
                writer.shortText(exchange)
                writer.shortText(queue)
                writer.bits(false)
                writer.table(AMQPTable())
            }
        }
    }
}

extension AMQPFrame {
    static func method(
        _ id: AMQPMethodID, channel: UInt16, _ write: (inout AMQPWriter) -> Void = { _ in }
    ) -> AMQPFrame {
        var writer = AMQPWriter()
        writer.short(id.group)
        writer.short(id.number)
        write(&writer)
        return AMQPFrame(kind: .method, channel: channel, payload: writer.output[...])
    }

    /// Who the client is, and what it understands.
    static func startDone(user: String, password: String) -> AMQPFrame {
        let abilities = [
            "publisher_confirms", "basic.nack", "connection.blocked",
            "authentication_failure_close",
        ].map { (name: $0, value: AMQPValue.bool(true)) }
        let properties = AMQPTable([
            ("product", .text(Array("dkron".utf8))),
            ("capabilities", .table(AMQPTable(abilities))),
        ])
        return method(AMQPMethodID(10, 11), channel: 0) { writer in
            writer.table(properties)
            writer.shortText("PLAIN")
            writer.longBytes([0] + user.utf8 + [0] + password.utf8)
            writer.shortText("en_US")
        }
    }

    static func tuneDone(frameLimit: UInt32, heartbeat: UInt16) -> AMQPFrame {
        method(AMQPMethodID(10, 31), channel: 0) { writer in
            writer.short(1)
            writer.long(frameLimit)
            writer.short(heartbeat)
        }
    }

    static let close = method(AMQPMethodID(10, 50), channel: 0) { writer in
        writer.short(200)
        writer.shortText("")
        writer.short(0)
        writer.short(0)
    }

    static let closeDone = method(AMQPMethodID(10, 51), channel: 0)
}
