// HTTP requests of a node: the client lives and pauses with the process.

import Core

extension World {
    mutating func stepWeb(_ index: Int, _ life: UInt64, _ step: WebStep) {
        guard nodes[index].isRunning, nodes[index].incarnation == life else { return }
        guard time >= nodes[index].pausedUntil, nodes[index].heldWeb.isEmpty else {
            if nodes[index].heldWeb.isEmpty { wakeWeb(index, at: nodes[index].pausedUntil) }
            nodes[index].heldWeb.append(step)
            return
        }
        performWeb(index, step)
    }

    /// What reached a paused process waits in its sockets, and in their order.
    mutating func resumeWeb(_ index: Int, _ life: UInt64) {
        guard nodes[index].isRunning, nodes[index].incarnation == life else { return }
        guard time >= nodes[index].pausedUntil else {
            return wakeWeb(index, at: nodes[index].pausedUntil)
        }
        let held = nodes[index].heldWeb
        nodes[index].heldWeb.removeAll()
        for step in held { performWeb(index, step) }
    }

    mutating func wakeWeb(_ index: Int, at time: TrueTime) {
        queue.push(
            .webWake(node: index, life: nodes[index].incarnation), at: time,
            lane: Lane.web(index))
    }

    private mutating func performWeb(_ index: Int, _ step: WebStep) {
        nodes[index].web.step(
            step, at: time, now: nodes[index].clock.now(at: time),
            agentLife: nodes[index].incarnation,
            log: &runLog, into: &webOut)
        flushWeb(index)
    }

    mutating func flushWeb(_ index: Int) {
        let life = nodes[index].incarnation
        for later in webOut.later {
            queue.push(
                .web(node: index, life: life, later.step), at: later.time, lane: Lane.web(index))
        }
        for (execution, event) in webOut.news {
            queue.push(
                .input(node: index, life: life, .call(execution, event)),
                at: time + .microseconds(20), lane: Lane.web(index))
        }
        for complaint in webOut.complaints { fail(.X18, complaint) }
        webOut.later.removeAll(keepingCapacity: true)
        webOut.news.removeAll(keepingCapacity: true)
        webOut.complaints.removeAll()
        if let deadline = nodes[index].web.newDeadline() {
            queue.push(
                .web(node: index, life: life, .deadline(deadline)),
                at: max(time, nodes[index].clock.trueTime(of: deadline)), lane: Lane.web(index))
        }
        checkers.didRun(runLog, at: time)
    }
}
