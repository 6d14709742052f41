internal import Core
internal import Glibc

/// The functions of OpenSSL 3's libcrypto that hash and sign, found at run time.
struct DigestLibrary: @unchecked Sendable {
    private typealias Object = OpaquePointer
    private typealias Bytes = UnsafePointer<UInt8>
    private typealias MutableBytes = UnsafeMutablePointer<UInt8>
    private typealias Get = @convention(c) () -> Object?
    private typealias Free = @convention(c) (Object?) -> Void
    private typealias Digest =
        @convention(c) (
            Bytes?, Int, MutableBytes?, UnsafeMutablePointer<UInt32>?, Object?, Object?
        ) -> Int32
    private typealias Authenticate =
        @convention(c) (
            Object?, UnsafeRawPointer?, Int32, Bytes?, Int, MutableBytes?,
            UnsafeMutablePointer<UInt32>?
        ) -> MutableBytes?
    private typealias Stretch =
        @convention(c) (
            UnsafePointer<CChar>?, Int32, Bytes?, Int32, Int32, Object?, Int32, MutableBytes?
        ) -> Int32
    private typealias NewSource = @convention(c) (UnsafeRawPointer?, Int32) -> Object?
    private typealias FreeSource = @convention(c) (Object?) -> Int32
    private typealias PasswordCallback =
        @convention(c) (
            UnsafeMutablePointer<CChar>?, Int32, Int32, UnsafeMutableRawPointer?
        ) -> Int32
    private typealias ReadKey =
        @convention(c) (Object?, UnsafeMutableRawPointer?, PasswordCallback?, Object?) -> Object?
    private typealias KeyIs =
        @convention(c) (Object?, UnsafePointer<CChar>?) -> Int32
    private typealias BeginSignature =
        @convention(c) (Object?, Object?, Object?, Object?, Object?) -> Int32
    private typealias Sign =
        @convention(c) (Object?, MutableBytes?, UnsafeMutablePointer<Int>?, Bytes?, Int) -> Int32
    private typealias Clear = @convention(c) () -> Void

    private let sha256: Get
    private let sha512: Get
    private let digest: Digest
    private let authenticate: Authenticate
    private let stretch: Stretch
    private let newSource: NewSource
    private let freeSource: FreeSource
    private let readKey: ReadKey
    private let freeKey: Free
    private let keyIs: KeyIs
    private let newContext: Get
    private let freeContext: Free
    private let beginSignature: BeginSignature
    private let sign: Sign
    private let clearErrors: Clear

    /// The library of this machine, loaded at the first call.
    /// - Throws: the same error at every call, if there is none that fits.
    static func load() throws(CryptographyError) -> DigestLibrary { try loaded.get() }

    private static let loaded = Result<DigestLibrary, CryptographyError> {
        () throws(CryptographyError) in try DigestLibrary(library: "libcrypto.so.3")
    }

    init(library: String) throws(CryptographyError) {
        let found = try DynamicLibrary(library, for: "authentication")
        sha256 = try found.symbol("EVP_sha256", as: Get.self)
        sha512 = try found.symbol("EVP_sha512", as: Get.self)
        digest = try found.symbol("EVP_Digest", as: Digest.self)
        authenticate = try found.symbol("HMAC", as: Authenticate.self)
        stretch = try found.symbol("PKCS5_PBKDF2_HMAC", as: Stretch.self)
        newSource = try found.symbol("BIO_new_mem_buf", as: NewSource.self)
        freeSource = try found.symbol("BIO_free", as: FreeSource.self)
        readKey = try found.symbol("PEM_read_bio_PrivateKey", as: ReadKey.self)
        freeKey = try found.symbol("EVP_PKEY_free", as: Free.self)
        keyIs = try found.symbol("EVP_PKEY_is_a", as: KeyIs.self)
        newContext = try found.symbol("EVP_MD_CTX_new", as: Get.self)
        freeContext = try found.symbol("EVP_MD_CTX_free", as: Free.self)
        beginSignature = try found.symbol("EVP_DigestSignInit", as: BeginSignature.self)
        sign = try found.symbol("EVP_DigestSign", as: Sign.self)
        clearErrors = try found.symbol("ERR_clear_error", as: Clear.self)
    }

    private func algorithm(_ kind: DigestKind) -> Object? {
        kind == .sha256 ? sha256() : sha512()
    }

    /// Nil: the library failed, as it does only without memory.
    func digest(_ kind: DigestKind, of bytes: [UInt8]) -> [UInt8]? {
        var output = [UInt8](repeating: 0, count: kind.size)
        return digest(bytes, bytes.count, &output, nil, algorithm(kind), nil) == 1 ? output : nil
    }

    func authenticate(_ bytes: [UInt8], key: [UInt8], _ kind: DigestKind) -> [UInt8]? {
        var output = [UInt8](repeating: 0, count: kind.size)
        // A key that is nil would mean the one before.
        let key = key.isEmpty ? [0] : key
        let done = authenticate(
            algorithm(kind), key, Int32(clamping: key.count), bytes, bytes.count, &output, nil)
        return done == nil ? nil : output
    }

    func stretch(
        _ password: [UInt8], salt: [UInt8], rounds: Int, _ kind: DigestKind
    ) -> [UInt8]? {
        var output = [UInt8](repeating: 0, count: kind.size)
        let isDone = password.withUnsafeBufferPointer { password in
            password.withMemoryRebound(to: CChar.self) { text in
                stretch(
                    text.baseAddress, Int32(clamping: text.count), salt,
                    Int32(clamping: salt.count), Int32(clamping: rounds), algorithm(kind),
                    Int32(kind.size), &output) == 1
            }
        }
        return isDone ? output : nil
    }

    func sign(_ bytes: [UInt8], pem: String) throws(CryptographyError) -> [UInt8] {
        defer { clearErrors() }
        let text = Array(pem.utf8)
        // It reads from these bytes for as long as the source lives.
        let key = text.withUnsafeBytes { text -> Object? in
            guard let source = newSource(text.baseAddress, Int32(clamping: text.count)) else {
                return nil
            }
            defer { _ = freeSource(source) }
            // An encrypted key must not make the library ask somebody at a terminal.
            return readKey(source, nil, { _, _, _, _ in -1 }, nil)
        }
        guard let key else {
            throw CryptographyError("the private key is no PEM of a key without a password")
        }
        defer { freeKey(key) }
        guard keyIs(key, "RSA") == 1 else {
            throw CryptographyError("the private key is no RSA key")
        }
        guard let context = newContext() else {
            throw CryptographyError("OpenSSL has no memory for a signature")
        }
        defer { freeContext(context) }
        var size = 0
        guard beginSignature(context, nil, sha256(), nil, key) == 1,
            sign(context, nil, &size, bytes, bytes.count) == 1, size > 0
        else { throw CryptographyError("OpenSSL can't sign with the private key") }
        var signature = [UInt8](repeating: 0, count: size)
        guard sign(context, &signature, &size, bytes, bytes.count) == 1 else {
            throw CryptographyError("OpenSSL can't sign with the private key")
        }
        return Array(signature.prefix(size))
    }
}
