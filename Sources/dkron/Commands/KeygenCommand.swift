internal import Adapters

/// Prints 16 random bytes in base64, alone on standard output, so that `$(dkron keygen)` is a key.
func runKeygenCommand(_ arguments: [String]) -> Int32 {
    let help = "Usage: dkron keygen\n\nPrints a new key for encryption between nodes."
    if let status = refuseArguments(arguments, of: "keygen", help: help) { return status }
    printOut(base64(Entropy.bytes(16)))
    return 0
}

/// Standard base64 with padding (RFC 4648 section 4).
private func base64(_ bytes: [UInt8]) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var text: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
        let group = bytes[start..<min(start + 3, bytes.count)]
        let bits = group.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - group.count))
        for place in 0..<4 {
            let digit = alphabet[bits >> (18 - 6 * place) & 63]
            text.append(place <= group.count ? digit : UInt8(ascii: "="))
        }
    }
    return String(decoding: text, as: UTF8.self)
}
