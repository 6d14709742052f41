import Glibc
import Testing

/// Another implementation of gRPC, which describes itself, in a process of its own.
private final class PythonService {
    static let isInstalled: Bool = {
        let scratch = Scratch("grpcio")
        let check = ["python3", "-c", "import grpc, grpc_reflection"]
        return (try? run(check, in: scratch))?.ending == .exited(0)
    }()

    private let process: ChildProcess
    let port: Int

    /// - Parameter certificates: with one for `server`, by `authority`: it speaks TLS, and wants a
    ///   certificate of that authority.
    init(in scratch: Scratch, _ certificates: Certificates? = nil) throws {
        let log = scratch.path("grpc-\(scratch.unique())")
        let files = certificates.map {
            [$0.key("server"), $0.certificate("server"), $0.certificate("authority")]
        }
        process = try ChildProcess(
            ["python3", "-c", Self.program] + (files ?? []), log: log, environment: scratch.mark)
        _ = eventually(20) { readText(log).hasSuffix("\n") }
        port = try #require(Int(readText(log).dropLast()), "\(readText(log))")
    }

    private static let program = #"""
        import grpc, sys, time
        from concurrent import futures
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
        from google.protobuf import (
            any_pb2, duration_pb2, field_mask_pb2, struct_pb2, timestamp_pb2, wrappers_pb2)
        from grpc_reflection.v1alpha import reflection

        known = (any_pb2, duration_pb2, field_mask_pb2, struct_pb2, timestamp_pb2, wrappers_pb2)
        pool = descriptor_pool.DescriptorPool()
        for module in known:
            pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
        file = descriptor_pb2.FileDescriptorProto(
            name="shop.proto", package="shop", syntax="proto3")
        order = file.message_type.add(name="Order")
        for number, (name, kind, label) in enumerate([
                ("item_name", 9, 1), ("count", 3, 1), ("price", 1, 1), ("raw", 12, 1),
                ("tags", 9, 3)]):
            order.field.add(name=name, number=number + 1, type=kind, label=label)
        file.dependency.extend(module.DESCRIPTOR.name for module in known)
        parcel = file.message_type.add(name="Parcel")
        for number, (name, kind) in enumerate([
                ("content", "Any"), ("at", "Timestamp"), ("wait", "Duration"),
                ("more", "Struct"), ("weight", "DoubleValue"), ("mask", "FieldMask")]):
            parcel.field.add(name=name, number=number + 1, type=11, label=1,
                             type_name=".google.protobuf." + kind)
        service = file.service.add(name="Shop")
        service.method.add(name="Pack", input_type=".shop.Parcel", output_type=".shop.Parcel")
        for name in ["Buy", "Collect", "List", "Fail", "Sleep", "Forever"]:
            service.method.add(
                name=name, input_type=".shop.Order", output_type=".shop.Order",
                client_streaming=name == "Collect",
                server_streaming=name in ("List", "Forever"))
        pool.Add(file)
        Order, Parcel = (message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
                         for name in ("shop.Order", "shop.Parcel"))

        def buy(order, context):
            order.count += 1
            known = dict(context.invocation_metadata())
            order.tags.extend([known.get("kind", ""), known.get("dkron-job-name", "")])
            return order

        def collect(orders, context):
            orders = list(orders)
            return Order(count=sum(o.count for o in orders), tags=[o.item_name for o in orders])

        def list_(order, context):
            for index in range(order.count):
                yield Order(count=index)

        def pack(parcel, context):
            # What it says was understood, not only carried.
            if parcel.content.type_url.endswith("/shop.Order"):
                order = Order.FromString(parcel.content.value)
                order.count += 1
                parcel.content.value = order.SerializeToString()
            parcel.at.seconds += 60
            return parcel

        def fail(order, context):
            context.abort(grpc.StatusCode.NOT_FOUND, "no such order")

        def sleep(order, context):
            time.sleep(order.price)
            return order

        def forever(order, context):
            while context.is_active():
                yield Order(item_name="x" * 1000)

