internal import Glibc

/// Unpredictable bytes from the kernel: seeds, node ids, keys.
package enum Entropy {
    /// `count` random bytes, at most 256 at a time.
    package static func bytes(_ count: Int) -> [UInt8] {
        precondition((0...256).contains(count))
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            // A kernel without entropy is one we must not make identities on.
            let result = getentropy(buffer.baseAddress, count)
            guard result == 0 else { fatalError("getentropy failed: \(errno)") }
            initialized = count
        }
    }

    package static func number() -> UInt64 {
        bytes(8).reduce(0) { $0 << 8 | UInt64($1) }
    }
}
