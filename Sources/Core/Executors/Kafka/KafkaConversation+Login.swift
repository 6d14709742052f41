// SASL within Kafka's requests: the mechanism is agreed upon, then words go to and fro.

extension KafkaConversation {
    mutating func greet(into steps: inout [ConversationStep]) -> Bool {
        guard let login = job.login, let version = version(of: .saslHandshake, into: &steps) else {
            return false
        }
        stage = .handshake
        ask(.saslHandshake, version: version, into: &steps) { $0.string(login.mechanism.name) }
        return true
    }

    /// - Returns: false once nothing more of this connection counts.
    mutating func shake(
        _ reply: KafkaHandshake, into steps: inout [ConversationStep]
    ) -> Bool {
        guard let login = job.login else { return false }
        if reply.error == .unsupportedMechanism {
            let list = reply.mechanisms.joined(separator: ", ").prefix(200)
            let name = login.mechanism.name
            fail("the broker does not offer \(name), but \(list)", into: &steps)
            return false
        }
        guard reply.error == .none else {
            fail(reply.error.description, into: &steps)
            return false
        }
        stage = .authenticating
        switch login.mechanism {
        case .plain:
            let words = [UInt8](login.user.utf8)
            return say([0] + words + [0] + Array(login.password.utf8), into: &steps)
        case .sha256, .sha512:
            do throws(ExecutorHostError) {
                let nonce = Base64Text.encode(try host.unguessable(18))
                let client = SCRAMClient(
                    login.mechanism == .sha256 ? .sha256 : .sha512, user: login.user,
                    password: login.password, nonce: nonce)
                scram = client
                isProved = false
                return say(client.first, into: &steps)
            } catch {
                fail(error.description, into: &steps)
                return false
            }
        }
    }

    private mutating func say(
        _ bytes: [UInt8], into steps: inout [ConversationStep]
    ) -> Bool {
        guard let version = version(of: .saslAuthenticate, into: &steps) else { return false }
        ask(.saslAuthenticate, version: version, into: &steps) { $0.bytes(bytes) }
        return true
    }

    /// - Returns: whether the broker knows the user now. If not, the last step says what is next.
    mutating func authenticated(
        _ word: KafkaAuthentication, into steps: inout [ConversationStep]
    ) -> Bool {
        guard word.error == .none else {
            let more = word.words.isEmpty ? "" : ": \(word.words.prefix(200))"
            fail("\(word.error)\(more)", into: &steps)
            return false
        }
        guard var client = scram else { return true }
        do throws(SCRAMClient.Failure) {
            if isProved {
                try client.check(word.bytes)
                return true
            }
            let answer = try client.answer(word.bytes, on: host)
            scram = client
            isProved = true
            _ = say(answer, into: &steps)
        } catch {
            fail(error.reason, into: &steps)
        }
        return false
    }
}
