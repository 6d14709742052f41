package import Core

package struct SupervisorError: Error, CustomStringConvertible {
    package var description: String
}

/// The agent's end of the connection to its supervisor. Nothing here blocks.
///
/// Use: watch `fileDescriptor` for reading only; when it is readable, or `nextDeadline` has passed,
/// call `receive` and `tick` and hand their events to the node.
package final class SupervisorClient {
    /// Takes up the supervisor that still serves the directory, or starts one.
    package init(dataDirectory: String, executable: String, hideEnvironment: [String]) throws {
        fileDescriptor = -1
    }

    /// Stable for the life of the client, over deaths of the supervisor too; readable when there is
    /// something to receive, and also when what waits to be written can go on.
    package private(set) var fileDescriptor: Int32

    package func start(_ spec: RunSpec) {}
    package func adopt(_ id: ExecutionID, _ identity: ProcessIdentity?) {}
    package func stop(_ id: ExecutionID) {}
    package func release(_ id: ExecutionID) {}
    package func renewFences(ago: Duration) {}
    /// Something waits to be written. Informational: `fileDescriptor` becomes readable for it.
    package var wantsWrite: Bool { false }
    package func flush() {}
    package func receive() -> [(ExecutionID, RunEvent)] { [] }
    package func nextDeadline(now: Instant) -> Instant? { nil }
    package func tick(now: Instant) -> [(ExecutionID, RunEvent)] { [] }
    /// Ends every run that is left (politely, then after its grace) and the supervisor with them.
    package func endAll() {}
    /// Leaves the supervisor and its runs to the next agent.
    package func detach() {}
    /// What the supervisor and this client have to say since the last call.
    package func takeLog() -> [LogRecord] { [] }
}
