// Importing an export: read and checked a slice at a time, staged in parts through the log, and
// made effective by one commit, so that all of it or nothing is imported.

extension API {
    mutating func startRestore(
        _ call: Call, _ context: APIContext, _ actions: inout [APIAction]
    ) throws(APIError) {
        guard restore == nil else {
            throw APIError(
                503, "busy", "Another restore is under way; try again when it has ended.",
                retryAfter: 5)
        }
        restoreCount += 1
        let id = PRNG.mix(config.incarnation &+ restoreCount)
        let job = try RestoreJob(call, id: id)
        try wait(call.id, for: .restore)
        restore = job
        enqueue(call.id)
    }

    /// Does one slice.
    mutating func advanceRestore(_ context: APIContext, _ actions: inout [APIAction]) {
        guard let call = restore?.call, restore?.awaitedZone == nil,
            restore?.isCommitting == false
        else { return }
        if restore?.isRead == true { return commitRestore(context, &actions) }
        guard restore?.inFlight ?? 0 < RestoreJob.pipeline else { return }
        do throws(APIError) {
            guard let step = try restore?.advance(context) else { return }
            switch step {
            case .again: enqueue(call.id)
            case .needsZone(let zone): actions.append(.loadZone(zone))
            case .part(let jobs), .finished(let jobs):
                stage(jobs, call, &actions)
                enqueue(call.id)
            }
        } catch {
            failRestore(error, context, &actions)
        }
    }

    private mutating func stage(
        _ jobs: [RestoredJob], _ call: Call, _ actions: inout [APIAction]
    ) {
        guard let id = restore?.id, restore?.options.isDryRun == false, !jobs.isEmpty else {
            return
        }
        restore?.parts += 1
        restore?.inFlight += 1
        propose(.restorePart(id: id, jobs: jobs), .restorePart, onBehalfOf: call, &actions)
    }

    private mutating func commitRestore(_ context: APIContext, _ actions: inout [APIAction]) {
        guard let job = restore, job.inFlight == 0 else { return }
        if job.options.isDryRun {
            do throws(APIError) {
                try job.checkParents(context)
            } catch {
                return failRestore(error, context, &actions)
            }
            return finishRestore(
                job.created, job.updated, job.unchanged, context, &actions)
        }
        if job.options.isPaused, !job.hasPaused, !context.store.cluster.isPaused {
            restore?.hasPaused = true
            restore?.inFlight += 1
            return propose(
                .pause(editsAllowed: true), .restorePart, onBehalfOf: job.call, &actions)
        }
        restore?.isCommitting = true
        propose(
            .restoreCommit(id: job.id, parts: job.parts), .restoreCommit, onBehalfOf: job.call,
            &actions)
    }

    mutating func concludeRestore(
        _ made: Proposal, _ result: ApplyResult, _ context: APIContext,
        _ actions: inout [APIAction]
    ) {
        if case .restoreAbandon = made.intent { return }
        guard restore?.call.id == made.call.id else { return }
        guard case .restoreCommit = made.intent else {
            restore?.inFlight -= 1
            return enqueue(made.call.id)
        }
        switch result {
        case .restored(let created, let updated, let unchanged):
            log(
                "jobs restored", made.call,
                [
                    .init("created", "\(created)"), .init("updated", "\(updated)"),
                    .init("unchanged", "\(unchanged)"),
                    .init("paused", restore?.hasPaused == true ? "true" : "false"),
                ], &actions)
            finishRestore(Int(created), Int(updated), Int(unchanged), context, &actions)
        case .rejected(let rejection):
            // Whose parent it was, the rejection of a whole file does not tell.
            let error = APIError(rejection, job: JobName("…"))
            restore?.isCommitting = false
            failRestore(error.asRestoreError, context, &actions)
        case .applied, .stored, .launched, .rewound:
            invariant(false, "a restore is done or rejected")
        }
    }

    /// Answers with the error, and takes back what was staged.
    mutating func failRestore(
        _ error: APIError, _ context: APIContext, _ actions: inout [APIAction]
    ) {
        guard let job = restore else { return }
        undoRestore(job, &actions)
        if pending.remove(job.call.id) != nil {
            respond(job.call, Answer(error, layout: job.call.layout), context, &actions)
        }
    }

    /// The client is gone: a commit under way goes on, everything else is taken back.
    mutating func abandonRestore(_ actions: inout [APIAction]) {
        guard let job = restore, !job.isCommitting else { return }
        undoRestore(job, &actions)
    }

    private mutating func undoRestore(_ job: RestoreJob, _ actions: inout [APIAction]) {
        restore = nil
        if job.parts > 0 {
            propose(
                .restoreAbandon(id: job.id), .restoreAbandon, onBehalfOf: job.call, &actions)
        }
        if job.hasPaused { propose(.unpause, .restoreAbandon, onBehalfOf: job.call, &actions) }
    }

    private mutating func finishRestore(
        _ created: Int, _ updated: Int, _ unchanged: Int, _ context: APIContext,
        _ actions: inout [APIAction]
    ) {
        guard let job = restore else { return }
        restore = nil
        guard pending.remove(job.call.id) != nil else { return }
        var writer = JSONWriter(job.call.layout)
        if job.options.isPlain || job.options.isDryRun {
            writer.beginObject()
            writer.member("dry_run", job.options.isDryRun)
            writer.member("created", created)
            writer.member("updated", updated)
            writer.member("unchanged", unchanged)
            writer.key("invalid")
            writer.beginArray()
            for (name, reason) in job.invalid {
                writer.beginObject()
                writer.member("name", name.text)
                writer.member("invalid_reason", reason)
                writer.endObject()
            }
            writer.endArray()
            writer.key("moved_slots")
            writer.beginArray()
            for (name, schedule) in job.spread {
                writer.beginObject()
                writer.member("name", name.text)
                writer.member("schedule", schedule)
                writer.endObject()
            }
            writer.endArray()
            writer.endObject()
        } else {
            writer.string(lines(job))
        }
        respond(job.call, Answer(200, writer), context, &actions)
    }

    /// Dkron answers a JSON text whose content is a JSON array of lines; so do we, with the reason
    /// where a job was imported disabled.
    private func lines(_ job: RestoreJob) -> [UInt8] {
        var reasons = job.invalid[...]
        var writer = JSONWriter(.compact)
        writer.beginArray()
        for name in job.names {
            var line = "success create \(name)"
            if let next = reasons.first, next.name == name {
                line += " (disabled: \(next.reason))"
                reasons.removeFirst()
            }
            writer.string(line)
        }
        writer.endArray()
        return writer.take()
    }
}
