// What a node can run and do with outputs: names and settings, out of the tables by which settings
// are read and checked.

extension API {
    func listExecutors(_ call: Call, _ context: APIContext, _ actions: inout [APIAction]) {
        let offers = BuiltInExecutor.allCases.map { ($0.rawValue, $0.table) }
        respond(call, Self.list(offers, call), context, &actions)
    }

    func listProcessors(_ call: Call, _ context: APIContext, _ actions: inout [APIAction]) {
        let offers = BuiltInProcessor.allCases.map { ($0.rawValue, $0.table) }
        respond(call, Self.list(offers, call), context, &actions)
    }

    private static func list(
        _ offers: [(name: String, table: [SettingKey])], _ call: Call
    ) -> Answer {
        var writer = JSONWriter(call.layout)
        writer.beginArray()
        for offer in offers.sorted(by: { $0.name < $1.name }) {
            writer.beginObject()
            writer.member("name", offer.name)
            writer.member("source", "built-in")
            writer.key("settings")
            writer.beginArray()
            for key in offer.table { writer.setting(key) }
            writer.endArray()
            writer.endObject()
        }
        writer.endArray()
        return Answer(200, writer)
    }
}

extension JSONWriter {
    fileprivate mutating func setting(_ key: SettingKey) {
        beginObject()
        member("name", key.name)
        member("type", key.kind.rawValue)
        member("required", key.isRequired)
        if let standard = key.standard { member("default", standard) }
        member("description", key.meaning)
        endObject()
    }
}
