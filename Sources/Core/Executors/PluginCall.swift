/// One execution's attempt by a plugin; told as of calls.
package struct PluginCall: Hashable, Sendable {
    package var execution: ExecutionID
    /// The plugin's name: that of the executor.
    package var plugin: String
    package var job: JobName
    /// As the job says it: what the keys mean is the plugin's matter.
    package var config: [ProtobufEntry]
    /// What the plugin may be told of the attempt: its id, group, number, instant and job.
    package var identity: [EnvironmentEntry]
    /// For the whole, from `started` on; nil: none.
    package var timeout: Duration?
    /// Ends the call (fencing) this long after the last `renewFences`; nil for those not fenced.
    package var fence: Duration?

    /// - Parameter grace: what the plugin has beyond the time-out of its settings, so that it can
    ///   end in time by itself and say so.
    package init(
        execution: ExecutionID, plugin: String, job: JobName,
        config: [(key: String, value: String)], identity: [EnvironmentEntry] = [],
        grace: Duration, fence: Duration?
    ) {
        self.execution = execution
        self.plugin = plugin
        self.job = job
        self.config = config.map { ProtobufEntry($0.key, $0.value) }
        self.identity = identity
        self.fence = fence
        // What can't be read as a time means something else to this plugin.
        let text = config.last { $0.key == "timeout" && !$0.value.isEmpty }?.value
        timeout = (try? TimeoutText.parse(text, key: "timeout")).flatMap { $0 }.map { $0 + grace }
    }
}
