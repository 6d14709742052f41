// What messages look like, from descriptors that are known at run time only.

/// The kind of a field's values, with the numbers of `FieldDescriptorProto.Type`.
package enum ProtobufKind: Int32, Sendable {
    case double = 1
    case float = 2
    case int64 = 3
    case uint64 = 4
    case int32 = 5
    case fixed64 = 6
    case fixed32 = 7
    case bool = 8
    case string = 9
    case group = 10
    case message = 11
    case bytes = 12
    case uint32 = 13
    case enumeration = 14
    case sfixed32 = 15
    case sfixed64 = 16
    case sint32 = 17
    case sint64 = 18

    var wireType: ProtobufWireType {
        switch self {
        case .double, .fixed64, .sfixed64: .fixed64
        case .float, .fixed32, .sfixed32: .fixed32
        case .string, .message, .bytes: .bytes
        case .group: .startGroup
        default: .varint
        }
    }
}

struct ProtobufMember: Sendable {
    let name: String
    let jsonName: String
    let number: Int
    let kind: ProtobufKind
    let isRepeated: Bool
    /// Of a message or an enumeration, without the leading dot.
    let typeName: String
    let oneof: Int?
}

struct ProtobufType: Sendable {
    let name: String
    /// By number.
    let members: [ProtobufMember]
    let isMapEntry: Bool
    let oneofs: [String]
    /// Indices of `members` by their names, JSON's and original, in the order of the names.
    let names: [(name: String, index: Int)]

    /// Complexity: O(log members).
    func index(number: Int) -> Int? {
        var (low, high) = (0, members.count)
        while low < high {
            let middle = (low + high) / 2
            if members[middle].number < number { low = middle + 1 } else { high = middle }
        }
        return low < members.count && members[low].number == number ? low : nil
    }

    /// Complexity: O(log members).
    func index(named name: String) -> Int? {
        var (low, high) = (0, names.count)
        while low < high {
            let middle = (low + high) / 2
            if names[middle].name < name { low = middle + 1 } else { high = middle }
        }
        return low < names.count && names[low].name == name ? names[low].index : nil
    }
}

/// A method as its service declares it.
package struct ProtobufMethod: Hashable, Sendable {
    package let service: String
    package let name: String
    /// Names of messages.
    package let input: String
    package let output: String
    package let streamsRequests: Bool
    package let streamsAnswers: Bool
}

/// The messages, enumerations and services of some files, by their full names. Files may come in
/// any order; a name is looked up when it is needed.
package struct ProtobufSchema: Sendable {
    /// Files by name: whether they have been added, or only imported.
    private var files: [String: Bool] = [:]
    private var types: [String: ProtobufType] = [:]
    private var enumerations: [String: [ProtobufEnumDescriptor.Value]] = [:]
    private var services: [String: [ProtobufMethod]] = [:]
    /// Names of files that others import, in the order in which they were first named.
    private var imported: [String] = []

    package init() {}

    /// Files that are imported and have not been added.
    package var missingFiles: [String] { imported.filter { files[$0] == false } }

    /// Takes a file's declarations; one of a name that is known already changes nothing.
    package mutating func add(_ file: ProtobufFile) throws(ProtobufError) {
        guard files[file.name] != true else { return }
        files[file.name] = true
        for name in file.dependencies where files[name] == nil {
            files[name] = false
            imported.append(name)
        }
        let prefix = file.package.isEmpty ? "" : file.package + "."
        do throws(ProtobufError) {
            for message in file.messages { try add(message, prefix, depth: 0) }
            for enumeration in file.enumerations {
                enumerations[prefix + enumeration.name] = enumeration.values
            }
            for service in file.services { add(service, prefix) }
        } catch { throw error.inside(file.name) }
    }

    /// A method by the full name of its service and its own.
    package func method(_ service: String, _ name: String) throws(ProtobufError) -> ProtobufMethod {
        guard let methods = services[service] else {
            throw ProtobufError("the service \(service) is not described")
        }
        guard let method = methods.first(where: { $0.name == name }) else {
            let known = methods.map(\.name).joined(separator: ", ")
            throw ProtobufError("the service \(service) has no method \(name); it has \(known)")
        }
        return method
    }

    func type(_ name: String) throws(ProtobufError) -> ProtobufType {
        guard let type = types[name] else {
            throw ProtobufError("the message \(name) is not described")
        }
        return type
    }

    func values(ofEnum name: String) throws(ProtobufError) -> [ProtobufEnumDescriptor.Value] {
        guard let values = enumerations[name] else {
            throw ProtobufError("the enumeration \(name) is not described")
        }
        return values
    }

    private mutating func add(_ service: ProtobufServiceDescriptor, _ prefix: String) {
        let name = prefix + service.name
        services[name] = service.methods.map {
            ProtobufMethod(
                service: name, name: $0.name, input: Self.undotted($0.input),
                output: Self.undotted($0.output), streamsRequests: $0.streamsRequests,
                streamsAnswers: $0.streamsAnswers)
        }
    }

    private mutating func add(
        _ message: ProtobufMessageDescriptor, _ prefix: String, depth: Int
    ) throws(ProtobufError) {
        guard depth < ProtobufLimits.depth else {
            throw ProtobufError("messages are declared more than \(ProtobufLimits.depth) deep")
        }
        let name = prefix + message.name
        var members: [ProtobufMember] = []
        for field in message.members {
            do throws(ProtobufError) { try members.append(Self.member(field)) } catch {
                throw error.inside("\(name).\(field.name)")
            }
        }
        members.sort { $0.number < $1.number }
        var names: [(name: String, index: Int)] = []
        for (index, member) in members.enumerated() {
            names.append((member.jsonName, index))
            if member.name != member.jsonName { names.append((member.name, index)) }
        }
        names.sort { $0.name == $1.name ? $0.index < $1.index : $0.name < $1.name }
        types[name] = ProtobufType(
            name: name, members: members, isMapEntry: message.options?.isMapEntry ?? false,
            oneofs: message.oneofs.map(\.name), names: names)
        for nested in message.messages { try add(nested, name + ".", depth: depth + 1) }
        for nested in message.enumerations {
            enumerations["\(name).\(nested.name)"] = nested.values
        }
    }

    private static func member(
        _ field: ProtobufFieldDescriptor
    ) throws(ProtobufError) -> ProtobufMember {
        guard let kind = ProtobufKind(rawValue: field.type) else {
            throw ProtobufError("the field's type is \(field.type), which does not exist")
        }
        guard 1...536_870_911 ~= field.number else {
            throw ProtobufError("the field's number is \(field.number); 1 to 536870911 are allowed")
        }
        return ProtobufMember(
            name: field.name,
            jsonName: field.jsonName.isEmpty ? camelCased(field.name) : field.jsonName,
            number: Int(field.number), kind: kind, isRepeated: field.label == 3,
            typeName: undotted(field.typeName), oneof: field.oneof.map(Int.init))
    }

    private static func undotted(_ name: String) -> String {
        name.utf8.first == UInt8(ascii: ".") ? String(name.dropFirst()) : name
    }

    /// `max_retry_count` as `maxRetryCount`.
    static func camelCased(_ name: String) -> String {
        var bytes: [UInt8] = []
        var isUpper = false
        for byte in name.utf8 {
            if byte == UInt8(ascii: "_") {
                isUpper = true
                continue
            }
            bytes.append(isUpper && byte &- 0x61 < 26 ? byte - 0x20 : byte)
            isUpper = false
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
