// The program `dkron`: finds the command and runs it. What it returns is the exit status.

internal import Adapters
internal import Glibc

exit(runCommand(Array(CommandLine.arguments.dropFirst())))
