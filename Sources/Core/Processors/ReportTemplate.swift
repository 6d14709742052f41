/// A text with places for what is known of an execution: `{{.JobName}}`, as Go's templates write
/// them. Of their language there are these places and blanks inside and around the braces (`{{-`
/// and `-}}`); nothing is escaped.
package struct ReportTemplate: Hashable, Sendable {
    package enum Variable: String, CaseIterable, Sendable {
        case report = "Report"
        case jobName = "JobName"
        case reportingNode = "ReportingNode"
        case startTime = "StartTime"
        case finishedAt = "FinishedAt"
        case success = "Success"
        case nodeName = "NodeName"
        case output = "Output"
        case executionID = "ExecutionID"
        case group = "Group"
        case attempt = "Attempt"
        case state = "State"
        case error = "Error"
        case json = "JSON"
    }

    private enum Part: Hashable, Sendable {
        case text([UInt8])
        case variable(Variable)
    }

    private var parts: [Part] = []

    /// Linear in the text.
    package init(_ text: String) throws(TextError) {
        var rest = Array(text.utf8)[...]
        let (open, close) = (Array("{{".utf8), Array("}}".utf8))
        var trims = false
        func find(_ pattern: [UInt8], in bytes: ArraySlice<UInt8>) -> Int? {
            bytes.indices.dropLast().first {
                bytes[$0] == pattern[0] && bytes[$0 + 1] == pattern[0]
            }
        }
        while !rest.isEmpty {
            let start = find(open, in: rest)
            var plain = rest[..<(start ?? rest.endIndex)]
            if trims { plain = plain.drop(while: Self.isBlank) }
            guard let start else {
                append(plain)
                return
            }
            guard let end = find(close, in: rest[(start + 2)...]) else {
                throw TextError(column: start + 1, "\"{{\" is never closed with \"}}\"")
            }
            var inside = rest[(start + 2)..<end]
            if inside.first == UInt8(ascii: "-"),
                inside.dropFirst().first.map(Self.isBlank) ?? false
            {
                inside.removeFirst()
                while plain.last.map(Self.isBlank) ?? false { plain.removeLast() }
            }
            trims = inside.last == UInt8(ascii: "-")
            if trims { inside.removeLast() }
            append(plain)
            parts.append(.variable(try Self.variable(inside, at: start + 1)))
            rest = rest[(end + 2)...]
        }
    }

    private mutating func append(_ text: ArraySlice<UInt8>) {
        if !text.isEmpty { parts.append(.text(Array(text))) }
    }

    private static func isBlank(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d
    }

    private static func variable(
        _ inside: ArraySlice<UInt8>, at column: Int
    ) throws(TextError) -> Variable {
        var word = inside.drop(while: isBlank)
        while word.last.map(isBlank) ?? false { word.removeLast() }
        let text = String(decoding: word, as: UTF8.self)
        guard text.utf8.first == UInt8(ascii: "."),
            let variable = Variable(rawValue: String(text.dropFirst()))
        else {
            let names = Variable.allCases.map { ".\($0.rawValue)" }.joined(separator: ", ")
            throw TextError(
                column: column,
                "\"{{\(text)}}\" is nothing that can be filled in; allowed are "
                    + names)
        }
        return variable
    }

    // MARK: Filling in

    package func filled(_ execution: ProcessedExecution, _ output: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        for part in parts {
            switch part {
            case .text(let text): bytes += text
            case .variable(.output): bytes += output
            case .variable(.json): bytes += Self.json(execution, output)
            case .variable(.report): bytes += Self.report(execution, output)
            case .variable(let variable): bytes += Self.text(variable, execution).utf8
            }
        }
        return bytes
    }

    private static func text(_ variable: Variable, _ execution: ProcessedExecution) -> String {
        switch variable {
        case .jobName: execution.job.text
        case .reportingNode: execution.reportingNode.text
        case .startTime: time(execution.startedAt)
        case .finishedAt: time(execution.finishedAt)
        case .success: "\(execution.state == .success)"
        case .nodeName: execution.node.text
        case .executionID: execution.id.text
        case .group: "\(execution.group)"
        case .attempt: "\(execution.attempt)"
        case .state: execution.state.text
        case .error: execution.error
        case .report, .output, .json: ""
        }
    }

    /// As Go prints a time: `2024-01-02 15:04:05.123 +0000 UTC`; the first year for none.
    private static func time(_ time: WallTime?) -> String {
        guard let time else { return "0001-01-01 00:00:00 +0000 UTC" }
        let text = RFC3339.print(time)
        let date = text.prefix(10)
        return "\(date) \(text.dropFirst(11).dropLast()) +0000 UTC"
    }

    private static func report(_ execution: ProcessedExecution, _ output: [UInt8]) -> [UInt8] {
        let lines = [
            "Executed: \(execution.job)", "Reporting node: \(execution.reportingNode)",
            "Start time: \(time(execution.startedAt))",
            "End time: \(time(execution.finishedAt))",
            "Success: \(execution.state == .success)", "Node: \(execution.node)", "Output: ",
        ]
        let head = lines.joined(separator: "\n")
        let tail = "\nExecution group: \(execution.group)\n"
        return Array(head.utf8) + output + tail.utf8
    }

    /// Everything as a JSON object.
    package static func json(
        _ execution: ProcessedExecution, _ output: [UInt8]
    ) -> [UInt8] {
        var writer = JSONWriter(.compact)
        writer.beginObject()
        writer.member("id", execution.id.text)
        writer.member("job_name", execution.job.text)
        writer.member("node_name", execution.node.text)
        writer.member("reporting_node", execution.reportingNode.text)
        writer.member("group", "\(execution.group)")
        writer.member("attempt", execution.attempt)
        writer.member("success", execution.state == .success)
        writer.member("state", execution.state.text)
        writer.member("scheduled_at", RFC3339.print(execution.scheduledAt))
        for (name, time) in [
            ("started_at", execution.startedAt), ("finished_at", execution.finishedAt),
        ] {
            if let time { writer.member(name, RFC3339.print(time)) }
        }
        if let exitCode = execution.exitCode { writer.member("exit_code", exitCode) }
        if !execution.error.isEmpty { writer.member("error", execution.error) }
        writer.key("output")
        writer.string(output)
        writer.endObject()
        return writer.take()
    }
}
