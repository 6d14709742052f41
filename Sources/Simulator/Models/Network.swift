// What lies between nodes: a directed link for each pair, over which messages travel as bytes.
// They get lost, come twice, late and out of order; a link can be cut, or hold everything up until
// a moment. What was under way survives the death of either side.

import Core

struct Network: Sendable {
    private struct Link: Sendable {
        var delays: DrawStream
        var fates: DrawStream
        /// No two links are equally long.
        var base: Duration
        var lastArrival = TrueTime.zero
        /// How many partitions cut it now.
        var cuts = 0
        var cloggedUntil = TrueTime.zero
    }

    /// What becomes of messages, where a plan does not say more.
    struct Weather: Sendable {
        var least: Duration
        var mean: Duration
        /// One message in so many takes 20 to 200 times as long; 0 for none.
        var tailOneIn: UInt64
        /// Lost and repeated, of a thousand.
        var loss: UInt64
        var duplication: UInt64
        /// Messages of one link overtake each other.
        var reorders: Bool
    }

    /// Nothing is under way for longer: by then the connection that carried it is given up.
    static let oldest = Duration.seconds(25)
    /// The slowest mean of peaceful times: elections take half a second.
    static let calmMean = Duration.milliseconds(20)

    /// What travels: messages of peers and gossip each have links of their own. A firewall may
    /// stop one and not the other.
    enum Channel: Int, CaseIterable, Sendable { case peers, gossip }

    private let count: Int
    private var links: [Link]
    private var weather: Weather
    /// Losses of a thousand until then.
    private var burst: (loss: UInt64, until: TrueTime) = (0, .zero)

    init(nodes: Int, draws: Draws, weather: Weather) {
        count = nodes
        self.weather = weather
        links = (0..<2 * nodes * nodes).map { place in
            let number = place % (nodes * nodes)
            let channel = place == number ? "net" : "gossip"
            let path = "\(channel)/\(number / nodes + 1)-\(number % nodes + 1)"
            var base = draws.stream(path + "/base")
            return Link(
                delays: draws.stream(path + "/delay"), fates: draws.stream(path + "/fate"),
                base: weather.least + base.exponential(weather.least))
        }
    }

    /// What becomes of one message.
    struct Passage {
        /// When it arrives, once, twice or never.
        var arrivals: [TrueTime] = []
        /// It did not arrive once and in time.
        var isDisturbed = false
    }

    private func place(_ from: Int, _ to: Int, _ channel: Channel) -> Int {
        (channel.rawValue * count + from) * count + to
    }

    mutating func pass(
        from: Int, to: Int, on channel: Channel, at time: TrueTime
    ) -> Passage {
        let place = place(from, to, channel)
        var link = links[place]
        defer { links[place] = link }
        guard link.cuts == 0 else { return Passage(isDisturbed: true) }
        var loss = weather.loss
        if time < burst.until { loss = max(loss, burst.loss) }
        if loss > 0, link.fates.chance(loss, 1_000) { return Passage(isDisturbed: true) }
        var delay = link.base + link.delays.exponential(weather.mean)
        var passage = Passage()
        if weather.tailOneIn > 0, link.fates.chance(1, weather.tailOneIn) {
            delay = delay * Int64(link.fates.int(20...200))
        }
        var arrival = max(
            time + min(delay, Self.oldest), min(link.cloggedUntil, time + Self.oldest))
        if !weather.reorders { arrival = max(arrival, link.lastArrival) }
        link.lastArrival = max(link.lastArrival, arrival)
        passage.isDisturbed = arrival - time > .seconds(1)
        passage.arrivals.append(arrival)
        if weather.duplication > 0, link.fates.chance(weather.duplication, 1_000) {
            passage.isDisturbed = true
            passage.arrivals.append(
                time + link.fates.logScale(.milliseconds(1), Self.oldest))
        }
        return passage
    }

    /// When what is sent over a stream is there: what gets lost is sent again.
    /// - Returns: nil if nothing passes in this direction, or comes back.
    mutating func carry(from: Int, to: Int, on channel: Channel, at time: TrueTime) -> TrueTime? {
        guard !isCut(from: from, to: to, on: channel), !isCut(from: to, to: from, on: channel)
        else { return nil }
        let place = place(from, to, channel)
        let link = links[place]
        var delay = link.base
        for _ in 0..<3 { delay = delay + links[place].delays.exponential(weather.mean) }
        var loss = weather.loss
        if time < burst.until { loss = max(loss, burst.loss) }
        while loss > 0, delay < Self.oldest, links[place].fates.chance(loss, 1_000) {
            delay = delay + max(delay, .milliseconds(200))
        }
        return max(time + delay, min(link.cloggedUntil, time + Self.oldest))
    }

    func isCut(from: Int, to: Int, on channel: Channel) -> Bool {
        links[place(from, to, channel)].cuts > 0
    }

    /// Cuts the links between two sides.
    /// - Returns: what `heal` takes.
    mutating func cut(
        _ side: [Int], from rest: [Int], _ direction: Plan.Direction,
        on channels: [Channel] = Channel.allCases
    ) -> [Int] {
        var cut: [Int] = []
        for channel in channels {
            for a in side {
                for b in rest where a != b {
                    if direction != .inward { cut.append(place(a, b, channel)) }
                    if direction != .outward { cut.append(place(b, a, channel)) }
                }
            }
        }
        for link in cut { links[link].cuts += 1 }
        return cut
    }

    mutating func heal(_ cut: [Int]) {
        for link in cut { links[link].cuts = max(0, links[link].cuts - 1) }
    }

    mutating func clog(from: Int, to: Int, until: TrueTime) {
        for channel in Channel.allCases { links[place(from, to, channel)].cloggedUntil = until }
    }

    mutating func beLossy(_ loss: UInt64, until: TrueTime) { burst = (loss, until) }

    /// Peace: every link works and is quick.
    mutating func becomeCalm() {
        burst = (0, .zero)
        weather.loss = 0
        weather.duplication = 0
        weather.tailOneIn = 0
        weather.reorders = false
        weather.mean = min(weather.mean, Self.calmMean)
        for index in links.indices {
            links[index].cuts = 0
            links[index].cloggedUntil = .zero
            links[index].base = min(links[index].base, Self.calmMean)
        }
    }
}
