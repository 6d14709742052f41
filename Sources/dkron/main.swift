// The program `dkron`: finds the command and runs it. What it returns is the exit status. Under the
// name of a plugin (`dkron-executor-NAME`, `dkron-processor-NAME`) it is one.

internal import Adapters
internal import Core
internal import Glibc

if let file = PluginFile(path: CommandLine.arguments.first ?? "") {
    exit(runPlugin(file))
}
exit(runCommand(Array(CommandLine.arguments.dropFirst())))
