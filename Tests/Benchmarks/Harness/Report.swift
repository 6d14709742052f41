// The lines that a benchmark of the whole server prints, each with what was wanted.

import Core
import Glibc

/// What a figure has to be.
enum Target {
    case atLeast(Double)
    case atMost(Double)

    func isMet(by value: Double) -> Bool {
        switch self {
        case .atLeast(let limit): value >= limit
        case .atMost(let limit): value <= limit
        }
    }

    var text: String {
        switch self {
        case .atLeast(let limit): "wanted at least \(short(limit))"
        case .atMost(let limit): "wanted at most \(short(limit))"
        }
    }
}

/// Prints a rate beside the rate that is possible at best. Both alternated in rounds; the ratio is
/// the median of the rounds' ratios, because a machine may slow down in the middle of them all.
func reportRatio(
    _ name: String, _ rates: [Double], of ceiling: String, _ ceilings: [Double],
    _ target: Target?
) {
    let ratio = median(zip(rates, ceilings).map { $1 > 0 ? $0 / $1 : 0 })
    print(
        "  \(name): \(short(median(rates)))/s; \(ceiling): \(short(median(ceilings)))/s;"
            + " ratio \(short(ratio))\(verdict(ratio, target))")
}

/// What was wanted and whether it was reached, behind a figure; nothing where nothing was wanted.
private func verdict(_ value: Double, _ target: Target?) -> String {
    target.map { ", \($0.text): \($0.isMet(by: value) ? "met" : "MISSED")" } ?? ""
}

func reportFigure(_ name: String, _ value: Double, _ unit: String, _ target: Target? = nil) {
    print("  \(name): \(short(value)) \(unit)\(verdict(value, target))")
}

func reportNote(_ text: String) { print("  \(text)") }

/// Goes to standard error, where it does not mix with figures; those so far are shown first.
func progress(_ text: String) {
    fflush(nil)
    let line = Array("... \(text)\n".utf8)
    _ = line.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
}

/// Three digits, or more before the point.
func short(_ value: Double) -> String {
    let magnitude = abs(value)
    let digits = magnitude >= 100 ? 0 : magnitude >= 10 ? 1 : magnitude >= 1 ? 2 : 3
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let scaled = Int((magnitude * scale).rounded())
    let sign = value < 0 && scaled > 0 ? "-" : ""
    guard digits > 0 else { return "\(sign)\(scaled)" }
    let fraction = "\(scaled % Int(scale))"
    let zeros = String(repeating: "0", count: digits - fraction.utf8.count)
    return "\(sign)\(scaled / Int(scale)).\(zeros)\(fraction)"
}

func median(_ values: [Double]) -> Double { quantile(values.sorted(), 0.5) }

/// - Parameter sorted: ascending.
func quantile(_ sorted: [Double], _ share: Double) -> Double {
    guard !sorted.isEmpty else { return 0 }
    return sorted[min(Int(Double(sorted.count) * share), sorted.count - 1)]
}

/// Prints the middle, the tail and the end of a distribution of milliseconds, and judges the tail.
func reportSpread(_ name: String, _ milliseconds: [Double], _ target: Target? = nil) {
    let sorted = milliseconds.sorted()
    let tail = quantile(sorted, 0.99)
    print(
        "  \(name): p50 \(short(quantile(sorted, 0.5))) ms, p99 \(short(tail)) ms,"
            + " max \(short(sorted.last ?? 0)) ms of \(sorted.count)"
            + (target == nil ? "" : "; p99" + verdict(tail, target)))
}

func mebibytes(_ bytes: Int) -> Double { Double(bytes) / 1_048_576 }
