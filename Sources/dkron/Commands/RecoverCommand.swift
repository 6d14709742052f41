// `dkron recover`: a data directory out of a backup, without a server.

internal import Adapters
internal import Core
internal import Glibc

private let usage = """
    Usage: dkron recover FILE [--data-dir DIR]

    Makes a data directory of a backup that `dkron backup` took: jobs, settings, the ledger,
    executions and their outputs, as they were at that moment. Start a server on it afterwards.
    Run it as the user that the server is to run as.

      --data-dir DIR  a new or empty directory (default: dkron.data)
      --help          show this text

    Do it on one server only. It is the first of a cluster with a new id, which has nothing to do
    with the one that was backed up; other servers start with empty data directories and join it.

    Ticks that were due since the backup are handled as after an outage: see catch_up of each job.

    Example:
      sudo -u dkron dkron recover /var/backups/dkron.backup --data-dir /var/lib/dkron
    """

private let dataDirectoryOption = CommandLineOption.used(
    "data-dir", .value, "DIR", "a new or empty directory", standard: "dkron.data")

/// Runs `dkron recover …`. The result is the exit status: 0, 1 when the backup or the directory is
/// at fault, 2 for wrong usage.
func runRecoverCommand(_ arguments: [String]) -> Int32 {
    let parsed: ParsedArguments
    do throws(UsageError) {
        parsed = try ParsedArguments(arguments, against: [dataDirectoryOption])
    } catch {
        return refuse(error.message)
    }
    if parsed.wantsHelp {
        printOut(usage)
        return 0
    }
    let file = parsed.positional.first ?? "-"
    guard parsed.positional.count == 1, file != "-" else {
        return refuse("one FILE is needed; it is read twice, so it can't be standard input")
    }
    let directory = parsed.options.last?.value ?? dataDirectoryOption.standard
    do {
        // As a cluster that begins makes its own.
        let cluster = (0..<2).map { _ in Hexadecimal.text(of: Entropy.number()) }.joined()
        let head = try recover(file, into: directory, as: cluster)
        conclude(head, directory, cluster)
        return 0
    } catch {
        printError("dkron recover: \(printable("\(error)"))")
        return 1
    }
}

private func refuse(_ message: String) -> Int32 {
    printError("dkron recover: \(printable(message))\n\n\(usage)")
    return 2
}

private func conclude(_ head: BackupHead, _ directory: String, _ cluster: String) {
    let time = RFC3339.print(WallTime(seconds: head.stamp.seconds))
    printOut(
        """
        \(directory): \(head.jobs) jobs as they were on \(head.node) at \(time) (index \
        \(head.index)), in a new cluster \(cluster).

        Next:
          1. Start this server: dkron agent --server --data-dir \(directory)
          2. Recover this file on no other server: each would be a cluster of its own and run every
             job. Start the others on empty data directories with --retry-join and this server's
             address. Each is taken in, gets everything, and votes.
          3. Agents of the cluster that was backed up leave this one alone until they are started
             again, with --retry-join and this server's address. SIGUSR2 keeps their commands.
        """)
}

private func recover(
    _ path: String, into directory: String, as cluster: String
) throws -> BackupHead {
    let source: BackupSource
    do throws(BackupFault) {
        source = try BackupSource(path)
        guard source.isBackup else {
            throw BackupFault(
                description: "it is no backup; a JSON export goes into a running server by"
                    + " `dkron restore`")
        }
        // Nothing is written before all of the file has been found good.
        let progress = Progress("checking", source.length)
        _ = try source.audit(progress: progress.show) { _ in }
        try source.again()
    } catch {
        throw BackupFault(description: "\(path) can't be used: \(error)")
    }
    let target = try DataDirectory(toFill: directory)
    let storage = try OfflineStorage(target)
    var installer = BackupInstaller(dataID: target.id, clusterID: cluster) {
        storage.perform($0)
    }
    let progress = Progress("writing", source.length)
    let audit = try source.audit(progress: progress.show) { step throws(BackupFault) in
        switch step {
        case .head(let head): try installer.begin(head)
        case .slice(let records): try installer.slice(records)
        case .output(let chunk): try installer.output(chunk)
        case .end: try installer.finish()
        case .needsBytes: break
        }
    }
    try target.finish()
    guard let head = audit.head else { throw audit.shortfall }
    return head
}

/// Shows on a terminal how far long work is.
private final class Progress {
    private let verb: String
    private let total: UInt64?
    private var shown: UInt64 = 0
    private let isTerminal = isatty(STDERR_FILENO) == 1

    init(_ verb: String, _ total: UInt64?) {
        self.verb = verb
        self.total = total
    }

    func show(_ count: UInt64) {
        guard isTerminal, let total, total > 0, count - shown >= total / 20 else { return }
        shown = count
        printError("\(verb): \(count * 100 / total) %")
    }
}
