import Testing

@testable import Core

@Suite("gRPC: texts and descriptions")
struct GRPCTextTests {
    @Test("timeouts as text")
    func timeouts() {
        for (timeout, text) in [
            (Duration.nanoseconds(1), "1n"), (.seconds(1), "1000000u"),
            (.milliseconds(99_999), "99999000u"),
            (.seconds(100), "100000m"), (.seconds(100_000), "100000S"), (.zero, "0n"),
            (.nanoseconds(-5), "0n"), (.nanoseconds(100_000_001), "100001u"), (.max, "9223372037S"),
        ] {
            let printed = GRPCTimeout.print(timeout)
            #expect(printed == text || timeout == .max)
            #expect(printed.utf8.count <= 9)
            let back = GRPCTimeout.parse(printed) ?? .zero
            #expect(back.nanoseconds >= timeout.nanoseconds)
        }
        #expect(GRPCTimeout.parse("99999999H") == .max)
        for text in ["", "5", "S", "-1S", "+1S", "1.5S", "123456789S", "1s"] {
            #expect(GRPCTimeout.parse(text) == nil)
        }
    }

    @Test("names and values of metadata")
    func metadata() {
        for (name, value) in [
            ("", "a"), ("a b", "c"), ("grpc-x", "a"), ("te", "a"), (":path", "a"), ("a", "b\n"),
            ("a-bin", "text"), ("content-type", "a"), ("a", "ä"),
        ] {
            var metadata = GRPCMetadata()
            let error = #expect(throws: GRPCStatus.self) { try metadata.append(name, value) }
            #expect(error?.code == .invalidArgument)
        }
        var metadata = GRPCMetadata()
        #expect(throws: GRPCStatus.self) { try metadata.append("a", bytes: [1]) }
        // Several values in one field, padded or not (both are in use).
        let fields: HTTP2Fields = [
            HTTP2Field("a-bin", "AQ==,Ag, AwM"), HTTP2Field("b-bin", "!"),
            HTTP2Field("grpc-x", "1"),
        ]
        #expect(
            GRPCMetadata(fields).entries.map(\.value) == [
                .bytes([1]), .bytes([2]), .bytes([3, 3]),
            ])
        var secret = HTTP2Fields()
        try? metadata.append("Authorization", "Bearer x")
        metadata.write(to: &secret)
        #expect(secret.list == [HTTP2Field("authorization", "Bearer x", isSecret: true)])
    }

    @Test("percent coding of messages")
    func percent() {
        for (text, coded) in [
            ("plain", "plain"), ("100%", "100%25"), ("ä\n", "%C3%A4%0A"), (" a b ", "%20a b%20"),
            (" ", "%20"),
        ] {
            #expect(GRPCPercent.encode(text) == coded)
            #expect(GRPCPercent.decode(coded) == text)
        }
        #expect(GRPCPercent.decode("%zz%4") == "%zz%4")
    }

    @Test("names of codes")
    func codes() {
        #expect(GRPCCode.deadlineExceeded.description == "DEADLINE_EXCEEDED")
        #expect(GRPCCode.cancelled.shortName == "Canceled")
        #expect(GRPCCode(rawValue: 17).description == "Code(17)")
        #expect(GRPCCode.unauthenticated.shortName == "Unauthenticated")
        #expect(GRPCStatus(.unavailable, "x").description == "UNAVAILABLE: x")
    }

    @Test("reflection asks for every file, and tells what the server does not know")
    func reflection() throws {
        var reflection = GRPCReflection(service: "t.Service")
        #expect(reflection.request == hex("2209") + Array("t.Service".utf8))
        var answer = GRPCReflection.Answer()
        answer.files = GRPCReflection.Files()
        answer.files?.files = [SampleSchema.file.protobuf]
        try reflection.receive(answer.protobuf)
        #expect(reflection.request == hex("1a1c") + Array("google/protobuf/struct.proto".utf8))
        var other = ProtobufFile()
        other.name = "google/protobuf/struct.proto"
        answer.files?.files = [other.protobuf]
        try reflection.receive(answer.protobuf)
        #expect(reflection.request == nil)
        #expect(try reflection.schema.method("t.Service", "Run").output == "t.All")

        reflection = GRPCReflection(service: "t.Lost")
        answer = GRPCReflection.Answer()
        answer.failure = GRPCReflection.Failure()
        answer.failure?.code = 5
        answer.failure?.message = "no such symbol"
        let error = #expect(throws: GRPCStatus.self) { try reflection.receive(answer.protobuf) }
        #expect(
            error?.message
                == "the reflection service failed: t.Lost: no such symbol (NOT_FOUND)")
    }
}
