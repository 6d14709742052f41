package import Core

/// Finds out whether a node answers on its port for messages, for a program that is no node.
package enum PeerQuestion {
    /// Greets the node at an address and waits for its greeting.
    ///
    /// - Parameter id: as whom; nobody else may be using it.
    /// - Parameter addressee: whom it means to speak to.
    /// - Returns: the greeting, or why there is none, as the rest of a sentence.
    package static func ask(
        _ address: GossipAddress, addressee: ServerID, as id: ServerID, timeout: Duration
    ) -> Result<PeerHello, ClientSocket.Failure> {
        do throws(ClientSocket.Failure) {
            return .success(try greet(address, addressee, id, timeout))
        } catch {
            return .failure(error)
        }
    }

    private static func greet(
        _ address: GossipAddress, _ addressee: ServerID, _ id: ServerID, _ timeout: Duration
    ) throws(ClientSocket.Failure) -> PeerHello {
        let endpoint = Endpoint(host: address.ip.description, port: address.port)
        let socket = try ClientSocket(endpoint, timeout: timeout)
        // Without a cluster, so that nobody takes it for a member of another one.
        let hello = PeerHello(
            id: id, addressee: addressee, incarnation: Entropy.number(),
            nonce: Entropy.bytes(PeerHello.nonceBytes), cluster: "", isSealed: false)
        try socket.send(hello.encoded, timeout: timeout)
        let deadline = Clocks.monotonic() + timeout
        var bytes: [UInt8] = []
        while true {
            let more = try socket.receive(timeout: deadline - Clocks.monotonic())
            bytes += more
            do throws(PeerGreetingError) {
                if let (found, _) = try PeerHello.read(bytes[...]) { return found }
            } catch {
                throw ClientSocket.Failure(reason: error.description)
            }
            guard !more.isEmpty else {
                throw ClientSocket.Failure(reason: "it ended the connection without a word")
            }
        }
    }
}
