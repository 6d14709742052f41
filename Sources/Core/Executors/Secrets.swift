// Secrets of executors: a setting names them, and only the node that runs the job ever has them.
// What the cluster stores, replicates and shows is `${secret:NAME}`.

/// References to secrets in the value of a setting. `$${secret:` stands for those bytes themselves.
package enum SecretReference {
    private static let opening = "${secret:"
    /// The most bytes of a name.
    static let longestName = 128

    private enum Piece {
        case text(Substring)
        case name(String)
    }

    /// Whether a text names a secret, or means to. Linear.
    package static func occurs(in text: String) -> Bool { firstOpening(in: text[...]) != nil }

    /// By bytes, since whole jobs are searched on every save and characters cost ten times as much.
    private static func firstOpening(in text: Substring) -> Range<String.Index>? {
        var rest = text.utf8
        while let dollar = rest.firstIndex(of: UInt8(ascii: "$")) {
            rest = rest[dollar...]
            if rest.starts(with: opening.utf8) {
                return dollar..<rest.index(dollar, offsetBy: opening.utf8.count)
            }
            rest = rest.dropFirst()
        }
        return nil
    }

    /// The names, in the order of their first occurrence.
    ///
    /// Errors: a reference without an end, or with a name that can't be one, and its column.
    package static func names(in text: String) throws(TextError) -> [String] {
        var names: [String] = []
        for case .name(let name) in try pieces(of: text) where !names.contains(name) {
            names.append(name)
        }
        return names
    }

    /// The text with values in the place of names; a name without a value stays.
    static func fill(_ text: String, _ values: [Setting]) throws(TextError) -> String {
        guard occurs(in: text) else { return text }
        var filled = ""
        for piece in try pieces(of: text) {
            switch piece {
            case .text(let text): filled += text
            case .name(let name):
                filled += values.first { $0.name == name }?.value ?? "\(opening)\(name)}"
            }
        }
        return filled
    }

    /// Letters, digits, `_`, `-` and `.`, which does not come first: a name is a file's too.
    package static func isName(_ text: Substring) -> Bool {
        guard let first = text.utf8.first, first != 0x2e, text.utf8.count <= longestName else {
            return false
        }
        return text.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x5f, 0x2d, 0x2e: true
            default: false
            }
        }
    }

    private static func pieces(of text: String) throws(TextError) -> [Piece] {
        var pieces: [Piece] = []
        var rest = text[...]
        while let range = firstOpening(in: rest) {
            let before = rest[..<range.lowerBound]
            if before.utf8.last == UInt8(ascii: "$") {
                pieces.append(.text(Substring(before.utf8.dropLast())))
                pieces.append(.text(rest[range]))
                rest = rest[range.upperBound...]
                continue
            }
            pieces.append(.text(before))
            let column = text.utf8.distance(from: text.startIndex, to: range.lowerBound) + 1
            let end = rest.utf8[range.upperBound...].firstIndex(of: UInt8(ascii: "}"))
            guard let end, isName(rest[range.upperBound..<end]) else {
                throw TextError(
                    column: column,
                    "\"${secret:\" must be followed by a name and \"}\"; a name has letters, "
                        + "digits, _, - and . (write $${secret: for the text itself)")
            }
            pieces.append(.name(String(rest[range.upperBound..<end])))
            rest = rest[rest.utf8.index(after: end)...]
        }
        pieces.append(.text(rest))
        return pieces
    }
}

// All the settings of an executor or a processor.
extension SecretReference {
    /// The secrets that settings name, each once. A malformed name is none: it is refused when the
    /// job is saved, and named when they are filled in.
    static func names(in settings: [Setting]) -> [String] {
        var names: [String] = []
        for setting in settings {
            for name in (try? self.names(in: setting.value)) ?? [] where !names.contains(name) {
                names.append(name)
            }
        }
        return names
    }

    /// The settings with values in the place of names.
    static func fill(
        _ settings: [Setting], _ values: [Setting]
    ) throws(ExecutorSettingError) -> [Setting] {
        var filled = settings
        for (index, setting) in settings.enumerated() {
            do throws(TextError) { filled[index].value = try fill(setting.value, values) } catch {
                throw ExecutorSettingError(key: setting.name, message: error.description)
            }
        }
        return filled
    }

    /// Refuses malformed references, and what `read` refuses. What a secret is part of is left to
    /// the node that has it. Linear in their size.
    static func check(
        _ settings: [Setting], _ read: () throws(ExecutorSettingError) -> Void
    ) throws(ExecutorSettingError) {
        _ = try fill(settings, [])
        do throws(ExecutorSettingError) { try read() } catch {
            let value = settings.last { $0.name == error.key }?.value ?? ""
            guard occurs(in: value) else { throw error }
        }
    }
}

/// What came of reading the secrets of an execution.
package enum SecretsAnswer: Hashable, Sendable {
    /// A value for each name that was asked for.
    case read([Setting])
    /// A sentence without the full stop.
    case failed(String)
}

/// Hides secrets in what is printed, also where a piece of output ends in the middle of one.
/// Values of fewer than four bytes are not hidden: every other word would be.
struct SecretMask: Sendable {
    private let values: [[UInt8]]
    /// Which bytes begin a value.
    private let beginsValue: [Bool]
    /// The end of what was printed, if a value may begin there.
    private var held: [UInt8] = []

    static let shortest = 4
    private static let mask = Array("***".utf8)

    init(_ secrets: [Setting]) {
        // Of two that begin alike the longer one is looked for first.
        values = secrets.map { Array($0.value.utf8) }.filter { $0.count >= Self.shortest }
            .sorted { $0.count > $1.count }
        var beginsValue = [Bool](repeating: false, count: 256)
        for value in values { beginsValue[Int(value[0])] = true }
        self.beginsValue = beginsValue
    }

    /// What may be shown now. Less than a secret's length is held back. O(bytes) but for the places
    /// that begin like a secret.
    mutating func take(_ bytes: [UInt8]) -> [UInt8] {
        if values.isEmpty { return bytes }
        let (shown, rest) = hide(in: held + bytes, isWhole: false)
        held = rest
        return shown
    }

    /// Nothing more comes: what was held back.
    mutating func finish() -> [UInt8] {
        defer { held = [] }
        return hide(in: held, isWhole: true).shown
    }

    func hide(in text: String) -> String {
        String(decoding: hide(in: Array(text.utf8), isWhole: true).shown, as: UTF8.self)
    }

    /// - Returns: also what may be the beginning of a secret, if there may be more.
    private func hide(
        in bytes: [UInt8], isWhole: Bool
    ) -> (shown: [UInt8], rest: [UInt8]) {
        var shown: [UInt8] = []
        shown.reserveCapacity(bytes.count)
        var place = 0
        while place < bytes.count {
            let rest = bytes[place...]
            guard beginsValue[Int(bytes[place])] else {
                shown.append(bytes[place])
                place += 1
                continue
            }
            if !isWhole, values.contains(where: { $0.count > rest.count && $0.starts(with: rest) })
            {
                return (shown, Array(rest))
            }
            if let value = values.first(where: { rest.starts(with: $0) }) {
                shown += Self.mask
                place += value.count
            } else {
                shown.append(bytes[place])
                place += 1
            }
        }
        return (shown, [])
    }
}
