internal import Core

/// A connected client: its socket, and the state of its conversation.
final class HTTPClient {
    let serial: UInt64
    let descriptor: Int32
    var http: HTTPConnection
    /// Numbers of requests that the node has and has not answered to the end.
    var unanswered: [UInt64] = []
    /// What the loop watches for; nil before the first time.
    var interest: EventLoop.Interest?
    /// Listed to be looked after by the next flush.
    var isDirty = false
    /// Our sending side is shut.
    var isShut = false

    init(_ serial: UInt64, _ descriptor: Int32, _ http: HTTPConnection) {
        self.serial = serial
        self.descriptor = descriptor
        self.http = http
    }
}