        kinds = {"Collect": (grpc.stream_unary_rpc_method_handler, collect),
                 "List": (grpc.unary_stream_rpc_method_handler, list_),
                 "Forever": (grpc.unary_stream_rpc_method_handler, forever)}
        unary = {"Buy": buy, "Fail": fail, "Sleep": sleep}
        kinds.update({n: (grpc.unary_unary_rpc_method_handler, f) for n, f in unary.items()})
        handlers = {name: kind(function, Order.FromString, Order.SerializeToString)
                    for name, (kind, function) in kinds.items()}
        handlers["Pack"] = grpc.unary_unary_rpc_method_handler(
            pack, Parcel.FromString, Parcel.SerializeToString)
        server = grpc.server(futures.ThreadPoolExecutor(16))
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("shop.Shop", handlers),))
        reflection.enable_server_reflection(("shop.Shop",), server, pool=pool)
        if len(sys.argv) > 1:
            key, certificate, authority = [open(name, "rb").read() for name in sys.argv[1:]]
            port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials(
                [(key, certificate)], authority, True))
        else:
            port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        print(port, flush=True)
        server.wait_for_termination()
        """#
}

extension EndToEnd {
    @Suite(
        "Executor grpc", .serialized,
        .enabled(if: PythonService.isInstalled, "needs grpcio and grpcio-reflection"))
    struct GRPCExecutorTests {
        /// Runs a job and gives the execution that came of it.
        private func run(
            _ server: Server, _ name: String, _ url: String, _ settings: String = ""
        ) throws -> JSON {
            try server.save(
                """
                {"name": "\(name)", "schedule": "@manually", "executor": "grpc",
                 "executor_config": {"url": "\(url)"\(settings)}}
                """)
            #expect(server.send("POST", "/v1/jobs/\(name)/run?wait=30")?.status == 200)
            return try server.execution(of: name) {
                ["success", "failed"].contains($0["state"].string)
            }
        }

        @Test("methods are called in JSON, and their answers are the output")
        func calls() throws {
            let server = Server("grpc")
            let peer = try PythonService(in: server.scratch)
            try server.start()
            let shop = "127.0.0.1:\(peer.port)/shop.Shop"
            let body =
                #"{"itemName": "a:b, ü", "count": "9007199254740993", "price": 0.5, "raw": "AP8="}"#
            let headers = #", "headers": ["Kind: x:y"]"#
            let bought = try run(
                server, "buy", "\(shop)/Buy", #", "body": \#(body)\#(headers)"#)
            #expect(
                bought["output"].string
                    == #"{"itemName":"a:b, ü","count":"9007199254740994","price":0.5,"raw":"AP8=","#
                    + #""tags":["x:y","buy"]}"# + "\n", "\(bought["error"].string ?? "")")
            let collected = try run(
                server, "collect", "\(shop)/Collect",
                #", "body": "{\"count\": 1, \"itemName\": \"a\"} {\"count\": 2}""#)
            #expect(collected["output"].string == #"{"count":"3","tags":["a",""]}"# + "\n")
            let listed = try run(server, "list", "\(shop)/List", #", "body": "{\"count\": 3}""#)
            #expect(listed["output"].string == "{}\n{\"count\":\"1\"}\n{\"count\":\"2\"}\n")
            let wanted = try run(server, "wanted", "\(shop)/Fail", #", "expectCode": "5""#)
            #expect(wanted["state"].string == "success")
            #expect(wanted["output"].string == "NotFound: no such order\n")
            // Longer than a server may be silent elsewhere: it is told so, and thinks.
            let slept = try run(
                server, "sleep", "\(shop)/Sleep", #", "body": "{\"price\": 1.5}", "timeout": "20""#)
            #expect(slept["state"].string == "success", "\(slept["error"].string ?? "")")
        }

        @Test("well-known types have their own forms, and what is in an Any has that of its type")
        func wellKnown() throws {
            let server = Server("grpc-known")
            let peer = try PythonService(in: server.scratch)
            try server.start()
            func pack(_ name: String, _ content: String, _ more: String = "") throws -> JSON {
                let body = #"{"content": {"@type": "type.googleapis.com/\#(content)}\#(more)}"#
                return try run(
                    server, name, "127.0.0.1:\(peer.port)/shop.Shop/Pack", #", "body": \#(body)"#)
            }
            let time = #", "at": "2024-01-02T03:04:05Z""#
            let all =
                time + #", "wait": "1.5s", "more": {"a": [1, null]}, "weight": 0.5, "mask": "aB,c""#
            let order = try pack("order", #"shop.Order", "count": "41", "tags": ["x"]"#, all)
            #expect(
                order["output"].string
                    == #"{"content":{"@type":"type.googleapis.com/shop.Order","count":"42","#
                    + #""tags":["x"]},"at":"2024-01-02T03:05:05Z","wait":"1.500s","#
                    + #""more":{"a":[1,null]},"weight":0.5,"mask":"aB,c"}"# + "\n",
                "\(order["error"].string ?? order["output"].string ?? "")")
            for (name, content) in [
                ("wait", #"google.protobuf.Duration","value":"3s""#),
                ("stranger", #"other.Thing","@value":"CAE=""#),
            ] {
                let carried = try pack(name, content, time)
                #expect(
                    carried["output"].string
                        == #"{"content":{"@type":"type.googleapis.com/\#(content)},"#
                        + #""at":"2024-01-02T03:05:05Z"}"# + "\n",
                    "\(carried["error"].string ?? carried["output"].string ?? "")")
            }
            let unknown = try pack("unknown", #"other.Thing", "a": 1"#)
            #expect(
                unknown["error"].string?.contains(
                    "body.content: the message other.Thing is not described; its bytes can be "
                        + "given in base64, as \"@value\"") == true,
                "\(unknown["error"].string ?? "")")
        }

        @Test("what can't be done is a failure that says who, and why")
        func failures() throws {
            let server = Server("grpc-failures")
            let peer = try PythonService(in: server.scratch)
            try server.start()
            let place = "127.0.0.1:\(peer.port)"
            let cases: [(String, String, String, String)] = [
                (
                    "fail", "shop.Shop/Fail", "",
                    "server returned NotFound code, expected OK: no such order"
                ),
                (
                    "method", "shop.Shop/Sell", "",
                    "the service shop.Shop has no method Sell; it has"
                ),
                ("service", "shop.Cellar/Buy", "", "the reflection service failed: shop.Cellar"),
                (
                    "member", "shop.Shop/Buy", #", "body": "{\"cuont\": 1}""#,
                    "body.cuont: the message shop.Order has no such member"
                ),
                (
                    "late", "shop.Shop/Sleep", #", "body": "{\"price\": 20}", "timeout": "1""#,
                    "did not answer within the time-out of 1s"
                ),
                (
                    "forever", "shop.Shop/Forever", #", "timeout": "1""#,
                    "did not answer within the time-out of 1s"
                ),
            ]
            for (name, path, settings, reason) in cases {
                let failed = try run(server, name, "\(place)/\(path)", settings)
                let error = failed["error"].string ?? ""
                #expect(failed["state"].string == "failed")
                #expect(error.hasPrefix(place) && error.contains(reason), "\(error)")
            }
            let gone = freePort()
            let silent = try run(server, "silent", "127.0.0.1:\(gone)/s.S/M")
            #expect(silent["error"].string?.contains("can't connect to 127.0.0.1:\(gone)") == true)
            let http = try run(server, "http", "127.0.0.1:\(server.httpPort)/s.S/M")
            #expect(http["state"].string == "failed")
            #expect(server.isServing)
            let bad = server.send(
                "POST", "/v1/jobs",
                """
                {"name": "bad", "schedule": "@manually", "executor": "grpc",
                 "executor_config": {"url": "h:1/s.S/M", "bdy": "{}"}}
                """)
            #expect(bad?.status == 400)
            #expect(bad?.json["field"].string == "executor_config.bdy")
        }

        @Test("over TLS, with a certificate of ours, and only where HTTP/2 is spoken")
        func secure() throws {
            let server = Server("grpc-tls")
            let made = Certificates(scratch: server.scratch)
            try made.makeAuthority("authority")
            try made.make("server", by: "authority")
            try made.make("client", by: "authority")
            let peer = try PythonService(in: server.scratch, made)
            try server.start()
            let url = "localhost:\(peer.port)/shop.Shop/Buy"
            let roots =
                #", "tlsEnable": "true", "tlsRootCAsFile": "\#(made.certificate("authority"))""#
            let own =
                #", "tlsCertificateFile": "\#(made.certificate("client"))","#
                + #" "tlsCertificateKeyFile": "\#(made.key("client"))""#
            let bought = try run(server, "bought", url, roots + own)
            #expect(
                bought["output"].string == #"{"count":"1","tags":["","bought"]}"# + "\n",
                "\(bought["error"].string ?? "")")
            let blind = try run(server, "blind", url, #", "tlsEnable": "true""#)
            #expect(blind["error"].string?.contains("an authority that is not trusted") == true)
            let plain = try run(server, "plain", url)
            #expect(plain["state"].string == "failed")

            let port = freePort()
            let web = try ChildProcess(
                [
                    "openssl", "s_server", "-accept", "127.0.0.1:\(port)", "-cert",
                    made.certificate("server"), "-key", made.key("server"), "-quiet",
                ], log: server.scratch.path("s_server"), environment: server.scratch.mark)
            defer { web.destroy() }
            _ = eventually(10) { Connection(port: port, timeout: 1) != nil }
            let old = try run(server, "old", "localhost:\(port)/s.S/M", roots)
            #expect(
                old["error"].string?.contains("the server does not speak h2") == true,
                "\(old["error"].string ?? "")")
        }
    }
}
