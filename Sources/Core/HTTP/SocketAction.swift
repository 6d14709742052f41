// Sockets in values: what calls that go out over the network want, and what they hear.

/// Names a connection within one caller; never used twice.
package typealias ConnectionNumber = UInt64

/// What whoever makes calls wants of the network.
package enum SocketAction: Hashable, Sendable {
    /// Answered by one `resolved` of the same name. Not asked again before.
    case resolve(host: String)
    /// Open a connection to the address (IP text, or the path of a socket in the file system, which
    /// begins with a slash and has no port), with TLS if there is a peer to be sure of;
    /// answered by `opened` or `failed`.
    case open(ConnectionNumber, address: String, port: UInt16, tls: TLSPeer?)
    /// Agree about TLS on a connection that is open; answered by `opened` or `failed`.
    case secure(ConnectionNumber, TLSPeer)
    /// Answered by `wrote` as the bytes leave, in the order of the calls.
    case send(ConnectionNumber, [UInt8])
    /// Nothing more is heard of it, and nothing more is wanted.
    case close(ConnectionNumber)
}

/// What the network tells it.
package enum SocketEvent: Hashable, Sendable {
    /// Addresses as IP text, in the order in which they are tried; or why there are none.
    case resolved(host: String, addresses: [String], problem: String)
    case opened(ConnectionNumber)
    case wrote(ConnectionNumber, count: Int)
    case received(ConnectionNumber, [UInt8])
    /// The server has closed its side.
    case receivedEnd(ConnectionNumber)
    /// The connection can't be made or went down; the system's reason.
    case failed(ConnectionNumber, reason: String)
}
