// Tunables of the core that a plan may set: legal in production, silly in size, so that rare paths
// become common without a hook in the code.

import Core

enum TunableNames {
    /// Names and values that generated plans draw from.
    static let choices: [(name: String, values: [String])] = []

    /// Applies the settings that begin with `tune.`.
    static func apply(_ settings: [Plan.Setting], to config: inout Config) {}
}
