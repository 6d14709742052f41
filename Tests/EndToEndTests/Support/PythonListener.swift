import Glibc
import Testing

/// A peer written in Python: what it receives goes to its log.
final class PythonListener {
    static func knows(_ modules: String) -> Bool {
        let process = try? ChildProcess(["python3", "-c", "import \(modules)"], log: "/dev/null")
        return process?.wait(20) == .exited(0)
    }

    private let log: String
    private let process: ChildProcess

    var heard: String { readText(log) }

    /// Runs a program that prints `ready` when it listens.
    init(_ program: String, _ arguments: [String], in scratch: Scratch) throws {
        log = scratch.path("peer-\(scratch.unique())")
        process = try ChildProcess(["python3", "-u", "-c", program] + arguments, log: log)
        let isReady = eventually(20) { readText(log).contains("ready") }
        try #require(isReady, "\(readText(log))")
    }

    deinit { process.destroy() }

    func stop() {
        process.signal(SIGKILL)
        process.wait(10)
    }

    /// A mail server: port, certificate or nothing, its key.
    static let mail = """
        import base64, email, ssl, sys, time
        from email import policy
        from aiosmtpd.controller import Controller
        from aiosmtpd.smtp import AuthResult
        class Handler:
            async def handle_DATA(self, server, session, envelope):
                message = email.message_from_bytes(envelope.content, policy=policy.default)
                print("mail", envelope.mail_from, envelope.rcpt_tos, session.ssl is not None,
                    session.auth_data, flush=True)
                print("subject", message["subject"], flush=True)
                print("body", repr(message.get_content()), flush=True)
                return "250 taken"
        def check(server, session, envelope, mechanism, data):
            pair = (data.login.decode(), data.password.decode())
            return AuthResult(success=pair == ("me", "geheim"), handled=False,
                auth_data=pair[0])
        options = {}
        if len(sys.argv) > 2:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(sys.argv[2], sys.argv[3])
            options = dict(tls_context=context, require_starttls=True, authenticator=check,
                auth_required=True)
        controller = Controller(Handler(), hostname="127.0.0.1", port=int(sys.argv[1]), **options)
        controller.start()
        print("ready", flush=True)
        while True: time.sleep(1)
        """

    /// A syslog server: kind, path or port, certificate, key.
    static let syslog = """
        import os, socket, ssl, sys
        kind, place = sys.argv[1], sys.argv[2]
        if kind == "unix":
            s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(place)
        elif kind == "udp":
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", int(place)))
        else:
            s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", int(place))); s.listen()
        print("ready", flush=True)
        while kind in ("unix", "udp"):
            print("datagram", repr(s.recv(1 << 20)), flush=True)
        while True:
            c = s.accept()[0]
            if kind == "tls":
                context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                context.load_cert_chain(sys.argv[3], sys.argv[4])
                c = context.wrap_socket(c, server_side=True)
            if kind == "closing":
                c.recv(10); c.close(); continue
            data = b""
            while True:
                piece = c.recv(1 << 16)
                if not piece: break
                data += piece
            print("stream", repr(data), flush=True)
        """

    /// A web hook: port; paths say what is answered.
    static let hook = """
        import http.server, os, sys, time
        # In one write: each request has a thread of its own, and their lines must not mix.
        def tell(*lines): os.write(1, "".join(line + "\\n" for line in lines).encode())
        class Handler(http.server.BaseHTTPRequestHandler):
            failures = 0
            def take(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                h = self.headers
                tell("hook %s %s %s" % (self.path, h["Dkron-Job-Name"], body.decode()),
                    "header %s %s" % (h["X-Where"], h["Host"]))
                if self.path == "/silent": time.sleep(60)
                if self.path == "/endless": return self.endless()
                if self.path == "/garbage": return self.wfile.write(b"\\0\\1 no HTTP\\r\\n\\r\\n")
                if self.path == "/cut":
                    return self.wfile.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 9\\r\\n\\r\\nab")
                if self.path == "/twice" and Handler.failures < 2:
                    Handler.failures += 1
                    self.send_response(503); self.end_headers(); return
                self.send_response(500 if self.path == "/broken" else 204); self.end_headers()
            do_POST = do_GET = take
            def endless(self):
                self.wfile.write(b"HTTP/1.1 200 OK\\r\\n\\r\\n")
                while True:
                    self.wfile.write(b"x" * 1000); time.sleep(0.1)
            def log_message(self, *_): pass
        server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
        print("ready", flush=True)
        server.serve_forever()
        """
}
