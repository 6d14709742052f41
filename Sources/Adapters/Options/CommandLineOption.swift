internal import Core

/// One option, as the command line, the environment, the configuration file and the help know it.
package struct CommandLineOption: Sendable {
    package enum Kind: Sendable {
        /// `--x`, `--x=true`, `--x=false`; never takes the next argument.
        case flag
        /// `--x value`, `--x=value`; the last one counts.
        case value
        /// Like `value`, but may be repeated, and one value may hold several between commas.
        case list
        /// Names with values. Not for the command line.
        case map
    }

    package enum Standing: Sendable {
        case used
        /// Known from Dkron; accepted with a warning, because its effect is not built yet.
        case withoutEffect
        /// Known, and refused because ignoring it would be dangerous. The text says why and what
        /// to do instead.
        case refused(String)
    }

    /// What a value must look like, besides what its use asks for.
    package enum Form: Sendable {
        case text
        case number(ClosedRange<Int64>)
        case duration
        case word([String])
    }

    /// Where an option may stand.
    package struct Places: OptionSet, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }

        package static let commandLine = Places(rawValue: 1)
        package static let environment = Places(rawValue: 2)
        package static let file = Places(rawValue: 4)
        package static let everywhere: Places = [.commandLine, .environment, .file]
    }

    package var name: String
    package var kind: Kind
    package var standing: Standing
    /// What stands for the value in the help, and the line that explains the option.
    package var placeholder: String
    package var help: String
    package var form = Form.text
    /// What holds if the option stands nowhere, in words; empty for nothing.
    package var standard = ""
    package var places = Places.everywhere
    /// Its value is never shown.
    package var isSecret = false

    /// The variable of the environment that stands for it.
    package var variable: String {
        "DKRON_" + String(name.map { $0 == "-" ? "_" : $0 }).uppercased()
    }

    package static func used(
        _ name: String, _ kind: Kind, _ placeholder: String = "", _ help: String,
        standard: String = "", form: Form = .text, places: Places = .everywhere,
        isSecret: Bool = false
    ) -> CommandLineOption {
        CommandLineOption(
            name: name, kind: kind, standing: .used, placeholder: placeholder, help: help,
            form: form, standard: standard, places: places, isSecret: isSecret)
    }

    static func withoutEffect(
        _ kind: Kind, form: Form = .text, places: Places = .everywhere, isSecret: Bool = false,
        _ names: String...
    ) -> [CommandLineOption] {
        names.map {
            CommandLineOption(
                name: $0, kind: kind, standing: .withoutEffect, placeholder: "", help: "",
                form: form, places: places, isSecret: isSecret)
        }
    }

    static func refused(
        _ why: String, _ kind: Kind, places: Places = .everywhere, _ names: String...
    ) -> [CommandLineOption] {
        names.map {
            CommandLineOption(
                name: $0, kind: kind, standing: .refused(why), placeholder: "", help: "",
                places: places, isSecret: true)
        }
    }

    /// Reads a boolean in the forms that Go's library reads; nil if it is none.
    static func boolean(_ text: String) -> Bool? {
        switch text {
        case "true", "True", "TRUE", "t", "T", "1": true
        case "false", "False", "FALSE", "f", "F", "0": false
        default: nil
        }
    }

    /// Checks a value. `subject` names the option where it stands.
    func check(_ value: String, _ subject: String) throws(UsageError) {
        guard !value.utf8.contains(0) else { throw UsageError("\(subject) holds a zero byte") }
        switch form {
        case .text: break
        case .number(let range):
            guard let number = Int64(value), range.contains(number) else {
                throw UsageError(
                    "\(subject) must be a number from \(range.lowerBound) to "
                        + "\(range.upperBound), not \"\(value)\"")
            }
        case .duration:
            let duration: Duration
            do { duration = try DurationText.parse(value) } catch {
                throw UsageError("\(subject): \(error)")
            }
            guard duration >= .zero else {
                throw UsageError("\(subject) must not be negative, as \"\(value)\" is")
            }
        case .word(let words):
            guard words.contains(value) else {
                let choice = words.dropLast().joined(separator: ", ") + " or " + (words.last ?? "")
                throw UsageError("\(subject) must be \(choice), not \"\(value)\"")
            }
        }
    }
}
