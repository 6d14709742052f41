/// The storage operations that one machine waits for, each with its reason.
struct Tickets<Purpose: Sendable>: Sendable {
    let owner: StorageOwner
    private var lastNumber: UInt64 = 0
    private var open: [(number: UInt64, purpose: Purpose)] = []

    init(owner: StorageOwner) { self.owner = owner }

    /// Asks for an operation and remembers why.
    mutating func ask(
        _ operation: StorageOperation, _ purpose: Purpose, into requests: inout [StorageRequest]
    ) {
        lastNumber += 1
        open.append((lastNumber, purpose))
        let ticket = StorageTicket(owner: owner, number: lastNumber)
        requests.append(StorageRequest(ticket: ticket, operation: operation))
    }

    /// The reason for an operation that has been answered.
    mutating func redeem(_ ticket: StorageTicket) -> Purpose {
        guard ticket.owner == owner,
            let position = open.firstIndex(where: { $0.number == ticket.number })
        else { fatalError("invariant broken: an answer to a question that nobody asked") }
        return open.remove(at: position).purpose
    }

    var isEmpty: Bool { open.isEmpty }
}
