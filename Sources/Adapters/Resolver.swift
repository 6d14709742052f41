package import Core

/// Looks up the addresses of hosts on threads of its own: the C library's lookup can block for as
/// long as name servers are silent, and nothing can cut it short.
package final class Resolver: Sendable {
    /// Who wants to know.
    package enum Asker: Sendable {
        /// A request of the executor `http`.
        case calls
        /// Another executor that speaks with servers.
        case conversations
        /// A request of a processor.
        case processorCalls
        /// A processor that speaks with a server in another way.
        case processorConversations
        case node
    }

    package struct Answer: Sendable {
        var asker: Asker
        var host: String
        /// IP text, in the order of preference.
        var addresses: [String]
        /// Why there are none.
        var problem: String
    }

    private struct Question {
        var asker: Asker
        var host: String

        func answered(_ addresses: [String], problem: String) -> Answer {
            Answer(asker: asker, host: host, addresses: addresses, problem: problem)
        }
    }

    /// One silent name server holds a thread for each name that it should know.
    private static let mostThreads = 8
    private static let mostPending = 1_024

    private let pool: WorkerPool<Question, Answer>

    package init() throws(SystemError) {
        pool = try WorkerPool(
            threads: Self.mostThreads, pending: Self.mostPending,
            carryOut: { Self.answer($0) },
            refuse: { question, refusal in
                let problem =
                    switch refusal {
                    case .full(let limit): "more than \(limit) names wait for their lookup"
                    case .noThread(let reason): "no thread for the lookup: \(reason)"
                    }
                return question.answered([], problem: problem)
            })
    }

    /// Readable when there are answers.
    package var fileDescriptor: Int32 { pool.fileDescriptor }

    package func receive() -> [Answer] { pool.receive() }

    /// Asks for one answer.
    func resolve(_ host: String, for asker: Asker) {
        pool.submit(Question(asker: asker, host: host))
    }

    private static func answer(_ question: Question) -> Answer {
        do throws(AddressError) {
            var addresses: [String] = []
            for address in try SocketAddress.resolve(Endpoint(host: question.host, port: 0)) {
                let text = address.host
                if !text.isEmpty, !addresses.contains(text) { addresses.append(text) }
            }
            return question.answered(addresses, problem: "")
        } catch {
            return question.answered([], problem: error.reason)
        }
    }
}

extension Resolver.Answer {
    /// For the node.
    package var input: Input {
        .resolved(
            host: host, addresses.compactMap { IPAddress(text: $0) }, problem: problem)
    }
}
