package import Core

/// The hidden command `dkron supervisor`: owns child processes on behalf of an agent.
package enum SupervisorMain {
    /// Serves until nobody needs it; the answer is the exit status. `arguments` are those after
    /// `supervisor`.
    package static func run(_ arguments: [String]) -> Int32 {
        2
    }
}
