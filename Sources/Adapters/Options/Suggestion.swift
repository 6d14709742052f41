/// What somebody may have meant.
package enum Suggestion {
    /// The candidate that takes the fewest changes of a letter, the first of equals; nil when none
    /// is close enough to be worth a guess.
    package static func nearest(to word: String, among candidates: [String]) -> String? {
        // Nobody means a name by hundreds of letters, and the cost is quadratic.
        let letters = Array(word.lowercased().prefix(100))
        let most = word.count <= 3 ? 1 : word.count <= 6 ? 2 : 3
        var best: (distance: Int, word: String)?
        for candidate in candidates {
            let distance = distance(letters, Array(candidate.lowercased()))
            if distance <= most, distance < best?.distance ?? .max { best = (distance, candidate) }
        }
        return best?.word
    }

    /// Insertions, deletions, replacements and exchanges of neighbours (optimal string alignment).
    package static func distance(_ a: [Character], _ b: [Character]) -> Int {
        var older: [Int] = []
        var old = Array(0...b.count)
        for i in 0..<a.count {
            var new = [i + 1]
            for j in 0..<b.count {
                var least = min(old[j] + (a[i] == b[j] ? 0 : 1), old[j + 1] + 1, new[j] + 1)
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
                    least = min(least, older[j - 1] + 1)
                }
                new.append(least)
            }
            (older, old) = (old, new)
        }
        return old[b.count]
    }
}
