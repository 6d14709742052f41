// Descriptions of messages as messages (google/protobuf/descriptor.proto), as far as they matter
// for translating JSON.

/// `google.protobuf.FileDescriptorSet`.
package struct ProtobufFileSet: ProtobufMessage {
    package var files: [ProtobufFile] = []

    package init() {}

    package static let fields: [ProtobufRule<ProtobufFileSet>] = [.messages(1, \.files)]
}

/// `google.protobuf.FileDescriptorProto`.
package struct ProtobufFile: ProtobufMessage {
    package var name = ""
    package var package = ""
    package var dependencies: [String] = []
    package var messages: [ProtobufMessageDescriptor] = []
    package var enumerations: [ProtobufEnumDescriptor] = []
    package var services: [ProtobufServiceDescriptor] = []
    package var syntax = ""

    package init() {}

    package static let fields: [ProtobufRule<ProtobufFile>] = [
        .string(1, \.name), .string(2, \.package), .strings(3, \.dependencies),
        .messages(4, \.messages), .messages(5, \.enumerations), .messages(6, \.services),
        .string(12, \.syntax),
    ]
}

/// `google.protobuf.DescriptorProto`.
package struct ProtobufMessageDescriptor: ProtobufMessage {
    package struct Options: ProtobufMessage {
        package var isMapEntry = false

        package init() {}

        package static let fields: [ProtobufRule<Options>] = [.bool(7, \.isMapEntry)]
    }

    package struct Oneof: ProtobufMessage {
        package var name = ""

        package init() {}

        package static let fields: [ProtobufRule<Oneof>] = [.string(1, \.name)]
    }

    package var name = ""
    package var members: [ProtobufFieldDescriptor] = []
    package var messages: [ProtobufMessageDescriptor] = []
    package var enumerations: [ProtobufEnumDescriptor] = []
    package var options: Options?
    package var oneofs: [Oneof] = []

    package init() {}

    package static let fields: [ProtobufRule<ProtobufMessageDescriptor>] = [
        .string(1, \.name), .messages(2, \.members), .messages(3, \.messages),
        .messages(4, \.enumerations), .message(7, \.options), .messages(8, \.oneofs),
    ]
}

/// `google.protobuf.FieldDescriptorProto`.
package struct ProtobufFieldDescriptor: ProtobufMessage {
    package var name = ""
    package var number: Int32 = 0
    /// 1 optional, 2 required, 3 repeated.
    package var label: Int32 = 0
    package var type: Int32 = 0
    /// Of a message or an enumeration, with a leading dot.
    package var typeName = ""
    package var oneof: Int32?
    package var jsonName = ""

    package init() {}

    package static let fields: [ProtobufRule<ProtobufFieldDescriptor>] = [
        .string(1, \.name), .integer(3, \.number), .integer(4, \.label), .integer(5, \.type),
        .string(6, \.typeName), .optionalInteger(9, \.oneof), .string(10, \.jsonName),
    ]
}

/// `google.protobuf.EnumDescriptorProto`.
package struct ProtobufEnumDescriptor: ProtobufMessage {
    package struct Value: ProtobufMessage {
        package var name = ""
        package var number: Int32 = 0

        package init() {}

        package static let fields: [ProtobufRule<Value>] = [
            .string(1, \.name), .integer(2, \.number),
        ]
    }

    package var name = ""
    package var values: [Value] = []

    package init() {}

    package static let fields: [ProtobufRule<ProtobufEnumDescriptor>] = [
        .string(1, \.name), .messages(2, \.values),
    ]
}

/// `google.protobuf.ServiceDescriptorProto`.
package struct ProtobufServiceDescriptor: ProtobufMessage {
    package struct Method: ProtobufMessage {
        package var name = ""
        package var input = ""
        package var output = ""
        package var streamsRequests = false
        package var streamsAnswers = false

        package init() {}

        package static let fields: [ProtobufRule<Method>] = [
            .string(1, \.name), .string(2, \.input), .string(3, \.output),
            .bool(5, \.streamsRequests), .bool(6, \.streamsAnswers),
        ]
    }

    package var name = ""
    package var methods: [Method] = []

    package init() {}

    package static let fields: [ProtobufRule<ProtobufServiceDescriptor>] = [
        .string(1, \.name), .messages(2, \.methods),
    ]
}
