internal import Glibc

/// Writes a text to standard output. What can't be written is lost with the reader.
func printOut(_ text: String) { write(Array((text + "\n").utf8), to: STDOUT_FILENO) }

/// Writes bytes to standard output.
func writeOut(_ bytes: [UInt8]) { write(bytes, to: STDOUT_FILENO) }

/// Writes a text for people to standard error.
func printError(_ text: String) { write(Array((text + "\n").utf8), to: STDERR_FILENO) }

private func write(_ bytes: [UInt8], to descriptor: Int32) {
    var rest = bytes[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        if count < 0 && errno != EINTR { return }
        rest = rest.dropFirst(max(0, count))
    }
}
