import Testing

/// Authorities and certificates made for one test by the program `openssl`.
struct Certificates {
    let scratch: Scratch

    func certificate(_ name: String) -> String { scratch.path("\(name).pem") }
    func key(_ name: String) -> String { scratch.path("\(name).key") }

    /// One that signs itself, and may sign others.
    func makeAuthority(_ name: String) throws {
        try openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "2", "-subj", "/CN=\(name)", "-keyout", key(name), "-out", certificate(name))
    }

    /// One for `localhost` and 127.0.0.1 unless told otherwise.
    /// - Parameter days: for how many it is valid from now on; negative: it has expired.
    func make(
        _ name: String, by authority: String, for names: String = "DNS:localhost,IP:127.0.0.1",
        days: Int = 2
    ) throws {
        let request = scratch.path("\(name).csr")
        try openssl(
            "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", "/CN=\(name)", "-keyout", key(name), "-out", request)
        let extensions = scratch.path("\(name).ext")
        writeText("subjectAltName=\(names)\n", to: extensions)
        try openssl(
            "x509", "-req", "-in", request, "-CA", certificate(authority), "-CAkey",
            key(authority), "-CAcreateserial", "-days", "\(days)", "-extfile", extensions,
            "-out", certificate(name))
    }

    private func openssl(_ arguments: String...) throws {
        let (ending, output) = try run(["openssl"] + arguments, in: scratch)
        try #require(ending == .exited(0), "openssl \(arguments): \(output)")
    }
}
