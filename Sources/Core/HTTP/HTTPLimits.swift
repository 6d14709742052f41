// What a client may cost us.

/// Bounds of one connection's requests.
package struct HTTPLimits: Hashable, Sendable {
    /// The request line without its line end, in bytes. Beyond: 414.
    package var requestLine = 8 << 10
    /// All field lines of a request with their line ends, in bytes. Beyond: 431.
    package var fieldBytes = 64 << 10
    /// Field lines of a request. Beyond: 431.
    package var fields = 100
    /// A body, in bytes, chunk framing not counted. Beyond: 413.
    package var body = 1 << 20
    /// The one path whose bodies may be larger.
    package var largeBodyPath = "/v1/restore"
    /// A body sent to `largeBodyPath`, in bytes.
    package var largeBody = 256 << 20
    /// A chunk's size line without its line end, extensions included, in bytes. Beyond: 400.
    package var chunkLine = 256
    /// Requests of one connection that wait for their answers; more are not read.
    package var pipelined = 16
    /// Bytes waiting to be sent beyond which no further request is read.
    package var unsent = 1 << 20

    package init() {}

    /// The longest body that a path takes, in bytes.
    func body(of path: String) -> Int {
        path == largeBodyPath || path == largeBodyPath + "/" ? largeBody : body
    }
}

/// How long a connection may rest in each of its states.
package struct HTTPTimeouts: Hashable, Sendable {
    /// No request is under way.
    package var idle = Duration.seconds(120)
    /// From the first byte of a request to the end of its header.
    package var head = Duration.seconds(10)
    /// Without a byte of a body that is awaited.
    package var body = Duration.seconds(30)
    /// Without the client taking a byte that waits to be sent.
    package var write = Duration.seconds(30)
    /// From our end of the connection to the client's, before it is cut.
    package var linger = Duration.seconds(2)

    package init() {}
}

/// Why a request was refused before anybody could handle it. The connection ends with the answer.
package struct HTTPFailure: Error, Hashable, Sendable {
    package var status: Int
    /// A stable word for programs.
    package var code: String
    /// A sentence for people. It holds nothing of what the client sent.
    package var message: String

    package init(_ status: Int, _ code: String, _ message: String) {
        self.status = status
        self.code = code
        self.message = message
    }
}
