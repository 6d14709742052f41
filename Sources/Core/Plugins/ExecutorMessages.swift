// The messages of executor plugins, and under which names their services have been called.

/// `Execute` of the releases, the newest first. The messages have stayed the same.
enum ExecutorService {
    static let execute = [
        "/types.v1.ExecutorService/Execute", "/types.Executor/Execute", "/dkron.Executor/Execute",
    ]
    static let update = [
        "/types.v1.StatusHelperService/Update", "/types.StatusHelper/Update",
    ]
    static let broker = "/plugin.GRPCBroker/StartStream"
    static let output = "/plugin.GRPCStdio/StreamStdio"
    static let shutdown = "/plugin.GRPCController/Shutdown"
}

struct ExecuteRequest: ProtobufMessage {
    var job = ""
    var config: [ProtobufEntry] = []
    /// Under which id the broker's stream has told where status updates are taken; 0: nowhere.
    var statusServer: UInt32 = 0

    static let fields: [ProtobufRule<ExecuteRequest>] = [
        .string(1, \.job), .entries(2, \.config), .integer(3, \.statusServer),
    ]
}

struct ExecuteResponse: ProtobufMessage {
    var output: [UInt8] = []
    /// Empty for a success.
    var error = ""

    static let fields: [ProtobufRule<ExecuteResponse>] = [
        .bytes(1, \.output), .string(2, \.error),
    ]
}

struct StatusUpdateRequest: ProtobufMessage {
    var output: [UInt8] = []
    /// It was printed as an error.
    var isError = false

    static let fields: [ProtobufRule<StatusUpdateRequest>] = [
        .bytes(2, \.output), .bool(3, \.isError),
    ]
}

struct StatusUpdateResponse: ProtobufMessage {
    var result: Int64 = 0

    static let fields: [ProtobufRule<StatusUpdateResponse>] = [.integer(1, \.result)]
}

/// Tells a plugin where something listens.
struct ConnectionInfo: ProtobufMessage {
    var service: UInt32 = 0
    var network = ""
    var address = ""

    static let fields: [ProtobufRule<ConnectionInfo>] = [
        .integer(1, \.service), .string(2, \.network), .string(3, \.address),
    ]
}

/// Something that a plugin has printed.
struct StandardOutput: ProtobufMessage {
    /// 1: standard output, 2: standard error.
    var channel: Int32 = 0
    var data: [UInt8] = []

    static let fields: [ProtobufRule<StandardOutput>] = [
        .integer(1, \.channel), .bytes(2, \.data),
    ]
}
