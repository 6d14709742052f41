// What the host of plugins wants of processes and sockets, and what it hears of them. Production
// has an adapter for it; tests play its part.

/// One start of a plugin's program. Never used twice.
package typealias PluginLife = UInt64
/// A socket that a plugin may connect to. Never used twice.
package typealias PluginListener = UInt64

/// Performed in order.
package enum PluginAction: Hashable, Sendable {
    /// Start the program with the variables of the handshake; answered by `launched` or `refused`.
    case launch(PluginLife, PluginFile)
    /// End the process and what it has started, at once; `exited` follows if it was launched.
    case kill(PluginLife)
    /// Answered by `opened` or `failed`. Numbers of the host are even.
    case connect(ConnectionNumber, PluginAddress)
    /// Answered by `wrote` as the bytes leave.
    case send(ConnectionNumber, [UInt8])
    /// Nothing more is heard of it.
    case close(ConnectionNumber)
    /// Make a socket at this path; `listenFailed` if that can't be done.
    case listen(PluginListener, path: String)
    /// Take the socket away again.
    case unlisten(PluginListener, path: String)
    /// Remove what a plugin may have left of its own socket.
    case remove(socket: String)
    case log(LogRecord)
}

package enum PluginEvent: Hashable, Sendable {
    case launched(PluginLife)
    case refused(PluginLife, reason: String)
    /// From its standard output.
    case printed(PluginLife, [UInt8])
    /// From its standard error.
    case complained(PluginLife, [UInt8])
    /// After everything that it printed, as far as that was read.
    case exited(PluginLife, PluginExit)
    case opened(ConnectionNumber)
    case wrote(ConnectionNumber, count: Int)
    case received(ConnectionNumber, [UInt8])
    case receivedEnd(ConnectionNumber)
    case failed(ConnectionNumber, reason: String)
    case listenFailed(PluginListener, reason: String)
    /// Somebody has connected. Numbers of such connections are odd.
    case accepted(PluginListener, ConnectionNumber)
}

/// How a process ended: by itself or by a signal.
package enum PluginExit: Hashable, Sendable, CustomStringConvertible {
    case code(Int32)
    case signal(Int32)
    /// Somebody else has collected it.
    case unknown

    package var description: String {
        switch self {
        case .unknown: "an unknown status"
        case .code(let code): "exit status \(code)"
        case .signal(let number): "signal \(number)"
        }
    }

    /// As after `PluginAction.kill`.
    static let killed = PluginExit.signal(9)
}

/// What is to be done and told, in order.
package struct PluginOutput: Sendable {
    package var actions: [PluginAction] = []
    package var news: [(execution: ExecutionID, event: CallEvent)] = []
    /// Calls of processors that are over, by their numbers.
    package var processed: [(number: UInt64, outcome: PluginOutcome)] = []

    package init() {}
}

/// What a plugin is called for.
enum PluginOrder: Sendable {
    case execute(PluginCall)
    case process(ProcessorCall)

    var kind: PluginKind {
        switch self {
        case .execute: .executor
        case .process: .processor
        }
    }

    var plugin: String {
        switch self {
        case .execute(let call): call.plugin
        case .process(let call): call.plugin
        }
    }
}

/// A connection with a plugin in the protocol of its kind, for the host.
protocol PluginLink: Sendable {
    var connection: ConnectionNumber { get }
    var deadline: Instant? { get }

    /// - Parameters:
    ///   - number: names the call in its news.
    ///   - socket: where its status updates are taken, and by which id.
    mutating func begin(
        _ number: UInt64, _ order: PluginOrder, socket: PluginSocket?, at now: Instant)
    /// Nobody waits for the end of a call any more.
    mutating func cancel(_ number: UInt64, at now: Instant)
    /// Asks the plugin to end.
    mutating func shutDown(at now: Instant)
    mutating func received(_ bytes: [UInt8], at now: Instant)
    mutating func wrote(_ count: Int, at now: Instant)
    mutating func receivedEnd(at now: Instant)
    mutating func failed(_ reason: String)
    mutating func expire(at now: Instant)
    /// What came of everything before. Call it after each of the functions above.
    mutating func drain(
        at now: Instant, into out: inout PluginOutput, _ news: inout [PluginNews])
}

/// Where status updates of a call are taken.
struct PluginSocket: Sendable {
    /// By which the plugin asks for it.
    var service: UInt32
    var path: String
}

/// What comes of a connection with a plugin.
enum PluginNews {
    /// It has shown that it speaks the protocol.
    case ready
    case printed([UInt8], isError: Bool)
    /// A call of an executor has ended.
    case executed(UInt64, Result<ExecuteResponse, GRPCStatus>)
    case processed(UInt64, PluginOutcome)
    /// The connection is over; a sentence without the full stop.
    case lost(String)
}

/// The bytes of an HTTP/2 connection on their way to a socket, one piece at a time.
struct HTTP2Pipe: Sendable {
    private var inFlight = 0

    /// A piece has not left yet.
    var isBusy: Bool { inFlight > 0 }

    /// The next piece; nil while the one before is on its way.
    mutating func next(of http: HTTP2Connection) -> [UInt8]? {
        guard inFlight == 0, http.hasOutgoing else { return nil }
        let bytes = Array(http.outgoing)
        inFlight = bytes.count
        return bytes
    }

    mutating func wrote(_ count: Int, _ http: inout HTTP2Connection, at now: Instant) {
        let count = min(count, inFlight)
        inFlight -= count
        http.didSend(count, at: now)
    }
}
