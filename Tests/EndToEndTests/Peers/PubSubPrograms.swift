/// A service for the tests of executor `gcppubsub`.
enum PubSubPrograms {
    /// Makes a service account's key file, and plays the token service, the metadata server and the
    /// publishing service of Google on one port. Tokens are given for assertions that Google's own
    /// library finds right. The argument is JSON: `port`, `keys` (the file to make), `log`.
    static let service = #"""
        import base64, json, socketserver, sys, threading, time, urllib.parse
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa
        from google.auth import jwt
        options = json.loads(sys.argv[1])
        here = f"http://127.0.0.1:{options['port']}"
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        pem = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption())
        with open(options["keys"], "w") as file:
            json.dump({"type": "service_account", "project_id": "p", "private_key_id": "k1",
                "private_key": pem.decode(), "client_email": "robot@p.example",
                "token_uri": here + "/token"}, file)
        lock, tokens, count = threading.Lock(), set(), 0

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            def log_message(self, *words): pass
            def answer(self, status, value):
                body = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            def give(self, kind):
                with lock:
                    token = f"{kind}-{len(tokens)}-secret"
                    tokens.add(token)
                self.answer(200, {"access_token": token, "expires_in": 3599,
                    "token_type": "Bearer"})
            def do_GET(self):
                path = "/computeMetadata/v1/instance/service-accounts/default/token"
                if self.path != path or self.headers["Metadata-Flavor"] != "Google":
                    return self.answer(403, {"error": "forbidden"})
                self.give("machine")
            def do_POST(self):
                global count
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/token":
                    form = dict(urllib.parse.parse_qsl(body.decode(), strict_parsing=True))
                    if form["grant_type"] == "refresh_token":
                        if form["refresh_token"] == "re/fresh+ me=":
                            return self.give("user")
                        return self.answer(400, {"error": "invalid_grant",
                            "error_description": "Token has been expired or revoked."})
                    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
                    try:
                        claims = jwt.decode(form["assertion"], certs={"k1": public},
                            audience=here + "/token")
                        assert claims["iss"] == "robot@p.example"
                        assert claims["scope"] == "https://www.googleapis.com/auth/pubsub"
                        assert claims["exp"] - claims["iat"] == 3600
                    except Exception as error:
                        return self.answer(400, {"error": "invalid_grant",
                            "error_description": str(error)})
                    return self.give("account")
                _, _, _, project, _, name = urllib.parse.unquote(self.path).split("/")
                topic = name.removesuffix(":publish")
                token = self.headers.get("Authorization", "Bearer nobody").split(" ")[1]
                if project != "emulated" and token not in tokens:
                    return self.answer(401, {"error": {"code": 401, "status": "UNAUTHENTICATED",
                        "message": "Request had invalid authentication credentials."}})
                if topic == "missing":
                    return self.answer(404, {"error": {"code": 404, "status": "NOT_FOUND",
                        "message": "Resource not found (resource=missing)."}})
                if topic == "silent": time.sleep(3600)
                if topic == "half":
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")
                    return self.connection.shutdown(2)
                if topic == "garbage":
                    self.wfile.write(b"\0\1\2 no HTTP at all\r\n\r\n")
                    return self.connection.shutdown(2)
                if topic == "forever":
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                    while True: self.wfile.write(b"x" * 65536)
                with lock:
                    count += 1
                    if topic == "flaky" and count % 5:
                        return self.answer(503, {"error": {"code": 503, "status": "UNAVAILABLE",
                            "message": "The service was unable to fulfill your request."}})
                    message, = json.loads(body)["messages"]
                    if "data" in message: base64.b64decode(message["data"], validate=True)
                    with open(options["log"], "a") as log:
                        log.write(json.dumps([project, topic, token.split("-")[0], message],
                            sort_keys=True) + "\n")
                    number = count
                if topic == "lossy" and number % 9 == 0: return self.connection.shutdown(2)
                self.answer(200, {"messageIds": [str(number)]})

        class Service(ThreadingHTTPServer):
            request_queue_size, daemon_threads = 512, True
            def handle_error(self, *words): pass

        service = Service(("127.0.0.1", options["port"]), Handler)
        print("ready", flush=True)
        service.serve_forever()
        """#
}
