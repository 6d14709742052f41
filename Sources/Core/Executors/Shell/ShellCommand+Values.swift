/// Sizes as people write them in `mem_limit`: whole bytes (`1048576`), or a decimal number with a
/// unit (`512mb`, `1.5G`), powers of 1024, upper or lower case.
enum ByteCountText {
    /// Greater than 0 and below 2^63. Fractions of a byte are cut.
    static func parse(_ text: String) throws(TextError) -> UInt64 {
        let bytes = Array(text.utf8)
        let number = bytes.prefix { $0 >= 0x30 && $0 <= 0x39 }
        var position = number.count
        var fraction: ArraySlice<UInt8> = []
        let hasPoint = position < bytes.count && bytes[position] == 0x2E
        if hasPoint {
            fraction = bytes[(position + 1)...].prefix { $0 >= 0x30 && $0 <= 0x39 }
            position = fraction.endIndex
        }
        guard !number.isEmpty || !fraction.isEmpty else { throw TextError(column: 1, form) }
        let unit = String(decoding: bytes[position...], as: UTF8.self).uppercased()
        guard let factor = factor(unit), !(hasPoint && unit.isEmpty) else {
            throw TextError(column: column(atByte: position, of: bytes.span), form)
        }
        let whole = value(number)
        let (product, overflow) = whole.value.multipliedReportingOverflow(by: factor)
        // Eighteen digits of a fraction are finer than a byte in every unit.
        let part = value(fraction.prefix(18))
        let share = part.scale.dividingFullWidth(part.value.multipliedFullWidth(by: factor))
        let (sum, carry) = product.addingReportingOverflow(share.quotient)
        guard !whole.overflow, !overflow, !carry, sum < 1 << 63 else {
            throw TextError(column: 1, "the size is too large; it must be below 2^63 bytes")
        }
        guard sum > 0 else { throw TextError(column: 1, "the size must be greater than 0") }
        return sum
    }

    private static func factor(_ unit: String) -> UInt64? {
        switch unit {
        case "", "B", "BYTES": 1
        case "K", "KB": 1 << 10
        case "M", "MB": 1 << 20
        case "G", "GB": 1 << 30
        case "T", "TB": 1 << 40
        default: nil
        }
    }

    private static func value(
        _ digits: ArraySlice<UInt8>
    ) -> (value: UInt64, scale: UInt64, overflow: Bool) {
        var value: UInt64 = 0
        var scale: UInt64 = 1
        for digit in digits {
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt64(digit - 0x30))
            guard !overflow, !carry else { return (0, 1, true) }
            value = sum
            // Only fractions use it, and they have few enough digits.
            scale &*= 10
        }
        return (value, scale, false)
    }

    private static let form =
        "a size is whole bytes, or a number with B, KB, MB, GB or TB and no space, such as 512MB"
}
