/// A text with places for what is known of an execution: `{{.JobName}}`, as Go's templates write
/// them. Of their language there are these places, `{{.StartTime.Format "15:04"}}` for times, and
/// blanks inside and around the braces (`{{-` and `-}}`); nothing is escaped.
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

        fileprivate var isTime: Bool { self == .startTime || self == .finishedAt }
    }

    private enum Part: Hashable, Sendable {
        case text([UInt8])
        case variable(Variable)
        case time(Variable, TimeLayout)
    }

    private var parts: [Part] = []

    /// Linear in the text. Errors name the place, in a text of several lines with its line.
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
                throw Self.mistake("\"{{\" is never closed with \"}}\"", at: start, text)
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
            guard let part = Self.part(inside) else {
                let names = Variable.allCases.map { ".\($0.rawValue)" }.joined(separator: ", ")
                let word = String(decoding: inside.prefix(100), as: UTF8.self)
                throw Self.mistake(
                    "\"{{\(word)}}\" is nothing that can be filled in; allowed are \(names), and "
                        + "of the times .Format with a layout, such as {{.StartTime.Format "
                        + "\"2006-01-02\"}}", at: start, text)
            }
            parts.append(part)
            rest = rest[(end + 2)...]
        }
    }

    private mutating func append(_ text: ArraySlice<UInt8>) {
        if !text.isEmpty { parts.append(.text(Array(text))) }
    }

    private static func isBlank(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d
    }

    private static func mistake(_ message: String, at offset: Int, _ text: String) -> TextError {
        let before = Array(text.utf8.prefix(offset))
        let line = before.count { $0 == 0x0a } + 1
        let start = before.lastIndex(of: 0x0a).map { $0 + 1 } ?? 0
        let place = String(decoding: before[start...], as: UTF8.self).unicodeScalars.count + 1
        return TextError(column: place, line == 1 ? message : "(line \(line)) \(message)")
    }

    /// What stands between braces; nil if it is nothing known.
    private static func part(_ inside: ArraySlice<UInt8>) -> Part? {
        var word = inside.drop(while: isBlank)
        while word.last.map(isBlank) ?? false { word.removeLast() }
        let text = String(decoding: word, as: UTF8.self)
        guard text.utf8.first == UInt8(ascii: ".") else { return nil }
        if let variable = Variable(rawValue: String(text.dropFirst())) {
            return .variable(variable)
        }
        let words = text.dropFirst().split(separator: " ", maxSplits: 1)
        guard words.count == 2, words[0].hasSuffix(".Format"),
            let variable = Variable(rawValue: String(words[0].dropLast(7))), variable.isTime
        else { return nil }
        let layout = words[1].drop { $0 == " " }
        guard layout.utf8.count >= 2, let quote = layout.first, quote == layout.last,
            quote == "\"" || quote == "`", !layout.dropFirst().dropLast().contains(quote),
            !layout.contains("\\")
        else { return nil }
        return .time(variable, TimeLayout(String(layout.dropFirst().dropLast())))
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
            case .time(let variable, let layout):
                let time =
                    variable == .startTime ? execution.startedAt : execution.finishedAt
                bytes += layout.text(time).utf8
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
        var tail = "\nExecution group: \(execution.group)\n"
        for sibling in execution.siblings {
            tail +=
                "\t[Node]: \(sibling.node) [Start]: \(time(sibling.startedAt)) "
                + "[End]: \(time(sibling.finishedAt)) [Success]: \(sibling.isSuccess)\n"
        }
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
