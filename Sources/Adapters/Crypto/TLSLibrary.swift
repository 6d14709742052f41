internal import Glibc

/// The functions of OpenSSL 3's libssl that are in use.
///
/// What OpenSSL's headers define as macros is spelled out here and pinned by tests.
struct TLSLibrary: @unchecked Sendable {
    typealias Object = OpaquePointer
    typealias Text = UnsafePointer<CChar>
    typealias PasswordCallback =
        @convention(c) (
            UnsafeMutablePointer<CChar>?, Int32, Int32, UnsafeMutableRawPointer?
        ) -> Int32

    typealias Get = @convention(c) () -> Object?
    typealias Make = @convention(c) (Object?) -> Object?
    typealias Do = @convention(c) (Object?) -> Void
    typealias Ask = @convention(c) (Object) -> Int32
    typealias AskLong = @convention(c) (Object) -> Int
    typealias Give = @convention(c) (Object, Int32) -> Int32
    typealias GiveText = @convention(c) (Object, Text?) -> Int32
    typealias GivePaths = @convention(c) (Object, Text?, Text?) -> Int32
    typealias GiveFile = @convention(c) (Object, Text?, Int32) -> Int32
    typealias GiveBytes = @convention(c) (Object, UnsafePointer<UInt8>?, UInt32) -> Int32
    typealias AskBytes =
        @convention(c) (
            Object, UnsafeMutablePointer<UnsafePointer<UInt8>?>, UnsafeMutablePointer<UInt32>
        ) -> Void
    typealias GiveObject = @convention(c) (Object, Object?) -> Void
    typealias SetVerify = @convention(c) (Object, Int32, Object?) -> Void
    typealias SetPassword = @convention(c) (Object, PasswordCallback?) -> Void
    typealias SetOptions = @convention(c) (Object, UInt64) -> UInt64
    typealias Control = @convention(c) (Object, Int32, Int, UnsafeMutableRawPointer?) -> Int
    typealias Read = @convention(c) (Object, UnsafeMutableRawPointer?, Int32) -> Int32
    typealias Write = @convention(c) (Object, UnsafeRawPointer?, Int32) -> Int32
    typealias LoadNames = @convention(c) (Text?) -> Object?
    typealias Describe = @convention(c) (Int) -> Text?
    typealias NextError = @convention(c) () -> UInt
    typealias DescribeError = @convention(c) (UInt) -> Text?
    typealias Clear = @convention(c) () -> Void

    // Contexts: what many connections have in common.
    let clientMethod: Get
    let serverMethod: Get
    let newContext: Make
    let freeContext: Do
    let contextControl: Control
    let setOptions: SetOptions
    let useSystemRoots: Ask
    let loadRoots: GivePaths
    let setVerify: SetVerify
    let setPassword: SetPassword
    let useChain: GiveText
    let useKey: GiveFile
    let checkKey: Ask
    let setSessionContext: GiveBytes
    let loadNames: LoadNames
    let setClientNames: GiveObject
    // Connections.
    let newSession: Make
    let freeSession: Do
    let setDescriptor: Give
    let connecting: Do
    let accepting: Do
    let sessionControl: Control
    let setHost: GiveText
    /// 0 when they are taken, unlike everything else here.
    let setProtocols: GiveBytes
    let chosenProtocol: AskBytes
    let parameters: Make
    let setAddress: GiveText
    let handshake: Ask
    let read: Read
    let write: Write
    let shutdown: Ask
    let outcome: Give
    let verifyResult: AskLong
    // What went wrong.
    let verifyText: Describe
    let nextError: NextError
    let errorText: DescribeError
    let clearErrors: Clear

    /// The library of this machine, loaded at the first call.
    /// - Throws: the same error at every call, if there is none that fits.
    static func load() throws(CryptographyError) -> TLSLibrary { try loaded.get() }

    private static let loaded = Result<TLSLibrary, CryptographyError> {
        () throws(CryptographyError) in try TLSLibrary(library: "libssl.so.3")
    }

