// The nemesis: what a plan does to the machines.

import Core

extension World {
    mutating func act(_ action: Plan.Action) {
        if trace.keepsText { trace.note(time, "plan", action.text) }
        switch action {
        case .request(let client, let draft): submit(draft, client: client)
        case .crash(let target, let kind, let tear, let restart):
            guard let node = resolve(target), allowsFaults else { return }
            crash(node, kind, tear: tear, restartAfter: restart)
        case .stop(let target, let restart): ask(target, .stop, restart)
        case .detach(let target, let restart): ask(target, .detach, restart)
        case .pause(let target, let length):
            guard let node = resolve(target), allowsFaults else { return }
            nodes[node].pausedUntil = time + length
            checkers.didPause(until: time + length)
            nodes[node].busyUntil = max(nodes[node].busyUntil, time + length)
        case .reload(let target, let tags):
            guard let node = resolve(target) else { return }
            let tags = tags?.map { TagEntry(name: $0.name, value: $0.value) }
            // A later life starts with what the configuration says by then.
            if let tags { nodes[node].tags = tags }
            let all = tags.map { $0 + fixedTags(of: node) }
            offer(
                .control(.reload(tags: all, notifications: nil)), to: node,
                life: nodes[node].incarnation)
        case .disk(let target, let fault):
            guard let node = resolve(target), allowsFaults else { return }
            begin(fault, on: node)
        case .clock(let target, let fault):
            guard let node = resolve(target), allowsFaults else { return }
            apply(fault, to: node)
        case .zone(let name, let isPresent):
            if isPresent { zoneFolder.absent.remove(name) } else { zoneFolder.absent.insert(name) }
            checkers.zonesMayBeAbsent()
        case .leave(let target, let restart): ask(target, .leave, restart)
        case .partition(let side, let rest, let direction, let channel, let length):
            if allowsFaults { partition(side, from: rest, direction, on: channel, for: length) }
        case .clog(let from, let to, let length): if allowsFaults { clog(from, to, for: length) }
        case .lossy(let perMille, let length): if allowsFaults { beLossy(perMille, for: length) }
        case .note: break
        }
    }

    private var allowsFaults: Bool { !faultsAreOver }

    private mutating func ask(
        _ target: Plan.Target, _ control: Control, _ restartAfter: Duration
    ) {
        guard let node = resolve(target), allowsFaults else { return }
        nodes[node].restartAfter = restartAfter
        offer(.control(control), to: node, life: nodes[node].incarnation)
    }

    private mutating func begin(_ fault: Plan.DiskFault, on node: Int) {
        let length: Duration?
        switch fault {
        case .full(let duration):
            nodes[node].disk.faults.isFull = true
            length = duration
        case .readOnly(let duration):
            nodes[node].disk.faults.isReadOnly = true
            length = duration
        case .unreadable(let duration):
            nodes[node].disk.faults.failsReads = true
            length = duration
        case .slow(let times, let duration):
            nodes[node].disk.faults.slowness = Int64(times)
            checkers.didSlowDisk(until: time + duration)
            length = duration
        case .low(let duration):
            nodes[node].disk.faults.isLow = true
            checkers.didReportLowDisk()
            queue.push(.endOfFault(node: node, fault), at: time + duration, lane: Lane.plan)
            return
        case .failSync(let directory, let count):
            nodes[node].disk.faults.failingSyncs[directory, default: 0] += count
            length = nil
        case .damage(let directory):
            guard !nodes[node].isRunning, let place = nodes[node].disk.damage(directory) else {
                return
            }
            trace.note(time, nodes[node].name, "damaged: \(place)")
            nodes[node].mayHalt = "damage of \(place)"
            checkers.didDamage(node, place)
            return
        }
        nodes[node].mayHalt = fault.text
        if let length {
            queue.push(.endOfFault(node: node, fault), at: time + length, lane: Lane.plan)
        }
    }

    mutating func endFault(_ node: Int, _ fault: Plan.DiskFault) {
        switch fault {
        case .full: nodes[node].disk.faults.isFull = false
        case .readOnly: nodes[node].disk.faults.isReadOnly = false
        case .low: nodes[node].disk.faults.isLow = false
        case .unreadable: nodes[node].disk.faults.failsReads = false
        case .slow:
            nodes[node].disk.faults.slowness = 1
            checkers.didSlowDisk(until: nodes[node].disk.busyUntil)
        case .failSync, .damage: break
        }
    }

    private mutating func apply(_ fault: Plan.ClockFault, to node: Int) {
        switch fault {
        case .step(let by):
            checkers.didStepClock(by: by, from: nodes[node].clock.wall(at: time), at: time)
            nodes[node].clock.offset = nodes[node].clock.offset + by
        case .slew(let ppm, let length):
            nodes[node].clock.slew(ppm: Int64(ppm), from: time, until: time + length)
        case .strobe(let by, let length):
            nodes[node].clock.strobeBy = by
            nodes[node].clock.strobeUntil = time + length
            checkers.didPause(until: time)
        case .coarse(let step): nodes[node].clock.granularity = step
        case .right:
            let before = nodes[node].clock.error(at: time)
            checkers.didStepClock(
                by: .zero - before, from: nodes[node].clock.wall(at: time), at: time)
            nodes[node].clock.set(offset: .zero)
        }
    }
}
