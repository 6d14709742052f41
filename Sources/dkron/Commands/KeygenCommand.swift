internal import Adapters
internal import Core

/// Prints 16 random bytes in base64, alone on standard output, so that `$(dkron keygen)` is a key.
func runKeygenCommand(_ arguments: [String]) -> Int32 {
    let help = "Usage: dkron keygen\n\nPrints a new key for encryption between nodes."
    if let status = refuseArguments(arguments, of: "keygen", help: help) { return status }
    printOut(Base64Text.encode(Entropy.bytes(16)))
    return 0
}
