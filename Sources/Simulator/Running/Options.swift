// The simulator's command line.

struct Options {
    enum Mode: Equatable {
        case seed(UInt64)
        case plan(String)
        case seeds(ClosedRange<UInt64>)
        case help
    }

    var mode = Mode.help
    var jobs = 1
    var trace = false
    var shrink = false
    var canary = false
    var hashes = false
    var stats = false
    var printPlan = false
    /// Runs every seed in two processes and compares their traces.
    var twice = false
    var untilFailure = false
    /// Ends a sweep at the first violation of one of these.
    var until: [String] = []
    /// A child of a sweep: results go to standard output in the form that the parent reads.
    var isSlice = false
    /// One to five servers and up to twelve agents instead of one server.
    var cluster = false
    /// How many nodes such clusters have; nil draws.
    var nodes: Int?
    /// Only the consensus, without scheduler, disks and clients.
    var raft = false
    /// Fails the sweep when a mark was never hit.
    var requireMarks = false
    /// Lines of the trace to print.
    var lines = 400
    /// Feeds every life of a node to a second one.
    var replay = false

    static let usage = """
        usage: Simulator --seed N | --plan FILE | --seeds A..B [options]

          --trace           print the last events, one line each (--lines N, default 400)
          --print-plan      print the plan that a seed stands for, and do not run it
          --shrink          make a failing plan smaller and print it
          --hashes          print the trace's hash after every 1,000 events
          --cluster         with --seed or --seeds: several servers and agents
          --nodes N         with --cluster: so many servers and agents, up to 250
          --raft            with --seeds: the consensus alone, on a bad network
          --jobs N          child processes for a sweep
          --twice           run every seed of a sweep in two processes and compare
          --replay          feed every life of a node to a second one and compare
          --until-failure   go on with new seeds until one fails
          --until ID,ID     end a sweep when one of these invariants is violated
          --require-marks   fail a sweep that never reached some mark
          --stats           say what the runs did
          --canary          make one seed in a hundred fail, to test the reporting

        Exit status: 0 all held, 1 an invariant was violated, 2 wrong usage.

        """

    struct Problem: Error { var message: String }

    init(_ arguments: [String]) throws(Problem) {
        var rest = arguments[...]
        func value(of option: String) throws(Problem) -> String {
            guard let value = rest.popFirst() else {
                throw Problem(message: "\(option) needs a value")
            }
            return value
        }
        while let option = rest.popFirst() {
            switch option {
            case "--seed": mode = .seed(try Self.number(try value(of: option)))
            case "--plan": mode = .plan(try value(of: option))
            case "--seeds": mode = .seeds(try Self.range(try value(of: option)))
            case "--jobs": jobs = Int(try Self.number(try value(of: option)))
            case "--until":
                until = try value(of: option).split(separator: ",").map(String.init)
            case "--lines": lines = Int(try Self.number(try value(of: option)))
            case "--trace": trace = true
            case "--shrink": shrink = true
            case "--canary": canary = true
            case "--hashes": hashes = true
            case "--stats": stats = true
            case "--print-plan": printPlan = true
            case "--twice": twice = true
            case "--replay": replay = true
            case "--until-failure": untilFailure = true
            case "--require-marks": requireMarks = true
            case "--slice": isSlice = true
            case "--raft": raft = true
            case "--cluster": cluster = true
            case "--nodes":
                let count = try Self.number(try value(of: option))
                guard (1...UInt64(Plan.mostNodes)).contains(count) else {
                    throw Problem(
                        message: "--nodes is in 1 to \(Plan.mostNodes), not \(count)")
                }
                nodes = Int(count)
            case "--help", "-h": mode = .help
            default: throw Problem(message: "unknown option \(option)")
            }
        }
    }

    private static func number(_ text: String) throws(Problem) -> UInt64 {
        let number = text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
        guard let number else { throw Problem(message: "'\(text)' is not a number") }
        return number
    }

    private static func range(_ text: String) throws(Problem) -> ClosedRange<UInt64> {
        let parts = text.split(separator: ".", omittingEmptySubsequences: true).map(String.init)
        guard parts.count == 2 else { throw Problem(message: "a range is A..B, not '\(text)'") }
        let first = try number(parts[0])
        let last = try number(parts[1])
        guard first <= last else { throw Problem(message: "the range '\(text)' is empty") }
        return first...last
    }
}
