// What a node can run and do with outputs: names and settings, out of the tables by which settings
// are read and checked.

extension API {
    func listExecutors(_ call: Call, _ context: APIContext, _ actions: inout [APIAction]) {
        let builtIn = BuiltInExecutor.allCases.map { Offer(name: $0.rawValue, table: $0.table) }
        let plugins = config.executors.plugins.map { Offer(name: $0) }
        let offers = (builtIn + plugins).filter { config.executors.allows($0.name) }
        respond(call, Self.list(offers, call), context, &actions)
    }

    func listProcessors(_ call: Call, _ context: APIContext, _ actions: inout [APIAction]) {
        let builtIn = BuiltInProcessor.allCases.map { Offer(name: $0.rawValue, table: $0.table) }
        let plugins = config.pluginProcessors.map { Offer(name: $0) }
        respond(call, Self.list(builtIn + plugins, call), context, &actions)
    }

    private struct Offer {
        var name: String
        /// Nil for plugins, which tell nobody what their settings are.
        var table: [SettingKey]?
    }

    private static func list(_ offers: [Offer], _ call: Call) -> Answer {
        var writer = JSONWriter(call.layout)
        writer.beginArray()
        for offer in offers.sorted(by: { $0.name < $1.name }) {
            writer.beginObject()
            writer.member("name", offer.name)
            writer.member("source", offer.table == nil ? "plugin" : "built-in")
            if let table = offer.table {
                writer.key("settings")
                writer.beginArray()
                for key in table { writer.setting(key) }
                writer.endArray()
            }
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
