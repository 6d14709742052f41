// The ledger of one job as the API shows it, and what must hold of it.

struct Ledger {
    struct Row {
        /// Seconds since 1970.
        let from: Int64
        let to: Int64
        let outcome: String
        let reason: String?
        let group: Int64?
        let text: String
    }

    /// Oldest first; rows that stand for ticks only.
    let rows: [Row]

    init(of job: String, on server: Server) {
        let answer = server.get("/v1/jobs/\(job)/ticks?_end=100000")
        rows = (answer?.json.elements ?? []).compactMap { row in
            guard row["trigger"].string == "schedule", let from = row["from"].string,
                let first = Self.seconds(from), let last = row["to"].string.flatMap(Self.seconds)
            else { return nil }
            return Row(
                from: first, to: last, outcome: row["outcome"].string ?? "",
                reason: row["reason"].string, group: row["group"].integer,
                text: "\(from) \(row["outcome"].string ?? "") \(row["reason"].string ?? "")")
        }.sorted { $0.from < $1.from }
    }

    /// How long after each tick that ran the decision was stamped, in seconds.
    var lateness: [Double] {
        rows.compactMap { row in row.group.map { Double($0) / 1e9 - Double(row.from) } }
    }

    var outcomes: Set<String> { Set(rows.map(\.outcome)) }

    /// Places where a tick is missing, told twice, or the rows overlap.
    func gaps(every period: Int64) -> [String] {
        guard !rows.isEmpty else { return ["the ledger is empty"] }
        return zip(rows, rows.dropFirst()).compactMap { earlier, later in
            later.from - earlier.to == period ? nil : "\(earlier.text) then \(later.text)"
        }
    }

    /// Groups that stand in two rows.
    var repeatedGroups: [Int64] {
        let groups = rows.compactMap(\.group).sorted()
        return zip(groups, groups.dropFirst()).filter { $0 == $1 }.map(\.0)
    }

    /// Whole seconds of `2026-01-02T03:04:05Z`, by the civil-date formula of Howard Hinnant.
    static func seconds(_ text: String) -> Int64? {
        let numbers = text.split { !$0.isNumber }.prefix(6).compactMap { Int64($0) }
        guard numbers.count == 6 else { return nil }
        let year = numbers[1] <= 2 ? numbers[0] - 1 : numbers[0]
        let era = year / 400
        let yearOfEra = year - era * 400
        let month = (numbers[1] + 9) % 12
        let dayOfYear = (153 * month + 2) / 5 + numbers[2] - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = era * 146_097 + dayOfEra - 719_468
        return days * 86_400 + numbers[3] * 3_600 + numbers[4] * 60 + numbers[5]
    }
}

/// The middle and the worst of figures, for people.
func medianAndWorst(_ figures: [Double]) -> String {
    guard !figures.isEmpty else { return "none" }
    let sorted = figures.sorted()
    func text(_ figure: Double) -> String { "\((figure * 1_000).rounded() / 1_000) s" }
    return "median \(text(sorted[sorted.count / 2])), worst \(text(sorted[sorted.count - 1]))"
}
