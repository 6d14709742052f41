package import Core

/// This program as a plugin: what it does when it is started under the name of one.
package enum BuiltInPlugin {
    /// Serves what a file of this name stands for. Returns the exit status, or a sentence that says
    /// why it stands for nothing.
    package static func run(_ file: PluginFile) -> Result<Int32, BuiltInPluginError> {
        switch file.kind {
        case .executor:
            guard let executor = BuiltInExecutor(rawValue: file.name) else { break }
            return .success(
                PluginService.run(.executor) { loop, log in
                    try BuiltInExecutorWork(executor, loop: loop, log: log)
                })
        case .processor:
            guard let processor = BuiltInProcessor(rawValue: file.name) else { break }
            return .success(
                PluginService.run(.processor) { loop, log in
                    try BuiltInProcessorWork(processor, loop: loop, log: log)
                })
        }
        let kind = file.kind.rawValue
        let names = file.kind.builtInNames.joined(separator: ", ")
        return .failure(
            BuiltInPluginError(
                description: "this program has no \(kind) \"\(file.name)\"; it has \(names)"))
    }
}

package struct BuiltInPluginError: Error, CustomStringConvertible {
    package var description: String
}
