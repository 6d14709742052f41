// The members that a job's JSON may have.

extension JobReader {
    /// A member of a job's JSON; the raw value is its name there.
    enum Field: String, CaseIterable {
        // What the user can set.
        case name, displayname, timezone, schedule, owner
        case ownerEmail = "owner_email"
        case disabled, tags, metadata, retries
        case parentJob = "parent_job"
        case processors, concurrency, executor
        case executorConfig = "executor_config"
        case ephemeral
        case startsAt = "starts_at"
        case expiresAt = "expires_at"
        case dst
        case catchUp = "catch_up"
        case catchUpWindow = "catch_up_window"
        case lostAfter = "lost_after"
        case fence
        case notifyOn = "notify_on"
        // What the server maintains.
        case id
        case successCount = "success_count"
        case errorCount = "error_count"
        case lastSuccess = "last_success"
        case lastError = "last_error"
        case dependentJobs = "dependent_jobs"
        case status, next, running, version
        case everyAnchor = "every_anchor"
        case invalidReason = "invalid_reason"
        case warnings
        // What releases before 1.1 had at the top level.
        case command, shell
        case environmentVariables = "environment_variables"
        case runAsUser = "run_as_user"

        /// Printed by exports, ignored on input (or taken by a restore).
        var isRunTime: Bool {
            switch self {
            case .id, .successCount, .errorCount, .lastSuccess, .lastError, .dependentJobs,
                .status, .next, .running, .version, .everyAnchor, .invalidReason, .warnings:
                true
            case .name, .displayname, .timezone, .schedule, .owner, .ownerEmail, .disabled, .tags,
                .metadata, .retries, .parentJob, .processors, .concurrency, .executor,
                .executorConfig, .ephemeral, .startsAt, .expiresAt, .dst, .catchUp,
                .catchUpWindow, .lostAfter, .fence, .notifyOn, .command, .shell,
                .environmentVariables, .runAsUser:
                false
            }
        }

        private static let all = allCases

        /// Finds fields by their names. A reader fetches it once and not for every member.
        struct Table {
            let names: JSONNames
            let fields: [Field]

            static let all = Table(
                names: JSONNames(Field.allCases.map(\.rawValue)), fields: Field.allCases)

            func field(named name: JSONValue, in json: JSONDocument) -> Field? {
                names.index(of: name, in: json).map { fields[$0] }
            }
        }

        /// The field whose name is most like a text, unless none is much like it.
        static func nearest(to text: String) -> String? {
            let wanted = Array(text.lowercased().utf8)
            guard wanted.count <= 40 else { return nil }
            var best: (name: String, distance: Int)?
            for field in all {
                let distance = editDistance(wanted, Array(field.rawValue.utf8))
                if distance < best?.distance ?? .max { best = (field.rawValue, distance) }
            }
            guard let best, best.distance <= max(1, wanted.count / 3) else { return nil }
            return best.name
        }
    }

    /// How many letters have to be inserted, removed or replaced (Levenshtein). O(a · b).
    static func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var row = Array(0...b.count)
        for i in a.indices {
            var diagonal = row[0]
            row[0] = i + 1
            for j in b.indices {
                let replaced = diagonal + (a[i] == b[j] ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(replaced, row[j] + 1, row[j + 1] + 1)
            }
        }
        return row[b.count]
    }

    /// What releases before 1.1 had at the top level; today settings of the executor `shell`.
    struct OlderFields {
        /// A string.
        var command: JSONValue?
        var shell: Bool?
        /// An array of strings.
        var environment: JSONValue?
        /// A string.
        var user: JSONValue?

        var isEmpty: Bool {
            command == nil && shell == nil && environment == nil && user == nil
        }
    }

    /// Turns the older fields into settings of `shell`.
    mutating func translateOlderFields() throws(JobError) {
        forgetEmptyOlderFields()
        guard !older.isEmpty else { return }
        let executor = input.document.executor
        // Releases since 1.1 ignored these fields, so an export may hold them beside an executor.
        if !executor.isEmpty, source == .export { return }
        guard executor.isEmpty || executor == "shell" else {
            throw JobError(
                .invalidField, "executor",
                "The fields command, shell, environment_variables and run_as_user at the top level"
                    + " belong to the executor shell, and this job has the executor"
                    + " \(executor).")
        }
        input.document.executor = "shell"
        try set("command", json.text(older.command), from: .command)
        try set("shell", older.shell.map { $0 ? "true" : "false" }, from: .shell)
        try set("su", json.text(older.user), from: .runAsUser)
        if let environment = older.environment {
            let pairs = json.elements(of: environment).compactMap(json.string)
            try set("env", Self.joined(pairs), from: .environmentVariables)
        }
        input.document.executorConfig.sort {
            $0.name.utf8.lexicographicallyPrecedes($1.name.utf8)
        }
    }

    /// Releases before 1.1 printed these fields of every job, empty where another executor was
    /// meant, and such a job may come back.
    private mutating func forgetEmptyOlderFields() {
        if json.text(older.command)?.isEmpty == true { older.command = nil }
        if json.text(older.user)?.isEmpty == true { older.user = nil }
        if let pairs = older.environment, json.count(of: pairs) == 0 { older.environment = nil }
        if older.command == nil, older.shell == false { older.shell = nil }
    }

    private mutating func set(
        _ key: String, _ value: String?, from field: Field
    ) throws(JobError) {
        guard let value, !value.isEmpty else { return }
        if let existing = input.document.executorConfig.first(where: { $0.name == key }) {
            guard existing.value == value else {
                throw JobError(
                    .invalidField, field.rawValue,
                    "The field \(field.rawValue) and executor_config.\(key) differ; leave out"
                        + " the former.")
            }
            return
        }
        input.document.executorConfig.append(Setting(name: key, value: value))
    }

    /// `K=V` pairs as the setting `env` has them: joined by commas, values quoted that need it.
    static func joined(_ pairs: [String]) -> String {
        pairs.map { pair in
            guard let equals = pair.utf8.firstIndex(of: UInt8(ascii: "=")) else { return pair }
            let name = pair[..<equals]
            return "\(name)=\(quoted(pair[pair.utf8.index(after: equals)...]))"
        }.joined(separator: ",")
    }

    private static func quoted(_ value: Substring) -> String {
        guard value.utf8.contains(where: { quotedInEnv.contains($0) }) else {
            return String(value)
        }
        var quoted = "\""
        for scalar in value.unicodeScalars {
            if scalar == "\"" || scalar == "\\" { quoted.unicodeScalars.append("\\") }
            quoted.unicodeScalars.append(scalar)
        }
        return quoted + "\""
    }

    private static let quotedInEnv = Array(",\"'\\".utf8)
}
