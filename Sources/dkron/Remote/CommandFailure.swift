/// Why a command that talks to a server did not do what it was asked, in whole sentences.
enum CommandFailure: Error, Hashable {
    /// The arguments, or the file that they name, are at fault.
    case usage(String)
    /// The server refused, or what was waited for went wrong.
    case refused(String)
    /// No server answered, or none that speaks our language.
    case unreachable(String)

    var status: Int32 {
        switch self {
        case .refused: 1
        case .usage: 2
        case .unreachable: 3
        }
    }

    var message: String {
        switch self {
        case .usage(let message), .refused(let message), .unreachable(let message): message
        }
    }
}
