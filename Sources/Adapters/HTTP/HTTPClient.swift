internal import Core

/// A connected client: its socket, and the state of its conversation.
final class HTTPClient {
    let serial: UInt64
    let address: String
    let socket: StreamSocket
    /// About TLS; another thread may be at work with it.
    var isAgreeing: Bool
    var http: HTTPConnection
    /// What it counts for in the listener's sum.
    var heldBytes = 0
    /// Numbers of requests that the node has and has not answered to the end.
    var unanswered: [UInt64] = []
    /// What the loop watches for; nil before the first time.
    var interest: EventLoop.Interest?
    /// Listed to be looked after by the next flush.
    var isDirty = false
    /// Our sending side is shut.
    var isShut = false

    init(_ serial: UInt64, _ address: String, _ socket: StreamSocket, _ http: HTTPConnection) {
        self.serial = serial
        self.address = address
        self.socket = socket
        isAgreeing = socket.session != nil
        self.http = http
    }
}
