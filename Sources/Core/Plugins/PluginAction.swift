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

    package init() {}
}

/// What comes of a connection with a plugin.
enum PluginNews {
    /// It has shown that it speaks the protocol.
    case ready
    case printed([UInt8], isError: Bool)
    /// A call of an executor has ended.
    case executed(UInt64, Result<ExecuteResponse, GRPCStatus>)
    /// The connection is over; a sentence without the full stop.
    case lost(String)
}

/// The bytes of an HTTP/2 connection on their way to a socket, one piece at a time.
struct PluginPipe: Sendable {
    let connection: ConnectionNumber
    private var inFlight = 0

    init(_ connection: ConnectionNumber) { self.connection = connection }

    mutating func flush(_ http: HTTP2Connection, into out: inout PluginOutput) {
        guard inFlight == 0, http.hasOutgoing else { return }
        let bytes = Array(http.outgoing)
        inFlight = bytes.count
        out.actions.append(.send(connection, bytes))
    }

    mutating func wrote(_ count: Int, _ http: inout HTTP2Connection, at now: Instant) {
        let count = min(count, inFlight)
        inFlight -= count
        http.didSend(count, at: now)
    }
}
