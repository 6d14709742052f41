// Servers and plugins of a node: whoever speaks with them lives and pauses with the process.

import Core

extension World {
    private func moment(_ index: Int) -> Moment {
        Moment(
            time: time, now: nodes[index].clock.now(at: time),
            agentLife: nodes[index].incarnation)
    }

    mutating func performOutside(_ effect: Effect, of index: Int) {
        nodes[index].outside.perform(effect, moment(index), log: &runLog, into: &outsideOut)
        flushOutside(index)
    }

    mutating func startPlugins(_ index: Int) {
        nodes[index].outside.plugins.start(moment(index), log: &runLog, into: &outsideOut)
        flushOutside(index)
    }

    mutating func stepOutside(_ index: Int, _ life: UInt64, _ step: OutsideStep) {
        guard nodes[index].isRunning, nodes[index].incarnation == life else { return }
        guard time >= nodes[index].pausedUntil, nodes[index].heldSteps.isEmpty else {
            if nodes[index].heldSteps.isEmpty { wakeOutside(index, at: nodes[index].pausedUntil) }
            nodes[index].heldSteps.append(step)
            return
        }
        take(step, index)
    }

    /// What reached a paused process waits in its sockets, and in their order.
    mutating func resumeOutside(_ index: Int, _ life: UInt64) {
        guard nodes[index].isRunning, nodes[index].incarnation == life else { return }
        guard time >= nodes[index].pausedUntil else {
            return wakeOutside(index, at: nodes[index].pausedUntil)
        }
        let held = nodes[index].heldSteps
        nodes[index].heldSteps.removeAll()
        for step in held { take(step, index) }
    }

    mutating func wakeOutside(_ index: Int, at time: TrueTime) {
        queue.push(
            .outsideWake(node: index, life: nodes[index].incarnation), at: time,
            lane: Lane.outside(index))
    }

    private mutating func take(_ step: OutsideStep, _ index: Int) {
        nodes[index].outside.step(step, moment(index), log: &runLog, into: &outsideOut)
        flushOutside(index)
    }

    mutating func flushOutside(_ index: Int) {
        let life = nodes[index].incarnation
        let lane = Lane.outside(index)
        for later in outsideOut.later {
            queue.push(
                .outside(node: index, life: life, later.step), at: later.time, lane: lane)
        }
        for (execution, event) in outsideOut.news {
            queue.push(
                .input(node: index, life: life, .call(execution, event)),
                at: time + .microseconds(20), lane: lane)
        }
        for complaint in outsideOut.complaints { fail(complaint.id, complaint.words) }
        statistics.peerMarks |= outsideOut.marks
        outsideOut.clear()
        for (deadline, step) in nodes[index].outside.newDeadlines() {
            queue.push(
                .outside(node: index, life: life, step),
                at: max(time, nodes[index].clock.trueTime(of: deadline)), lane: lane)
        }
        checkers.didRun(runLog, at: time)
    }
}
