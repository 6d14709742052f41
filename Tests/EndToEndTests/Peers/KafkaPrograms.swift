/// Brokers for the tests of executor `kafka`.
enum KafkaPrograms {
    /// A cluster of librdkafka's mock brokers; the first argument is the port on which it takes
    /// orders, a line each. It prints where the brokers are.
    static let cluster = #"""
        import ctypes, socket, sys
        lib = ctypes.CDLL("librdkafka.so.1")
        for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
            getattr(lib, name).restype = ctypes.c_void_p
        lib.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        words = ctypes.create_string_buffer(512)
        conf = ctypes.c_void_p(lib.rd_kafka_conf_new())
        client = ctypes.c_void_p(lib.rd_kafka_new(0, conf, words, 512))
        cluster = ctypes.c_void_p(lib.rd_kafka_mock_cluster_new(client, 3))
        print("ready", lib.rd_kafka_mock_cluster_bootstraps(cluster).decode(), "!", flush=True)
        with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
            while True:
                link, _ = server.accept()
                order, *rest = link.makefile().readline().split()
                numbers = [int(word) for word in rest if word.lstrip("-").isdigit()]
                if order == "topic":
                    lib.rd_kafka_mock_topic_create(cluster, rest[0].encode(), numbers[0], 3)
                elif order == "leader":
                    lib.rd_kafka_mock_partition_set_leader(cluster, rest[0].encode(), *numbers)
                elif order == "down":
                    lib.rd_kafka_mock_broker_set_down(cluster, numbers[0])
                elif order == "up":
                    lib.rd_kafka_mock_broker_set_up(cluster, numbers[0])
                elif order == "errors":
                    errors = (ctypes.c_int * (len(numbers) - 1))(*numbers[1:])
                    lib.rd_kafka_mock_push_request_errors_array(
                        cluster, ctypes.c_int16(numbers[0]), ctypes.c_size_t(len(errors)), errors)
                link.sendall(b"done")
                link.close()
        """#

    /// One broker that keeps what it is sent in a file, a line of JSON each, and knows a message
    /// that it is sent again by its producer and number, as real ones do. The first argument is
    /// JSON: `port`, `log`, perhaps `certificate` and `key`, `mechanism`, `user` and `password`,
    /// and `lose` and `drop`: of so many messages one is stored and not answered, or not stored.
    static let broker = #"""
        import base64, hashlib, hmac, json, os, socket, ssl, struct, sys, threading
        options = json.loads(sys.argv[1])
        lock, known, count, offset = threading.Lock(), {}, 0, 0
        table = []
        for byte in range(256):
            for _ in range(8):
                byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
            table.append(byte)

        def checksum(data):
            value = 0xFFFFFFFF
            for byte in data:
                value = table[(value ^ byte) & 255] ^ value >> 8
            return value ^ 0xFFFFFFFF

        class Reader:
            def __init__(self, data): self.data, self.at = data, 0
            def take(self, size):
                part = self.data[self.at:self.at + size]
                assert len(part) == size
                self.at += size
                return part
            def number(self, form): return struct.unpack(form, self.take(struct.calcsize(form)))[0]
            def string(self):
                size = self.number(">h")
                return None if size < 0 else self.take(size).decode()
            def bytes(self): return self.take(self.number(">i"))
            def varint(self):
                value = shift = 0
                while True:
                    byte = self.take(1)[0]
                    value |= (byte & 127) << shift
                    shift += 7
                    if byte < 128: return value >> 1 ^ -(value & 1)
            def field(self):
                size = self.varint()
                return None if size < 0 else self.take(size).decode()

        def string(text): return struct.pack(">h", len(text)) + text.encode()

        def store(batch):
            r = Reader(batch)
            assert r.number(">q") == 0 and r.number(">i") == len(batch) - 12
            assert r.number(">i") == -1 and r.number(">b") == 2
            assert r.number(">I") == checksum(batch[21:]), "checksum"
            assert r.number(">h") == 0 and r.number(">i") == 0
            first, last = r.number(">q"), r.number(">q")
            assert first == last > 1_500_000_000_000
            producer, epoch, sequence = r.number(">q"), r.number(">h"), r.number(">i")
            assert producer >= 0 and epoch == 0 and sequence == 0 and r.number(">i") == 1
            assert r.varint() == len(batch) - r.at
            assert r.take(1) == b"\0" and r.varint() == 0 and r.varint() == 0
            key, value = r.field(), r.field()
            headers = [[r.field(), r.field()] for _ in range(r.varint())]
            assert r.at == len(batch)
            global offset
            if producer not in known:
                known[producer] = offset
                offset += 1
                with open(options["log"], "a") as log:
                    log.write(json.dumps({"key": key, "value": value, "headers": headers}) + "\n")
            return known[producer]

