extension AgentOptions {
    /// Every option that has an effect or stands somewhere: name, value and place, a line each.
    /// Secrets are left out.
    package var report: String {
        var rows: [(name: String, value: String, place: String)] = []
        for option in Self.table where !["config", "check-config"].contains(option.name) {
            if let setting = settings.first(where: { $0.option.name == option.name }) {
                rows.append((option.name, setting.shown, setting.place))
            } else if case .used = option.standing, !option.standard.isEmpty {
                rows.append((option.name, option.standard, "default"))
            }
        }
        let nameWidth = rows.map(\.name.utf8.count).max() ?? 0
        let valueWidth = min(40, rows.map(\.value.utf8.count).max() ?? 0)
        func padded(_ text: String, _ width: Int) -> String {
            text + String(repeating: " ", count: max(0, width - text.utf8.count))
        }
        let file = configurationFile ?? "none"
        return
            (["configuration file: \(file)"]
            + rows.map {
                "\(padded($0.name, nameWidth))  \(padded($0.value, valueWidth))  \($0.place)"
            })
            .joined(separator: "\n")
    }

    /// The lines of the help that name the options.
    package static var helpLines: [String] {
        var lines: [String] = []
        var others: [String] = []
        for option in table where option.places.contains(.commandLine) {
            guard case .used = option.standing else {
                if case .withoutEffect = option.standing { others.append("--" + option.name) }
                continue
            }
            let form =
                "--\(option.name)" + (option.placeholder.isEmpty ? "" : " \(option.placeholder)")
            let padding = String(repeating: " ", count: max(1, 28 - form.utf8.count))
            let isPlainFlag = option.standard == "false"
            let standard =
                option.standard.isEmpty || isPlainFlag ? "" : " (default: \(option.standard))"
            lines.append("  \(form)\(padding)\(option.help)\(standard)")
        }
        lines += ["", "Accepted with a warning, because they have no effect yet:"]
        var line = " "
        for name in others {
            if line.utf8.count + name.utf8.count > 90 {
                lines.append(line)
                line = " "
            }
            line += " " + name
        }
        return lines + [line]
    }
}
