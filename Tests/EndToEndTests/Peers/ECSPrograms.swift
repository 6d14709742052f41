/// A service for the tests of executor `ecs`.
enum ECSPrograms {
    /// The services ECS and CloudWatch Logs as moto plays them, behind a door that lets only those
    /// in whose signature botocore finds right; also endpoints that give keys out. Tasks end at
    /// once, with the status behind `exit` in their image's name, but those in clusters called
    /// `long…`: they go on until the file `go` is there or they are stopped. What goes wrong is
    /// told by the cluster: `TROUBLE-action`. The argument is JSON: `port`, `go`, `log`, a file
    /// that gets a line for each request.
    static let service = #"""
        import io, json, logging, os, sys, threading, time
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials
        from moto.ecs import models
        from moto.logs.models import logs_backends
        from moto.moto_api import state_manager
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import WSGIRequestHandler, make_server
        options = json.loads(sys.argv[1])
        logging.getLogger("werkzeug").disabled = True
        account, lock, answers, broken = "123456789012", threading.Lock(), {}, {}
        keys = {"AKIDTEST": ("top/secret+key", None), "ASIAROLE": ("role-secret", "role-token"),
            "ASIATASK": ("task-secret", "task/token=")}
        moto = DomainDispatcherApplication(create_backend_app)
        state_manager.set_transition("ecs::task", {"progression": "immediate"})

        status = models.Task.status
        def now(self):
            goes_on = self.cluster_name.startswith("long") and not os.path.exists(options["go"])
            if goes_on and self.desired_status != "STOPPED": return "RUNNING"
            return status.fget(self)
        models.Task.status = property(now, status.fset)
        begin = models.Container.__init__
        def made(self, definition):
            begin(self, definition)
            self.exitCode = int(self.image.partition("exit")[2] or 0)
        models.Container.__init__ = made

        def note(*words):
            with lock, open(options["log"], "a") as log: print(*words, file=log)

        def check(environ, body):
            """Who signed it, for which region and service; what is wrong otherwise."""
            headers = {name[5:].replace("_", "-").lower(): value
                for name, value in environ.items() if name.startswith("HTTP_")}
            headers["content-type"] = environ.get("CONTENT_TYPE", "")
            kind, _, rest = headers.get("authorization", "").partition(" ")
            parts = dict(part.strip().split("=", 1) for part in rest.split(",") if "=" in part)
            if kind != "AWS4-HMAC-SHA256": return None, "it is not signed"
            id, day, region, service, _ = parts["Credential"].split("/")
            if id not in keys: return None, "the key is not known"
            secret, token = keys[id]
            if headers.get("x-amz-security-token") != token: return None, "the token is wrong"
            names = parts["SignedHeaders"].split(";")
            for name in ("host", "x-amz-date", "x-amz-target", "content-type"):
                if name not in names: return None, f"{name} is not signed"
            request = AWSRequest("POST", f"http://{headers['host']}{environ['PATH_INFO']}",
                headers={name: headers[name] for name in names}, data=body)
            request.context["timestamp"] = headers["x-amz-date"]
            age = time.time() - time.mktime(time.strptime(
                headers["x-amz-date"], "%Y%m%dT%H%M%SZ")) + time.timezone
            if abs(age) > 300: return None, "it is too old"
            auth = SigV4Auth(Credentials(id, secret), service, region)
            text = auth.string_to_sign(request, auth.canonical_request(request))
            if auth.signature(text, request) != parts["Signature"]:
                return None, "The request signature we calculated does not match"
            return (id, region, service), None

        def answer(start, code, value, kind="application/x-amz-json-1.1"):
            body = value.encode() if isinstance(value, str) else json.dumps(value).encode()
            start(f"{code} X", [("Content-Type", kind), ("Content-Length", str(len(body)))])
            return [body]