        class Login:
            def __init__(self, mechanism):
                self.mechanism, self.step, self.done = mechanism, 0, False
            def take(self, word):
                user, password = options["user"], options["password"]
                if self.mechanism == "PLAIN":
                    self.done = word == f"\0{user}\0{password}".encode()
                    return b""
                name = "sha256" if self.mechanism == "SCRAM-SHA-256" else "sha512"
                mac = lambda key, text: hmac.new(key, text, name).digest()
                self.step += 1
                if self.step == 1:
                    assert word.startswith(b"n,,")
                    self.bare = word[3:]
                    fields = dict(part.split("=", 1) for part in self.bare.decode().split(","))
                    self.right = fields["n"] == user.replace("=", "=3D").replace(",", "=2C")
                    self.nonce, self.salt = fields["r"] + "server", os.urandom(16)
                    self.rounds = options.get("rounds", 4096)
                    self.first = f"r={self.nonce},s={base64.b64encode(self.salt).decode()}" \
                        f",i={self.rounds}".encode()
                    return self.first
                plain, proof = word.rsplit(b",p=", 1)
                assert plain == f"c=biws,r={self.nonce}".encode()
                whole = self.bare + b"," + self.first + b"," + plain
                salted = hashlib.pbkdf2_hmac(name, password.encode(), self.salt, self.rounds)
                signature = mac(hashlib.new(name, mac(salted, b"Client Key")).digest(), whole)
                key = bytes(a ^ b for a, b in zip(base64.b64decode(proof), signature))
                self.done = self.right and key == mac(salted, b"Client Key")
                known_by = salted if not options.get("liar") else b"somebody else"
                return b"v=" + base64.b64encode(mac(mac(known_by, b"Server Key"), whole))

        def answer(request, version, r, state):
            global count
            if request == 18:
                ranges = [(0, 0, 8), (3, 0, 5), (17, 0, 1), (18, 0, 3), (22, 0, 1), (36, 0, 1)]
                return struct.pack(">hi", 0, len(ranges)) + b"".join(
                    struct.pack(">hhh", *entry) for entry in ranges)
            if request == 17:
                wanted = r.string()
                offered = options.get("mechanism", "NONE")
                state["login"] = Login(wanted)
                return struct.pack(">hi", 0 if wanted == offered else 33, 1) + string(offered)
            if request == 36:
                login = state["login"]
                word = login.take(r.bytes())
                wrong = not login.done and (login.step != 1)
                if wrong: return struct.pack(">h", 58) + string("no such user") + b"\0\0\0\0" \
                    + (struct.pack(">q", 0) if version > 0 else b"")
                return struct.pack(">h", 0) + b"\xff\xff" + struct.pack(">i", len(word)) + word \
                    + (struct.pack(">q", 0) if version > 0 else b"")
            if "mechanism" in options: assert state["login"].done, "not logged in"
            if request == 3:
                assert r.number(">i") == 1
                topic = r.string()
                partitions = b"".join(
                    struct.pack(">hiiiiiii", 0, n, 7, 1, 7, 1, 7, 0) for n in range(3))
                return struct.pack(">ii", 0, 1) + struct.pack(">i", 7) + string("localhost") \
                    + struct.pack(">i", options["port"]) + b"\xff\xff" + b"\xff\xff" \
                    + struct.pack(">ii", 7, 1) + struct.pack(">h", 0) + string(topic) + b"\0" \
                    + struct.pack(">i", 3) + partitions
            if request == 22:
                assert r.string() is None
                with lock:
                    count += 1
                    return struct.pack(">ihqh", 0, 0, 1000 + count, 0)
            assert request == 0 and r.string() is None and r.number(">h") == -1
            r.number(">i")
            assert r.number(">i") == 1
            topic = r.string()
            assert r.number(">i") == 1
            partition = r.number(">i")
            batch = r.bytes()
            with lock:
                count += 1
                if options.get("drop") and count % options["drop"] == 1: return None
                place = store(batch)
                if options.get("lose") and count % options["lose"] == 0: return None
            return struct.pack(">i", 1) + string(topic) + struct.pack(">i", 1) \
                + struct.pack(">ihqqqih", partition, 0, place, -1, 0, 0, -1) + struct.pack(">i", 0)

        def serve(link):
            try:
                if "certificate" in options:
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    context.load_cert_chain(options["certificate"], options["key"])
                    link = context.wrap_socket(link, server_side=True)
                stream, state = link.makefile("rb"), {}
                while size := stream.read(4):
                    r = Reader(stream.read(struct.unpack(">i", size)[0]))
                    request, version = r.number(">h"), r.number(">h")
                    correlation = r.number(">i")
                    assert r.string() == "dkron"
                    body = answer(request, version, r, state)
                    if body is None: break
                    body = struct.pack(">i", correlation) + body
                    link.sendall(struct.pack(">i", len(body)) + body)
            except (AssertionError, OSError) as error:
                print("refused:", repr(error), flush=True)
            try: link.shutdown(socket.SHUT_RDWR)
            except OSError: pass
            link.close()

        with socket.create_server(("127.0.0.1", options["port"]), backlog=512) as server:
            print("ready", flush=True)
            while True:
                link, _ = server.accept()
                threading.Thread(target=serve, args=(link,), daemon=True).start()
        """#

    /// A peer that does not keep to any protocol; the argument is what it does, and its port.
    static let badPeer = #"""
        import socket, struct, sys, threading, time
        kind, port = sys.argv[1].split()

        def serve(link):
            try:
                if kind == "silent":
                    time.sleep(3600)
                if kind == "half":
                    link.recv(1000)
                    link.sendall(struct.pack(">iih", 40, 1, 0))
                if kind == "garbage":
                    link.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 100)
                if kind == "empty":
                    link.sendall(struct.pack(">iihi", 10, 1, 0, 0) * 1000)
                    link.recv(1000)
                if kind == "forever":
                    link.sendall(struct.pack(">iihi", 4 << 20, 1, 0, 0))
                while kind == "forever":
                    link.sendall(b"\0" * 100)
                    time.sleep(0.01)
            except OSError: pass
            link.close()

        with socket.create_server(("127.0.0.1", int(port))) as server:
            print("ready", flush=True)
            while True:
                link, _ = server.accept()
                threading.Thread(target=serve, args=(link,), daemon=True).start()
        """#
}
