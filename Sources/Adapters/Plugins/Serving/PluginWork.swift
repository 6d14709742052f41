package import Core

/// Carries out what a host asks of a plugin. Everything happens on the loop's thread, and nothing
/// here may block it.
package protocol PluginWork: AnyObject {
    var nextDeadline: Instant? { get }
    /// Told of by one `finished` among the news.
    func begin(_ call: PluginServerCall, at now: Now)
    /// Ends a call if that can be done; one that is gone is none.
    func cancel(_ number: UInt64, at now: Now)
    /// Takes an event of a descriptor of its own.
    func handle(_ event: EventLoop.Event, at now: Now)
    func expire(at now: Now)
    /// What has happened since the last time, in order.
    func takeNews() -> [PluginServerEvent]
    /// The process ends.
    func close()
}
