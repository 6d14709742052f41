// Addresses that are found when the node starts: `{{ GetPrivateIP }}:8946`. The functions are those
// of go-sockaddr's templates, as its documentation describes them.

/// A text in which `{{ … }}` stands for addresses of this machine.
package enum AddressTemplate {
    package static func isTemplate(_ text: String) -> Bool { text.contains("{{") }

    /// Replaces what stands in double braces.
    ///
    /// Errors: a template that is not understood, one that finds nothing, one that finds several
    /// addresses.
    package static func evaluate(
        _ text: String, over addresses: [HostAddress]
    ) throws(UsageError) -> String {
        var result = ""
        var rest = text[...]
        while let start = rest.range(of: "{{") {
            result += rest[..<start.lowerBound]
            rest = rest[start.upperBound...]
            guard let end = rest.range(of: "}}") else {
                throw UsageError("the }} is missing in \(text)")
            }
            let source = rest[..<end.lowerBound]
            rest = rest[end.upperBound...]
            var pipeline = AddressPipeline(addresses)
            let found = try pipeline.evaluate(source)
            guard !found.isEmpty else {
                throw UsageError(
                    "the template {{\(source)}} finds no address on this machine; write the "
                        + "address itself")
            }
            // Without brackets the port behind it could not be told from the address.
            let isBare = found.split(separator: ":").count > 1 && !result.hasSuffix("[")
            result += isBare && rest.hasPrefix(":") ? "[\(found)]" : found
        }
        result += rest
        guard !result.contains(" ") else {
            throw UsageError(
                "the template \(text) finds several addresses (\(result)); choose one of them, for "
                    + "instance by | limit 1")
        }
        return result
    }
}

extension Substring {
    /// The first occurrence of an ASCII text.
    fileprivate func range(of text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) {
                return start..<index(start, offsetBy: text.count)
            }
            start = index(after: start)
        }
        return nil
    }
}

/// The words of a template between the braces, split at `|`.
struct TemplateWords {
    /// A function with its arguments, quotes removed.
    var calls: [[String]] = [[]]

    init(_ source: Substring) throws(UsageError) {
        var rest = source.unicodeScalars[...]
        // `{{-` and `-}}` remove white space around the braces, of which addresses have none.
        if rest.first == "-" { rest.removeFirst() }
        if rest.last == "-" { rest.removeLast() }
        while let first = rest.first {
            switch first {
            case " ", "\t": rest.removeFirst()
            case "|":
                rest.removeFirst()
                calls.append([])
            case "\"", "`": calls[calls.count - 1].append(try Self.quoted(&rest, in: source))
            default:
                let word = rest.prefix { !" \t|\"`".unicodeScalars.contains($0) }
                let isPlain = word.allSatisfy {
                    $0.properties.isAlphabetic || "0123456789+-_".unicodeScalars.contains($0)
                }
                guard isPlain else {
                    throw UsageError(
                        "\(word) is not understood in the template {{\(source)}}; only functions "
                            + "joined by | are")
                }
                calls[calls.count - 1].append(String(word))
                rest.removeFirst(word.count)
            }
        }
        guard calls.allSatisfy({ !$0.isEmpty }) else {
            throw UsageError("a function is missing in the template {{\(source)}}")
        }
    }

    private static func quoted(
        _ rest: inout Substring.UnicodeScalarView, in source: Substring
    ) throws(UsageError) -> String {
        let quote = rest.removeFirst()
        var text = ""
        while let next = rest.popFirst() {
            if next == quote { return text }
            // `\.` is no escape of Go, but what people write for a regular expression.
            if next == "\\", quote == "\"", let escaped = rest.first,
                "\\\"".contains(String(escaped))
            {
                text.unicodeScalars.append(escaped)
                rest.removeFirst()
            } else {
                text.unicodeScalars.append(next)
            }
        }
        throw UsageError("a quote is not closed in the template {{\(source)}}")
    }
}
