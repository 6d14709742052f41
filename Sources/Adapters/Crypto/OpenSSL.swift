internal import Glibc

/// The functions of OpenSSL 3's libcrypto that are in use, found at run time: a program without
/// them starts and works as long as nothing has to be sealed.
///
/// What OpenSSL's headers define as macros is spelled out here and pinned by tests.
package struct OpenSSL: @unchecked Sendable {
    private typealias Context = OpaquePointer
    private typealias Bytes = UnsafePointer<UInt8>
    private typealias MutableBytes = UnsafeMutablePointer<UInt8>
    private typealias Cipher = OpaquePointer

    private typealias NewContext = @convention(c) () -> Context?
    private typealias FreeContext = @convention(c) (Context?) -> Void
    private typealias GetCipher = @convention(c) () -> Cipher?
    private typealias Begin =
        @convention(c) (Context, Cipher?, OpaquePointer?, Bytes?, Bytes?, Int32) -> Int32
    private typealias Update =
        @convention(c) (Context, MutableBytes?, UnsafeMutablePointer<Int32>, Bytes?, Int32) -> Int32
    private typealias Finish =
        @convention(c) (Context, MutableBytes?, UnsafeMutablePointer<Int32>) -> Int32
    private typealias Control =
        @convention(c) (Context, Int32, Int32, UnsafeMutableRawPointer?) -> Int32
    private typealias ClearErrors = @convention(c) () -> Void
    private typealias NewKeyContext = @convention(c) (Int32, OpaquePointer?) -> Context?
    private typealias KeyStep = @convention(c) (Context) -> Int32
    private typealias GiveDigest = @convention(c) (Context, OpaquePointer?) -> Int32
    private typealias GiveBytes = @convention(c) (Context, Bytes?, Int32) -> Int32
    private typealias Derive =
        @convention(c) (Context, MutableBytes?, UnsafeMutablePointer<Int>) -> Int32

    private let newContext: NewContext
    private let freeContext: FreeContext
    private let aes128: GetCipher
    private let aes192: GetCipher
    private let aes256: GetCipher
    private let begin: Begin
    private let update: Update
    private let finish: Finish
    private let control: Control
    private let clearErrors: ClearErrors
    private let newKeyContext: NewKeyContext
    private let freeKeyContext: FreeContext
    private let sha256: GetCipher
    private let beginDerivation: KeyStep
    private let giveDigest: GiveDigest
    private let giveSalt: GiveBytes
    private let giveKey: GiveBytes
    private let addInfo: GiveBytes
    private let derive: Derive

    // MARK: Loading

    /// The library of this machine, loaded at the first call.
    /// - Throws: the same error at every call, if there is none that fits.
    package static func load() throws(CryptographyError) -> OpenSSL { try loaded.get() }

    private static let loaded = Result<OpenSSL, CryptographyError> { () throws(CryptographyError) in
        try OpenSSL(library: "libcrypto.so.3")
    }

    /// - Parameter library: a file name that the dynamic linker finds.
    init(library: String) throws(CryptographyError) {
        let found = try DynamicLibrary(library, for: "encryption")
        newContext = try found.symbol("EVP_CIPHER_CTX_new", as: NewContext.self)
        freeContext = try found.symbol("EVP_CIPHER_CTX_free", as: FreeContext.self)
        aes128 = try found.symbol("EVP_aes_128_gcm", as: GetCipher.self)
        aes192 = try found.symbol("EVP_aes_192_gcm", as: GetCipher.self)
        aes256 = try found.symbol("EVP_aes_256_gcm", as: GetCipher.self)
        begin = try found.symbol("EVP_CipherInit_ex", as: Begin.self)
        update = try found.symbol("EVP_CipherUpdate", as: Update.self)
        finish = try found.symbol("EVP_CipherFinal_ex", as: Finish.self)
        control = try found.symbol("EVP_CIPHER_CTX_ctrl", as: Control.self)
        clearErrors = try found.symbol("ERR_clear_error", as: ClearErrors.self)
        newKeyContext = try found.symbol("EVP_PKEY_CTX_new_id", as: NewKeyContext.self)
        freeKeyContext = try found.symbol("EVP_PKEY_CTX_free", as: FreeContext.self)
        sha256 = try found.symbol("EVP_sha256", as: GetCipher.self)
        beginDerivation = try found.symbol("EVP_PKEY_derive_init", as: KeyStep.self)
        giveDigest = try found.symbol("EVP_PKEY_CTX_set_hkdf_md", as: GiveDigest.self)
        giveSalt = try found.symbol("EVP_PKEY_CTX_set1_hkdf_salt", as: GiveBytes.self)
        giveKey = try found.symbol("EVP_PKEY_CTX_set1_hkdf_key", as: GiveBytes.self)
        addInfo = try found.symbol("EVP_PKEY_CTX_add1_hkdf_info", as: GiveBytes.self)
        derive = try found.symbol("EVP_PKEY_derive", as: Derive.self)
    }

    // MARK: AES-GCM (NIST SP 800-38D)

    package static let nonceBytes = 12
    package static let tagBytes = 16

    /// Seals under a key of 16, 24 or 32 bytes and a nonce of 12 that was never used with it.
    /// - Returns: the ciphertext, as long as `plain`, and behind it the tag of 16 bytes.
    package func sealGCM(
        _ plain: some Collection<UInt8>, key: [UInt8], nonce: [UInt8], authenticating data: [UInt8]
    ) throws(CryptographyError) -> [UInt8] {
        let plain = Array(plain)
        var output = [UInt8](repeating: 0, count: plain.count + Self.tagBytes)
        let isSealed = withContext(key, nonce, isSealing: true) { context in
            guard add(data, context), transform(plain[...], into: &output, context) else {
                return false
            }
            return output.withUnsafeMutableBytes { bytes in
                control(
                    context, Self.getTag, Int32(Self.tagBytes), bytes.baseAddress! + plain.count)
                    == 1
            }
        }
        guard isSealed else {
            throw CryptographyError("OpenSSL can't seal with a key of \(key.count) bytes")
        }
        return output
    }

    /// Opens what `sealGCM` made; nil if it, the key, the nonce or `data` is another.
    package func openGCM(
        _ sealed: ArraySlice<UInt8>, key: [UInt8], nonce: [UInt8], authenticating data: [UInt8]
    ) -> [UInt8]? {
        guard sealed.count >= Self.tagBytes else { return nil }
        let ciphertext = sealed.dropLast(Self.tagBytes)
        var tag = Array(sealed.suffix(Self.tagBytes))
        var output = [UInt8](repeating: 0, count: ciphertext.count)
        let isOpen = withContext(key, nonce, isSealing: false) { context in
            add(data, context) && transform(ciphertext, into: &output, context, checking: &tag)
        }
        return isOpen ? output : nil
    }

    // MARK: HKDF (RFC 5869)

    /// A key of `count` bytes, made of another one by HKDF with SHA-256. Whoever has it learns
    /// nothing about `key`, nor about keys with another salt or purpose.
    /// - Parameter purpose: what RFC 5869 calls `info`, at most 1,024 bytes.
    package func deriveKey(
        _ key: [UInt8], salt: [UInt8], purpose: [UInt8], count: Int
    ) throws(CryptographyError) -> [UInt8] {
        guard let context = newKeyContext(Self.hkdf, nil) else {
            throw CryptographyError("OpenSSL does not know HKDF")
        }
        defer { freeKeyContext(context) }
        var output = [UInt8](repeating: 0, count: count)
        var size = count
        let isDerived =
            beginDerivation(context) == 1 && giveDigest(context, sha256()) == 1
            && giveSalt(context, salt, Int32(salt.count)) == 1
            && giveKey(context, key, Int32(key.count)) == 1
            && addInfo(context, purpose, Int32(purpose.count)) == 1
            && derive(context, &output, &size) == 1 && size == count
        guard isDerived else {
            clearErrors()
            throw CryptographyError("OpenSSL can't derive a key")
        }
        return output
    }

    // MARK: Helpers

    private func withContext(
        _ key: [UInt8], _ nonce: [UInt8], isSealing: Bool, _ body: (Context) -> Bool
    ) -> Bool {
        guard nonce.count == Self.nonceBytes, let cipher = cipher(for: key),
            let context = newContext()
        else { return false }
        defer { freeContext(context) }
        let isDone =
            begin(context, cipher, nil, key, nonce, isSealing ? 1 : 0) == 1
            && body(context)
        // A failure leaves its reasons in a list of the thread's.
        if !isDone { clearErrors() }
        return isDone
    }

    private func cipher(for key: [UInt8]) -> Cipher? {
        switch key.count {
        case 16: aes128()
        case 24: aes192()
        case 32: aes256()
        default: nil
        }
    }

    /// Data that the tag covers and the ciphertext does not hold.
    private func add(_ data: [UInt8], _ context: Context) -> Bool {
        var count: Int32 = 0
        return data.isEmpty || update(context, nil, &count, data, Int32(data.count)) == 1
    }

    private func transform(
        _ input: ArraySlice<UInt8>, into output: inout [UInt8], _ context: Context
    ) -> Bool {
        var none: [UInt8] = []
        return transform(input, into: &output, context, checking: &none)
    }

    /// - Parameter tag: what must come out as the tag; empty when sealing.
    private func transform(
        _ input: ArraySlice<UInt8>, into output: inout [UInt8], _ context: Context,
        checking tag: inout [UInt8]
    ) -> Bool {
        guard input.count <= Int(Int32.max) else { return false }
        var count: Int32 = 0
        let isTransformed =
            input.isEmpty
            || input.withUnsafeBufferPointer { source in
                output.withUnsafeMutableBufferPointer { target in
                    update(
                        context, target.baseAddress, &count, source.baseAddress,
                        Int32(source.count)) == 1
                }
            }
        guard isTransformed, Int(count) == input.count else { return false }
        if !tag.isEmpty {
            let size = Int32(tag.count)
            let isSet = tag.withUnsafeMutableBytes {
                control(context, Self.setTag, size, $0.baseAddress) == 1
            }
            guard isSet else { return false }
        }
        // GCM has nothing left to write; the call compares the tag.
        var rest = [UInt8](repeating: 0, count: Self.tagBytes)
        return finish(context, &rest, &count) == 1 && count == 0
    }

    /// `EVP_CTRL_GCM_GET_TAG` and `EVP_CTRL_GCM_SET_TAG`.
    private static let getTag: Int32 = 0x10
    private static let setTag: Int32 = 0x11
    /// `EVP_PKEY_HKDF`.
    private static let hkdf: Int32 = 1036
}
