internal import Glibc

/// Why cryptography is not to be had, or has failed.
package struct CryptographyError: Error, Hashable, Sendable, CustomStringConvertible {
    package var description: String

    init(_ description: String) { self.description = description }
}

/// A library of OpenSSL 3, found at run time: a program without it starts and works as long as
/// nothing has to be sealed.
struct DynamicLibrary {
    private let handle: UnsafeMutableRawPointer
    private let name: String
    private let purpose: String

    /// - Parameters:
    ///   - name: a file name that the dynamic linker finds.
    ///   - purpose: what needs it, the beginning of a sentence.
    init(_ name: String, for purpose: String) throws(CryptographyError) {
        guard let handle = dlopen(name, RTLD_NOW | RTLD_LOCAL) else {
            let reason = dlerror().map { String(cString: $0) } ?? "no reason is given"
            throw CryptographyError(
                "\(purpose) needs OpenSSL 3, and \(name) can't be loaded: \(reason). Install it "
                    + "(Debian and Ubuntu: libssl3, Alpine: libssl3, Red Hat: openssl-libs), or "
                    + "do without \(purpose)")
        }
        self.handle = handle
        self.name = name
        self.purpose = purpose
    }

    /// A function of the library or of those that it needs.
    /// - Parameter type: its C type, which nothing checks.
    func symbol<Function>(
        _ symbol: String, as type: Function.Type
    ) throws(CryptographyError) -> Function {
        guard let address = dlsym(handle, symbol) else {
            throw CryptographyError(
                "\(purpose) needs OpenSSL 3: \(name) has no function \(symbol)")
        }
        return unsafeBitCast(address, to: type)
    }
}