    init(library: String) throws(CryptographyError) {
        let found = try DynamicLibrary(library, for: "TLS")
        clientMethod = try found.symbol("TLS_client_method", as: Get.self)
        serverMethod = try found.symbol("TLS_server_method", as: Get.self)
        newContext = try found.symbol("SSL_CTX_new", as: Make.self)
        freeContext = try found.symbol("SSL_CTX_free", as: Do.self)
        contextControl = try found.symbol("SSL_CTX_ctrl", as: Control.self)
        setOptions = try found.symbol("SSL_CTX_set_options", as: SetOptions.self)
        useSystemRoots = try found.symbol("SSL_CTX_set_default_verify_paths", as: Ask.self)
        loadRoots = try found.symbol("SSL_CTX_load_verify_locations", as: GivePaths.self)
        setVerify = try found.symbol("SSL_CTX_set_verify", as: SetVerify.self)
        setPassword = try found.symbol("SSL_CTX_set_default_passwd_cb", as: SetPassword.self)
        useChain = try found.symbol("SSL_CTX_use_certificate_chain_file", as: GiveText.self)
        useKey = try found.symbol("SSL_CTX_use_PrivateKey_file", as: GiveFile.self)
        checkKey = try found.symbol("SSL_CTX_check_private_key", as: Ask.self)
        setSessionContext = try found.symbol(
            "SSL_CTX_set_session_id_context", as: GiveBytes.self)
        loadNames = try found.symbol("SSL_load_client_CA_file", as: LoadNames.self)
        setClientNames = try found.symbol("SSL_CTX_set_client_CA_list", as: GiveObject.self)
        newSession = try found.symbol("SSL_new", as: Make.self)
        freeSession = try found.symbol("SSL_free", as: Do.self)
        setDescriptor = try found.symbol("SSL_set_fd", as: Give.self)
        connecting = try found.symbol("SSL_set_connect_state", as: Do.self)
        accepting = try found.symbol("SSL_set_accept_state", as: Do.self)
        sessionControl = try found.symbol("SSL_ctrl", as: Control.self)
        setHost = try found.symbol("SSL_set1_host", as: GiveText.self)
        setProtocols = try found.symbol("SSL_set_alpn_protos", as: GiveBytes.self)
        chosenProtocol = try found.symbol("SSL_get0_alpn_selected", as: AskBytes.self)
        parameters = try found.symbol("SSL_get0_param", as: Make.self)
        setAddress = try found.symbol("X509_VERIFY_PARAM_set1_ip_asc", as: GiveText.self)
        handshake = try found.symbol("SSL_do_handshake", as: Ask.self)
        read = try found.symbol("SSL_read", as: Read.self)
        write = try found.symbol("SSL_write", as: Write.self)
        shutdown = try found.symbol("SSL_shutdown", as: Ask.self)
        outcome = try found.symbol("SSL_get_error", as: Give.self)
        verifyResult = try found.symbol("SSL_get_verify_result", as: AskLong.self)
        verifyText = try found.symbol("X509_verify_cert_error_string", as: Describe.self)
        nextError = try found.symbol("ERR_get_error", as: NextError.self)
        errorText = try found.symbol("ERR_reason_error_string", as: DescribeError.self)
        clearErrors = try found.symbol("ERR_clear_error", as: Clear.self)
    }

    /// The reason that the library noted first since the errors were cleared, which are cleared.
    func takeError() -> String? {
        let code = nextError()
        defer { clearErrors() }
        guard code != 0 else { return nil }
        // Errors of the system carry no text of the library's.
        if code & Self.systemErrorFlag != 0 {
            return Adapters.errorText(Int32(truncatingIfNeeded: code & ~Self.systemErrorFlag))
        }
        return errorText(code).map { String(cString: $0) } ?? "error \(code)"
    }

    // MARK: Macros of OpenSSL's headers

    /// `SSL_CTRL_SET_MIN_PROTO_VERSION` and `TLS1_2_VERSION`.
    static let setLeastVersion: Int32 = 123
    static let version12 = 0x0303
    /// `SSL_CTRL_MODE`; `SSL_MODE_ENABLE_PARTIAL_WRITE`, `SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER`
    /// and `SSL_MODE_RELEASE_BUFFERS`.
    static let setMode: Int32 = 33
    static let modes = 0x1 | 0x2 | 0x10
    /// `SSL_OP_NO_RENEGOTIATION`.
    static let noRenegotiation: UInt64 = 1 << 30
    /// `SSL_CTRL_SET_TLSEXT_HOSTNAME` and `TLSEXT_NAMETYPE_host_name`.
    static let setServerName: Int32 = 55
    /// `SSL_VERIFY_PEER` and `SSL_VERIFY_FAIL_IF_NO_PEER_CERT`.
    static let verifyPeer: Int32 = 1
    static let verifyRequired: Int32 = 2
    /// `SSL_FILETYPE_PEM`.
    static let pem: Int32 = 1
    /// `SSL_ERROR_SSL` …
    static let failedInside: Int32 = 1
    static let wantsRead: Int32 = 2
    static let wantsWrite: Int32 = 3
    static let failedOutside: Int32 = 5
    static let isEnded: Int32 = 6
    /// `ERR_SYSTEM_FLAG`.
    private static let systemErrorFlag: UInt = 0x8000_0000
}
