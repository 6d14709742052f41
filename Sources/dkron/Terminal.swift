internal import Glibc

/// Writes a text to standard output. What can't be written is lost with the reader.
func printOut(_ text: String) { write(text + "\n", to: STDOUT_FILENO) }

/// Writes a text for people to standard error.
func printError(_ text: String) { write(text + "\n", to: STDERR_FILENO) }

private func write(_ text: String, to descriptor: Int32) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
        let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        if count < 0 && errno != EINTR { return }
        bytes.removeFirst(max(0, count))
    }
}
