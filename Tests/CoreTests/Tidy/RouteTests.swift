// What the API answers and what its page says it answers are the same.

import Testing

@testable import Core

@Suite("Tidy: routes")
struct RouteTests {
    @Test("docs/api.md lists every route of the router, and no other")
    func routes() {
        let answered = Route.table.map { "\($0.method.description) \($0.pattern)" }
        #expect(Self.documented().sorted() == answered.sorted())
        #expect(Set(answered).count == answered.count)
    }

    /// `METHOD path` of the rows `| METHOD | `path` | …`.
    private static func documented() -> [String] {
        SourceTree.text("docs/api.md").split(separator: "\n").compactMap { line in
            let cells = line.split(separator: "|").map { $0.drop { $0 == " " } }
            guard cells.count == 3, cells[1].hasPrefix("`/"),
                let method = cells[0].split(separator: " ").first
            else { return nil }
            return "\(method) \(cells[1].dropFirst().prefix { $0 != "`" })"
        }
    }
}
