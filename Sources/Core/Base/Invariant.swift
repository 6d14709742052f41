/// Stops the node when it finds itself in a state that correct code cannot reach.
///
/// On in release builds too: a stopped scheduler is an alarm, a wrong one is a lie. Use it only for
/// bugs; what the outside world sends is answered with values and errors, and storage that can't be
/// trusted ends in `Effect.halt`.
@inlinable
package func invariant(
    _ condition: Bool, _ message: @autoclosure () -> String,
    file: StaticString = #fileID, line: UInt = #line
) {
    // `precondition` drops its message with optimisation on; `fatalError` prints it.
    if !condition { fatalError("invariant broken: \(message())", file: file, line: line) }
}