        def give(environ, start, path):
            """Keys, where a container or a machine has them."""
            if path == "/task-keys":
                if environ.get("HTTP_AUTHORIZATION") != "let-me-in":
                    return answer(start, 403, "no")
                return answer(start, 200, {"AccessKeyId": "ASIATASK",
                    "SecretAccessKey": "task-secret", "Token": "task/token="})
            if path == "/latest/api/token":
                if environ["REQUEST_METHOD"] != "PUT": return answer(start, 405, "no")
                return answer(start, 200, "machine-token", "text/plain")
            if environ.get("HTTP_X_AWS_EC2_METADATA_TOKEN") != "machine-token":
                return answer(start, 401, "no")
            if path.endswith("/worker"):
                return answer(start, 200, {"Code": "Success", "AccessKeyId": "ASIAROLE",
                    "SecretAccessKey": "role-secret", "Token": "role-token"})
            return answer(start, 200, "worker\n", "text/plain")

        def trouble(environ, start, place, action):
            """The answer, given in the way that a cluster's name asks for."""
            kind, _, where = place.partition("-")
            if where != action.lower(): return None
            socket, count = environ["werkzeug.socket"], broken.get(place, 0)
            broken[place] = count + 1
            kind = kind.removeprefix("long")
            if kind == "error":
                return answer(start, 400, {"__type": "com.amazonaws.ecs#ClientException",
                    "message": f"{action} went wrong"})
            if kind == "throttled" and count < 2:
                return answer(start, 400, {"__type": "ThrottlingException", "message": "Rate"})
            if kind == "odd": return answer(start, 200, {"odd": []})
            if kind == "lost": return "lost" if count == 0 else None
            if kind == "silent": time.sleep(3600)
            elif kind == "half": socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")
            elif kind == "garbage": socket.sendall(b"\0\1\2 no HTTP at all\r\n\r\n")
            elif kind == "forever":
                socket.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while True: socket.sendall(b"y" * 65536)
            else: return None
            socket.shutdown(2)
            return []

        def serve(environ, start):
            path = environ["PATH_INFO"]
            if path == "/task-keys" or path.startswith("/latest/"):
                return give(environ, start, path)
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            who, problem = check(environ, body)
            action = environ.get("HTTP_X_AMZ_TARGET", ".").split(".")[1]
            if problem:
                note("refused", action, problem)
                return answer(start, 403, {"__type": "InvalidSignatureException",
                    "message": problem})
            asked = json.loads(body)
            cluster = asked.get("cluster", "")
            place = cluster or asked.get("family") or asked.get("taskDefinition", "")
            place = asked.get("logGroupName", place)
            note(action, place, who[0], who[1], json.dumps(asked))
            backend = models.ecs_backends[account][who[1]]
            if cluster and not cluster.startswith("absent"):
                with lock:
                    if cluster not in backend.clusters: backend.create_cluster(cluster)
            result = trouble(environ, start, place, action)
            is_lost = result == "lost"
            if result is not None and not is_lost: return result
            token = asked.get("clientToken")
            if token in answers: return answer(start, 200, answers[token])
            environ["wsgi.input"] = io.BytesIO(body)
            given = []
            def take(status, headers, *more): given.append((status, headers))
            result = b"".join(moto(environ, take))
            if action == "RunTask" and given[0][0].startswith("200"):
                answers[token] = result.decode()
                print_output(who[1], json.loads(result)["tasks"][0], cluster)
            if is_lost:
                # It is done, but its answer does not arrive.
                environ["werkzeug.socket"].shutdown(2)
                return []
            start(*given[0])
            return [result]

        def print_output(region, task, cluster):
            """What the task prints is in the logs."""
            logs = logs_backends[account][region]
            try: logs.create_log_group("group", {})
            except Exception: pass
            name = f"pre/main/{task['taskArn'].split('/')[-1]}"
            try: logs.create_log_stream("group", name)
            except Exception: return
            at = int(time.time() * 1000)
            logs.put_log_events("group", name, [{"timestamp": at + i, "message": text}
                for i, text in enumerate(["first line", "zweite Zeile: \u00fc"])])

        class Handler(WSGIRequestHandler):
            def log(self, *words): pass
        service = make_server("127.0.0.1", options["port"], serve, threaded=True,
            request_handler=Handler)
        print("ready", flush=True)
        service.serve_forever()
        """#
}
