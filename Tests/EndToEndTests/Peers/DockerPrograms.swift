/// A peer for the tests of executor `docker`.
enum DockerPrograms {
    /// Plays the engine, without containers, on a Unix socket or on a port with TLS. What goes
    /// wrong is told by the image: `TROUBLE-WHERE`. The argument is JSON: `socket`, or `port` with
    /// `certificate`, `key` and `authority`; `log`, a file that gets a line for each request.
    static let engine = #"""
        import base64, json, os, socket, socketserver, ssl, struct, sys, threading, time
        import urllib.parse
        from http.server import BaseHTTPRequestHandler
        options = json.loads(sys.argv[1])
        lock, containers, pulled, broken = threading.Lock(), {}, set(), set()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            def log_message(self, *words): pass
            def address_string(self): return "peer"
            def note(self, *words):
                with lock, open(options["log"], "a") as log: print(*words, file=log)
            def answer(self, status, value=None):
                body = b"" if value is None else json.dumps(value).encode()
                self.send_response(status)
                if status not in (204, 304): self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            def stream(self):
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
            def chunk(self, data):
                self.wfile.write(b"%x\r\n" % len(data) + data + b"\r\n")
                self.wfile.flush()
            def frame(self, kind, data): return struct.pack(">BxxxI", kind, len(data)) + data
            def trouble(self, image, where):
                """Whether the answer has been given, in the way that the image asks for."""
                kind, _, place = image.partition("-")
                kind = kind.removeprefix("long")
                if place != where: return False
                if kind == "silent": time.sleep(3600)
                elif kind == "half":
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")
                elif kind == "garbage": self.wfile.write(b"\0\1\2 no HTTP at all\r\n\r\n")
                elif kind == "forever":
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                    data = self.frame(1, b"x" * 9992) * 6 if where == "logs" else b"y" * 65536
                    while True: self.wfile.write(data)
                elif kind == "lost":
                    # Done, but the first answer does not arrive.
                    with lock:
                        if image in broken: return False
                        broken.add(image)
                    self.work(where, image)
                elif kind == "error":
                    self.answer(500, {"message": f"the {where} went wrong"})
                    return True
                else: return False
                self.connection.shutdown(2)
                self.close_connection = True
                return True
            def work(self, where, image):
                if where == "create":
                    with lock: containers[self.name] = {"image": image, "status": "created",
                        "labels": self.body["Labels"], "starts": 0, "ends": 0, "body": self.body}
                if where == "start":
                    with lock:
                        box = containers[self.name]
                        if box["status"] != "created": return 304
                        box["status"] = "running"
                        box["starts"] += 1
                        seconds = 30 if image.startswith("long") else 0.2
                        box["ends"] = time.monotonic() + seconds
                    return 204
                if where == "delete":
                    with lock: containers.pop(self.name, None)
            def state(self):
                box = containers[self.name]
                if box["status"] == "running" and time.monotonic() >= box["ends"]:
                    box["status"] = "exited"
                return box
            def serve(self):
                url = urllib.parse.urlsplit(self.path)
                query = dict(urllib.parse.parse_qsl(url.query))
                words = url.path.strip("/").split("/")
                size = int(self.headers.get("Content-Length") or 0)
                self.body = json.loads(self.rfile.read(size) or b"{}")
                method = self.command
                if words[0] == "images" and method == "GET":
                    image = "/".join(words[1:-1])
                    self.note("image", image)
                    if self.trouble(image, "image"): return
                    if image.startswith("absent") and image not in pulled:
                        return self.answer(404, {"message": f"No such image: {image}"})
                    return self.answer(200, {"Id": "sha256:1"})
                if words[0] == "images":
                    image = query["fromImage"]
                    auth = self.headers.get("X-Registry-Auth")
                    login = json.loads(base64.urlsafe_b64decode(auth)) if auth else None
                    self.note("pull", image, query.get("tag"), json.dumps(login))
                    if self.trouble(image, "pull"): return
                    self.stream()
                    for part in [b'{"status":"Pull', b'ing"}\r\n{"status":"Waiting"}\n']:
                        self.chunk(part)
                        time.sleep(0.05)
                    if image == "absent-nowhere":
                        error = "manifest unknown"
                        line = {"errorDetail": {"message": error}, "error": error}
                        self.chunk(json.dumps(line).encode() + b"\n")
                    elif image == "absent-odd": self.chunk(b"[1]\n")
                    else: pulled.add(image + ":" + query.get("tag", ""))
                    return self.chunk(b"")
                if words[1] == "create":
                    self.name = query["name"]
                    image = self.body["Image"]
                    self.note("create", self.name, image)
                    with lock: taken = self.name in containers
                    if taken: return self.answer(409, {"message": "Conflict. The name is in use"})
                    if self.trouble(image, "create"): return
                    if image.startswith("refused"):
                        return self.answer(400, {"message": "invalid volume specification"})
                    self.work("create", image)
                    return self.answer(201, {"Id": "1234", "Warnings": []})
                self.name = words[1]
                with lock: box = containers.get(self.name)
                if box is None:
                    self.note("none", method, self.path)
                    return self.answer(404, {"message": "No such container: " + self.name})
                image = box["image"]
                where = {"json": "inspect"}.get(words[-1], words[-1])
                if method == "DELETE": where = "delete"
                self.note(where, self.name, url.query)
                if where == "stop" and image == "long-ignores":
                    # Says that it has stopped it only after the time that it was given.
                    time.sleep(int(query["t"]))
                if self.trouble(image, where): return
                if where == "start": return self.answer(self.work("start", image))
                if where == "inspect":
                    with lock: box = self.state()
                    code = int(image.partition("exit")[2] or 0)
                    return self.answer(200, {"State": {"Status": box["status"],
                        "Running": box["status"] == "running", "ExitCode": code,
                        "OOMKilled": image.startswith("oom"), "Error": ""},
                        "Config": {"Labels": box["labels"]}})
                if where == "stop":
                    with lock: box["status"] = "exited"
                    return self.answer(204)
                if where == "delete":
                    self.work("delete", image)
                    return self.answer(204)
                self.stream()
                data = b"".join([self.frame(1, b"one\n"), self.frame(2, b"two\n"),
                    self.frame(1, b"three\n")])
                if image == "garbled": data = b"no frames at all, and many bytes of that"
                if image == "broken" and image not in broken:
                    # Ends in the middle, and is whole when it is asked for once more.
                    broken.add(image)
                    self.chunk(data[:17])
                    return self.connection.shutdown(2)
                for index in range(0, len(data), 5): self.chunk(data[index:index + 5])
                while "follow" in query:
                    with lock:
                        if self.name not in containers or self.state()["status"] != "running": break
                    time.sleep(0.05)
                self.chunk(b"")
            do_GET = do_POST = do_DELETE = lambda self: self.serve()

        kind = socketserver.TCPServer if "port" in options else socketserver.UnixStreamServer
        class Service(socketserver.ThreadingMixIn, kind):
            request_queue_size, daemon_threads, allow_reuse_address = 512, True, True
            def handle_error(self, *words): pass
            def get_request(self):
                connection, address = super().get_request()
                return connection, address or ("peer", 0)

        if "port" in options:
            service = Service(("127.0.0.1", options["port"]), Handler)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(options["certificate"], options["key"])
            context.load_verify_locations(options["authority"])
            context.verify_mode = ssl.CERT_REQUIRED
            service.socket = context.wrap_socket(service.socket, server_side=True)
        else:
            service = Service(options["socket"], Handler)
        print("ready", flush=True)
        service.serve_forever()
        """#
}
