// Two answers to one request, the recorded one and ours, and everything in which they differ.

/// One difference, as it stands in a row of `http-differences.tsv`.
struct Difference: Hashable, Comparable {
    /// Of the request: its line in the record, counted from 1.
    var number: Int
    /// Method and target.
    var request: String
    /// `status`, `header NAME`, `body` (type and text as a whole) or a path into the JSON.
    var place: String
    var recorded: String
    var ours: String

    static func < (a: Difference, b: Difference) -> Bool {
        (a.number, a.place, a.recorded) < (b.number, b.place, b.recorded)
    }

    var cells: String {
        [String(number), request, place, recorded, ours].map(Table.cell).joined(separator: "\t")
    }
}

/// An answer as the record has it, or as it came.
struct ReplayAnswer {
    var status: Int
    /// Names in lower case.
    var headers: [(name: String, value: String)]
    var body: String

    func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }

    /// The body and what it is said to be; the whole of what a `body` row compares.
    var json: RawJSON? {
        header("content-type")?.hasPrefix("application/json") == true ? RawJSON(body) : nil
    }
}

/// Compares answer by answer, in the order of the record, and remembers which of our values stands
/// for which recorded one.
struct Comparison {
    private let rules: MemberRules
    private var number = 0
    private var request = ""
    private var method = ""
    private(set) var differences: [Difference] = []
    /// What no row can explain: a broken form, a wrong order, a body of the wrong length.
    private(set) var faults: [String] = []
    /// Rules that were needed, by line.
    private(set) var used: Set<Int> = []
    private var oursByRecorded: [String: String] = [:]
    private var recordedByOurs: [String: String] = [:]
    /// Dkron's members of a shape, in their order, from the first recorded object of it.
    private var membersByShape: [String: [String]] = [:]

    init(_ rules: MemberRules) { self.rules = rules }

    /// A text of the record with every value that ours stand for put in its place.
    func translated(_ text: String) -> String {
        oursByRecorded.sorted { $0.key < $1.key }.reduce(text) { text, pair in
            text.split(separator: pair.key, omittingEmptySubsequences: false)
                .joined(separator: pair.value)
        }
    }

    mutating func compare(
        _ number: Int, _ method: String, _ target: String, recorded: ReplayAnswer,
        ours: ReplayAnswer
    ) {
        self.number = number
        self.method = method
        request = "\(method) \(target)"
        if recorded.status != ours.status {
            differ("status", "\(recorded.status)", "\(ours.status)")
        }
        compareHeaders(recorded, ours)
        checkLayout(ours, isPretty: target.contains("pretty"))
        if let theirs = recorded.json, let own = ours.json,
            Self.shape(theirs) == Self.shape(own)
        {
            let types = (recorded.header("content-type"), ours.header("content-type"))
            if types.0 != types.1 {
                differ("header content-type", types.0 ?? "absent", types.1 ?? "absent")
            }
            compare(theirs, own, "$", Self.shape(theirs))
        } else {
            let (theirs, own) = (whole(recorded), whole(ours))
            if theirs != own { differ("body", theirs, own) }
        }
    }

    private mutating func differ(_ place: String, _ recorded: String, _ ours: String) {
        differences.append(
            Difference(
                number: number, request: request, place: place, recorded: Table.cell(recorded),
                ours: Table.cell(ours)))
    }

    private mutating func fault(_ text: String) { faults.append("\(number) \(request): \(text)") }

    // MARK: Headers

    private mutating func compareHeaders(_ recorded: ReplayAnswer, _ ours: ReplayAnswer) {
        for (name, value) in recorded.headers where name != "content-type" {
            guard let own = ours.header(name) else {
                differ("header \(name)", value, "absent")
                continue
            }
            if name == "content-length" {
                let length = "\(ours.body.utf8.count)"
                if method != "HEAD", own != length {
                    fault("the content-length is \(own), the body has \(length)")
                }
            } else if own != value {
                differ("header \(name)", value, own)
            }
        }
        for (name, value) in ours.headers
        where recorded.header(name) == nil && name != "content-type" {
            guard name != "content-length" else { continue }
            guard let rule = rules.ours("header").first(where: { $0.member == name }) else {
                differ("header \(name)", "absent", value)
                continue
            }
            used.insert(rule.line)
            if !rule.format.admits(header: value) { fault("\(name): \(value)") }
        }
    }

    // MARK: Bodies

    /// JSON is written in one way, and that way depends on `pretty` alone.
    private mutating func checkLayout(_ answer: ReplayAnswer, isPretty: Bool) {
        guard answer.header("content-type")?.hasPrefix("application/json") == true,
            method != "HEAD"
        else { return }
        guard let json = RawJSON(answer.body) else { return fault("no JSON: \(answer.body)") }
        if json.text(isPretty: isPretty) != answer.body {
            fault("not laid out as it should be: \(answer.body)")
        }
    }

    /// The content type and the text; of JSON with its changing values replaced by their forms.
    private mutating func whole(_ answer: ReplayAnswer) -> String {
        let type = answer.header("content-type") ?? "no type"
        guard let json = answer.json else { return "\(type): \(answer.body)" }
        if let elements = json.elements, Self.shape(json) == "[job]" {
            for element in elements { _ = masked(element, Self.shape(element), "$[]") }
            return "\(type): jobs \(elements.map { $0["name"]?.plain ?? "?" })"
        }
        return "\(type): \(masked(json, Self.shape(json), "$").text())"
    }

