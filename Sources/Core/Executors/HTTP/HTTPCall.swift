/// One attempt to send a request.
package struct HTTPCall: Hashable, Sendable {
    package var execution: ExecutionID
    package var exchange: HTTPExchange
    /// For the whole, from `started` on.
    package var timeout: Duration?
    /// Sorted; none stands for every status.
    package var expectedStatuses: [Int]
    package var expectedBody: Pattern?
    /// Requests and heads of answers go into the output.
    package var isVerbose: Bool
    /// Ends the call (fencing) this long after the last `renewFences`; nil for those not fenced.
    package var fence: Duration?
}
