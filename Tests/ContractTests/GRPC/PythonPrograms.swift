/// The other side of the gRPC tests.
enum PythonPrograms {
    /// Serves on a port of its choice, which it prints, until its input ends.
    static let server = #"""
        import grpc, os, sys, time
        from concurrent import futures
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
        from google.protobuf import struct_pb2, timestamp_pb2
        from grpc_reflection.v1alpha import reflection

        def echo(request, context):
            back = [(k, v) for k, v in context.invocation_metadata() if k.startswith("x-")]
            context.send_initial_metadata(back)
            context.set_trailing_metadata((("x-size", str(len(request))),))
            return request

        def count(request, context):
            number, size = map(int, request.split())
            for index in range(number):
                yield bytes([index % 256]) * size

        def collect(requests, context):
            return str(sum(len(r) for r in requests)).encode()

        def chat(requests, context):
            for request in requests:
                yield request

        def fail(request, context):
            context.set_trailing_metadata((("x-why-bin", b"\x00\xff"),))
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "100% übel\n")

        def sleep(request, context):
            time.sleep(float(request))
            return b"late"

        pool = descriptor_pool.DescriptorPool()
        for module in (struct_pb2, timestamp_pb2):
            file = descriptor_pb2.FileDescriptorProto()
            module.DESCRIPTOR.CopyToProto(file)
            pool.Add(file)
        file = descriptor_pb2.FileDescriptorProto(
            name="typed.proto", package="typed", syntax="proto3",
            dependency=["google/protobuf/struct.proto", "google/protobuf/timestamp.proto"])
        message = file.message_type.add(name="Order")
        for number, (name, kind, type_name) in enumerate([
                ("item_name", 9, ""), ("count", 3, ""), ("price", 1, ""), ("raw", 12, ""),
                ("at", 11, ".google.protobuf.Timestamp"), ("extra", 11, ".google.protobuf.Struct"),
                ("parts", 11, ".typed.Order")]):
            field = message.field.add(name=name, number=number + 1, type=kind)
            if type_name:
                field.type_name = type_name
            field.label = 3 if name == "parts" else 1
        method = file.service.add(name="Shop").method.add(name="Buy")
        method.input_type = method.output_type = ".typed.Order"
        pool.Add(file)
        Order = message_factory.GetMessageClass(pool.FindMessageTypeByName("typed.Order"))

        def buy(order, context):
            if order.extra["kind"] != "book" or order.at.seconds != 1 or order.raw != b"\xff":
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(order))
            order.count += 1
            order.parts.add(item_name="part")
            return order

        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        server = grpc.server(futures.ThreadPoolExecutor(32), options=[
            ("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)])
        server.add_generic_rpc_handlers((
            grpc.method_handlers_generic_handler("t.Test", {
                "Echo": unary(echo), "Count": stream(count), "Fail": unary(fail),
                "Sleep": unary(sleep), "Chat": grpc.stream_stream_rpc_method_handler(chat),
                "Collect": grpc.stream_unary_rpc_method_handler(collect)}),
            grpc.method_handlers_generic_handler("typed.Shop", {
                "Buy": unary(buy, Order.FromString, Order.SerializeToString)})))
        reflection.enable_server_reflection(
            ("typed.Shop", reflection.SERVICE_NAME), server, pool=pool)
        print(server.add_insecure_port("127.0.0.1:0"), flush=True)
        server.start()
        sys.stdin.read()
        os._exit(0)
        """#

    /// Calls the server on the port that it is given, and prints what it found.
    static let client = #"""
        import grpc, os, sys, threading

        channel = grpc.insecure_channel("127.0.0.1:" + sys.argv[1], options=[
            ("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", -1)])
        method = lambda kind, name: getattr(channel, kind)("/t.Test/" + name)
        echo, fail = method("unary_unary", "Echo"), method("unary_unary", "Fail")

        def check(name, good, what=""):
            print("ok" if good else "wrong", name, what if not good else "", flush=True)

        answer, call = echo.with_call(b"hello", metadata=(("x-a", "1"), ("x-b-bin", b"\0\xff")))
        metadata = dict(call.initial_metadata())
        check("echo", answer == b"hello")
        check("metadata", metadata.get("x-a") == "1"
              and metadata.get("x-b-bin") == b"\0\xff", metadata)
        large = os.urandom(3 << 20)
        check("large", echo(large) == large)
        pieces = list(method("unary_stream", "Count")(b"500 10000"))
        check("count", [len(p) for p in pieces] == [10000] * 500)
        said = [str(i).encode() for i in range(50)]
        check("chat", list(method("stream_stream", "Chat")(iter(said))) == said)
        parts = iter([b"a" * 100000] * 20)
        check("collect", method("stream_unary", "Collect")(parts) == b"2000000")

        def error(call):
            try:
                call()
                return None
            except grpc.RpcError as error:
                return error

        failed = error(lambda: fail(b""))
        check("fail", failed.code() == grpc.StatusCode.INVALID_ARGUMENT
              and failed.details() == "100% übel\n"
              and dict(failed.trailing_metadata()).get("x-why-bin") == b"\0\xff", failed)
        late = error(lambda: method("unary_unary", "Never")(b"", timeout=0.3))
        check("deadline", late.code() == grpc.StatusCode.DEADLINE_EXCEEDED, late)
        unknown = error(lambda: method("unary_unary", "Nothing")(b""))
        check("unknown", unknown.code() == grpc.StatusCode.UNIMPLEMENTED, unknown)
        many = [echo.future(str(i).encode() * 1000) for i in range(300)]
        check("many", all(f.result() == str(i).encode() * 1000 for i, f in enumerate(many)))
        never = method("unary_unary", "Never").future(b"")
        never.cancel()
        check("cancel", never.cancelled())
        channel.close()
        print("end", flush=True)
        """#
}