    /// What kind of object this is, by members that only this kind has.
    private static func shape(_ json: RawJSON) -> String {
        if let elements = json.elements {
            return "[" + (elements.first.map(shape) ?? "") + "]"
        }
        for (shape, member) in [
            ("error", "code"), ("job", "displayname"), ("execution", "job_name"),
            ("node", "Addr"), ("status", "agent"), ("pause", "paused"),
        ] where json[member] != nil {
            return shape
        }
        return json.members.isEmpty ? "value" : "object"
    }

    /// The object without our members and with the forms of changing values, checked on the way.
    private mutating func masked(
        _ json: RawJSON, _ shape: String, _ place: String
    ) -> RawJSON {
        guard case .object(let members) = json else { return json }
        checkOurs(members, of: shape, place)
        let own = rules.ours(shape).map(\.member)
        let names = members.map(\.name).filter { !own.contains($0) }
        if shape == "job", let theirs = membersByShape[shape], names != theirs {
            fault("\(place): not the members of a job: \(names)")
        }
        return .object(
            members.filter { !own.contains($0.name) }.map { member in
                guard let rule = rules.theirs(shape, member.name),
                    rule.format.admits(member.value)
                else { return member }
                used.insert(rule.line)
                let form = RawJSON.scalar("<\(rule.format.rawValue)>")
                return RawJSON.Member(name: member.name, value: form)
            })
    }

    private mutating func compare(
        _ recorded: RawJSON, _ ours: RawJSON, _ place: String, _ shape: String
    ) {
        switch (recorded, ours) {
        case (.object(let theirs), .object(let own)):
            compareMembers(theirs, own, place, shape)
        case (.array(let theirs), .array(let own)): compareElements(theirs, own, place)
        case (let theirs, let own) where theirs == own: break
        default: differ(place, recorded.text(), ours.text())
        }
    }

    private mutating func compareElements(
        _ recorded: [RawJSON], _ ours: [RawJSON], _ place: String
    ) {
        guard recorded.contains(where: { $0["displayname"] != nil }) else {
            guard recorded.count == ours.count else {
                let (theirs, own) = (RawJSON.array(recorded), RawJSON.array(ours))
                return differ(place, theirs.text(), own.text())
            }
            for (index, pair) in zip(recorded, ours).enumerated() {
                compare(pair.0, pair.1, "\(place)[\(index)]", Self.shape(pair.0))
            }
            return
        }
        // Jobs are known by their names: those of both lists are compared, wherever they stand.
        func names(_ jobs: [RawJSON]) -> [String] { jobs.map { $0["name"]?.plain ?? "?" } }
        if names(recorded) != names(ours) {
            differ("\(place)[].name", "\(names(recorded))", "\(names(ours))")
        }
        for job in ours {
            let name = job["name"]?.plain ?? "?"
            if let same = recorded.first(where: { $0["name"] == job["name"] }) {
                compare(same, job, "\(place)[\(name)]", "job")
            } else {
                _ = masked(job, "job", "\(place)[\(name)]")
            }
        }
    }

    private mutating func compareMembers(
        _ recorded: [RawJSON.Member], _ ours: [RawJSON.Member], _ place: String, _ shape: String
    ) {
        let theirNames = recorded.map(\.name)
        if membersByShape[shape] == nil { membersByShape[shape] = theirNames }
        for member in recorded {
            let path = "\(place).\(member.name)"
            guard let own = ours.first(where: { $0.name == member.name })?.value else {
                differ(path, member.value.text(), "absent")
                continue
            }
            if let rule = rules.theirs(shape, member.name), own != member.value {
                compareByForm(member.value, own, path, rule)
            } else {
                compare(member.value, own, path, "\(shape).\(member.name)")
            }
        }
        let own = rules.ours(shape).map(\.member)
        for member in ours where !theirNames.contains(member.name) && !own.contains(member.name) {
            differ("\(place).\(member.name)", "absent", member.value.text())
        }
        let common = ours.map(\.name).filter(theirNames.contains)
        if common != theirNames.filter({ name in common.contains(name) }) {
            fault("\(place): the members stand in another order: \(common)")
        }
        checkOurs(ours, of: shape, place)
    }

    /// Our members follow Dkron's, in the order of the rules, in the forms of the rules.
    private mutating func checkOurs(
        _ members: [RawJSON.Member], of shape: String, _ place: String
    ) {
        let own = rules.ours(shape)
        let present = own.filter { rule in members.contains { $0.name == rule.member } }
        if members.suffix(present.count).map(\.name) != present.map(\.member) {
            fault("\(place): our members do not follow in order: \(members.map(\.name))")
        }
        for rule in present {
            used.insert(rule.line)
            guard let value = members.first(where: { $0.name == rule.member })?.value else {
                continue
            }
            if !rule.format.admits(value) {
                fault("\(place).\(rule.member): \(value.text()) is no \(rule.format.rawValue)")
            }
        }
    }

    private mutating func compareByForm(
        _ recorded: RawJSON, _ ours: RawJSON, _ path: String, _ rule: MemberRules.Rule
    ) {
        let marked = "<\(rule.format.rawValue)>"
        if rule.format.admits(ours) { used.insert(rule.line) }
        guard rule.format.admits(recorded), rule.format.admits(ours) else {
            let own = rule.format.admits(ours) ? marked : ours.text()
            return differ(path, recorded.text(), own)
        }
        guard rule.isBound, let theirs = recorded.plain, let own = ours.plain else { return }
        let isKnown = oursByRecorded[theirs] != nil || recordedByOurs[own] != nil
        if isKnown {
            // The same run must be meant: its time, its id or its group.
            if oursByRecorded[theirs] != own { differ(path, theirs, marked) }
        } else {
            oursByRecorded[theirs] = own
            recordedByOurs[own] = theirs
        }
    }
}
