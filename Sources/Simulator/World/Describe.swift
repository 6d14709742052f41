// Inputs and effects as numbers for the trace's hash, and as words for its text.

import Core

extension Trace {
    mutating func absorb(_ effect: Effect) {
        switch effect {
        case .respond(let id, let response):
            absorb(1 &+ id.number << 8)
            absorb(UInt64(response.status))
            for field in response.headers.fields {
                absorb(field.name)
                absorb(field.value)
            }
            if case .bytes(let bytes) = response.body { absorb(bytes) }
        case .respondChunk(let id, let bytes, let last):
            absorb(2 &+ id.number << 8 &+ (last ? 1 << 7 : 0))
            absorb(bytes)
        case .store(let ticket, let operation):
            absorb(3 &+ UInt64(ticket.owner.rawValue) << 8 &+ ticket.number << 16)
            absorb(operation)
        case .start(let spec):
            absorb(4)
            absorb(spec.execution.text)
            for argument in spec.command.arguments { absorb(argument) }
            for entry in spec.command.environment {
                absorb(entry.name)
                absorb(entry.value)
            }
            absorb(UInt64(bitPattern: spec.timeout?.nanoseconds ?? -1))
            absorb(UInt64(bitPattern: spec.fence?.nanoseconds ?? -1))
        case .adopt(let id, _):
            absorb(5)
            absorb(id.text)
        case .stop(let id):
            absorb(6)
            absorb(id.text)
        case .call(let call):
            absorb(13)
            absorb(call.execution.text)
            absorb(call.exchange.bytes)
            absorb(UInt64(bitPattern: call.timeout?.nanoseconds ?? -1))
            absorb(UInt64(bitPattern: call.fence?.nanoseconds ?? -1))
        case .hangUp(let id):
            absorb(14)
            absorb(id.text)
        case .converse, .execute, .process, .abandonProcessor, .readSecrets: absorb(asked: effect)
        case .release(let id):
            absorb(7)
            absorb(id.text)
        case .renewFences(let ago): absorb(8 &+ UInt64(bitPattern: ago.nanoseconds) << 4)
        case .loadZone(let name):
            absorb(9)
            absorb(name)
        case .measureDisk: absorb(13)
        case .log(let record):
            absorb(10)
            absorb(record.message)
            for field in record.fields { absorb(field.value) }
        case .abort(let id): absorb(15 &+ id.number << 8)
        case .send, .reach, .belong, .packet, .exchange, .closeExchange, .answerExchange,
            .changeKeys, .resolve:
            absorb(sent: effect)
        case .exit: absorb(11)
        case .halt(let reason):
            absorb(12)
            absorb(reason)
        }
    }

    /// What is asked of others.
    private mutating func absorb(asked effect: Effect) {
        switch effect {
        case .converse(let call):
            absorb(60)
            absorb(call.execution.text)
            absorb(UInt64(bitPattern: call.timeout?.nanoseconds ?? -1))
            absorb(UInt64(bitPattern: call.fence?.nanoseconds ?? -1))
        case .execute(let call):
            absorb(63)
            absorb(call.execution.text)
            for entry in call.config { absorb(entry.value) }
            absorb(UInt64(bitPattern: call.timeout?.nanoseconds ?? -1))
            absorb(UInt64(bitPattern: call.fence?.nanoseconds ?? -1))
        case .process(let run):
            absorb(61 &+ run.id << 8)
            absorb(run.output)
        case .abandonProcessor(let run): absorb(62 &+ run << 8)
        case .readSecrets(let id, let names):
            absorb(64)
            absorb(id.text)
            for name in names { absorb(name) }
        default: break
        }
    }

    /// What other nodes are told, or asked.
    private mutating func absorb(sent effect: Effect) {
        switch effect {
        case .send(let id, let bytes):
            absorb(16)
            absorb(UInt64(truncatingIfNeeded: id))
            absorb(bytes)
        case .reach(let id, let address):
            absorb(17)
            absorb(UInt64(truncatingIfNeeded: id))
            absorb(address?.description ?? "")
        case .belong(let cluster):
            absorb(18)
            absorb(cluster)
        case .packet(let address, let bytes):
            absorb(19)
            absorb(address.description)
            absorb(bytes)
        case .exchange(let exchange, let address, let bytes):
            absorb(20 &+ exchange << 8)
            absorb(address.description)
            absorb(bytes)
        case .closeExchange(let exchange): absorb(21 &+ exchange << 8)
        case .answerExchange(let request, let bytes):
            absorb(22 &+ request << 8)
            absorb(bytes ?? [])
        case .changeKeys(let request):
            absorb(23)
            absorb(request.operation.rawValue)
        case .resolve(let host):
            absorb(24)
            absorb(host)
        default: preconditionFailure("\(effect) is for this machine")
        }
    }

    private mutating func absorb(_ operation: StorageOperation) {
        absorb(UInt64(operation.directory.rawValue))
        switch operation {
        case .create(let file):
            absorb(1)
            absorb(file.name)
        case .append(let file, let offset, let bytes):
            absorb(2 &+ offset << 4)
            absorb(file.name)
            absorb(bytes)
        case .truncate(let file, let length):
            absorb(3 &+ length << 4)
            absorb(file.name)
        case .sync(let file):
            absorb(4)
            absorb(file.name)
        case .rename(let file, let to):
            absorb(5)
            absorb(file.name)
            absorb(to.name)
        case .remove(let file):
            absorb(6)
            absorb(file.name)
        case .syncDirectory: absorb(7)
        case .list: absorb(8)
        case .read(let file, let offset, let length):
            absorb(9 &+ offset << 4)
            absorb(file.name)
            absorb(UInt64(length))
        }
    }
}

extension World {
    /// Inputs follow from effects and draws; their kind is enough for the hash.
    mutating func absorb(_ input: Input) {
        switch input {
        case .deadline: trace.absorb(21)
        case .request(let id, _): trace.absorb(22 &+ id.number << 8)
        case .requestAbandoned(let id): trace.absorb(23 &+ id.number << 8)
        case .drained(let id): trace.absorb(24 &+ id.number << 8)
        case .storage(let ticket, _): trace.absorb(25 &+ ticket.number << 8)
        case .run(let id, _):
            trace.absorb(26)
            trace.absorb(id.text)
        case .call(let id, _):
            trace.absorb(29)
            trace.absorb(id.text)
        case .processed(let run, _): trace.absorb(33 &+ run << 8)
        case .zone(let name, _): trace.absorb(name)
        case .secrets(let id, _): trace.absorb(id.text)
        case .control: trace.absorb(28)
        case .peer(let id, let bytes):
            trace.absorb(UInt64(truncatingIfNeeded: id))
            trace.absorb(UInt64(bytes.count))
        case .packet(let address, let bytes):
            trace.absorb(address.description)
            trace.absorb(UInt64(bytes.count))
        case .exchange(let exchange, _): trace.absorb(30 &+ exchange << 8)
        case .exchangeRequest(let request, _, _): trace.absorb(31 &+ request << 8)
        case .keysChanged: trace.absorb(32)
        case .resolved(let host, _, _): trace.absorb(host)
        case .disk(let space): trace.absorb(29 &+ space.free << 8)
        }
    }

    mutating func absorb(_ effect: Effect) { trace.absorb(effect) }
}

func describe(_ input: Input) -> String {
    switch input {
    case .deadline: "deadline"
    case .request(let id, let request):
        "request \(id.number) \(request.method) \(request.target) \(clipped(request.body))"
    case .requestAbandoned(let id): "abandoned \(id.number)"
    case .drained(let id): "drained \(id.number)"
    case .storage(let ticket, let result):
        "storage \(ticket.owner)#\(ticket.number) \(describe(result))"
    case .run(let id, let event): "run \(id) \(describe(event))"
    case .call(let id, let event): "call \(id) \(describe(event))"
    case .secrets(let id, .read): "secrets for \(id)"
    case .secrets(let id, .failed(let reason)): "no secrets for \(id): \(reason)"
    case .processed(let run, .failed(let reason)): "processor \(run) failed: \(reason)"
    case .processed(let run, .done(let output, let failure)):
        "processor \(run) done\(output.map { ", leaves \($0.count) bytes" } ?? "")"
            + (failure.map { ", overrules: \($0)" } ?? "")
    case .zone(let name, let bytes): "zone \(name) \(bytes.map { "\($0.count) bytes" } ?? "none")"
    case .control(let control): "control \(control)"
    case .peer(let id, let bytes):
        "from node \(World.position(of: id) + 1) \(describe(message: bytes))"
    case .packet(let address, let bytes): "packet from \(address) \(bytes.count) bytes"
    case .exchange(let exchange, .answered(let bytes)):
        "exchange \(exchange) answered \(bytes.count) bytes"
    case .exchange(let exchange, .failed(let reason)): "exchange \(exchange) failed: \(reason)"
    case .exchangeRequest(let request, let address, let bytes):
        "exchange request \(request) from \(address) \(bytes.count) bytes"
    case .keysChanged(let request, _): "keys \(request.operation)"
    case .resolved(let host, let addresses, let problem):
        "resolved \(host) \(addresses) \(problem)"
    case .disk(let space): "disk \(space.free) of \(space.total) bytes free"
    }
}

func describe(_ effect: Effect) -> String {
    switch effect {
    case .respond(let id, let response):
        switch response.body {
        case .bytes(let bytes): "respond \(id.number) \(response.status) \(clipped(bytes))"
        case .stream: "respond \(id.number) \(response.status) (stream)"
        }
    case .respondChunk(let id, let bytes, let last):
        "chunk \(id.number) \(bytes.count) bytes\(last ? ", the last" : "")"
    case .abort(let id): "abort \(id.number)"
    case .send(let id, let bytes):
        "to node \(World.position(of: id) + 1) \(describe(message: bytes))"
    case .reach(let id, let address):
        "reach \(String(id, radix: 16)) at \(address.map { "\($0)" } ?? "nowhere")"
    case .belong(let cluster): "belong to \(cluster)"
    case .packet(let address, let bytes): "packet to \(address) \(bytes.count) bytes"
    case .exchange(let exchange, let address, let bytes):
        "exchange \(exchange) with \(address) \(bytes.count) bytes"
    case .closeExchange(let exchange): "close exchange \(exchange)"
    case .answerExchange(let request, let bytes):
        "answer exchange \(request) \(bytes.map { "\($0.count) bytes" } ?? "nothing")"
    case .changeKeys(let request): "change keys \(request.operation)"
    case .resolve(let host): "resolve \(host)"
    case .store(let ticket, let operation):
        "store \(ticket.owner)#\(ticket.number) \(describe(operation))"
    case .start(let spec):
        "start \(spec.execution) \(spec.command.arguments.joined(separator: " "))"
    case .adopt(let id, _): "adopt \(id)"
    case .stop(let id): "stop \(id)"
    case .release(let id): "release \(id)"
    case .call(let call):
        "call \(call.execution) \(call.exchange.method) \(call.exchange.url.authority)"
            + call.exchange.url.target
    case .converse(let call): "converse \(call.execution)"
    case .execute(let call): "execute \(call.execution) by \(call.plugin)"
    case .process(let run):
        "process \(run.id) \(run.execution.id) by \(ProcessorModel.name(of: run.task.work)), "
            + "\(run.output.count) bytes"
    case .abandonProcessor(let run): "abandon processor \(run)"
    case .hangUp(let id): "hang up \(id)"
    case .readSecrets(let id, let names):
        "read secrets \(names.joined(separator: " ")) for \(id)"
    case .renewFences(let ago): "renew fences \(durationText(ago)) ago"
    case .measureDisk: "measure disk"
    case .loadZone(let name): "load zone \(name)"
    case .log(let record):
        "log \(record.level): \(record.message)"
            + record.fields.map { " \($0.name)=\($0.value)" }.joined()
    case .exit: "exit"
    case .halt(let reason): "HALT \(reason)"
    }
}

private func describe(message bytes: [UInt8]) -> String {
    guard let message = try? PeerMessage(decoding: bytes) else { return "\(bytes.count) bytes" }
    switch message {
    case .raft(let message):
        guard case .append(let index, let term, let entries, let commit) = message.body else {
            return "term \(message.term): \(message.body)"
        }
        return "term \(message.term): append \(entries.count) after \(index) of \(term), "
            + "commit \(commit)"
    case .transfer(let message): return describe(message)
    case .promise(let servers, let wantsAnswer):
        return "promise \(servers)\(wantsAnswer ? ", and yours?" : "")"
    case .checkpoint(let index, let hash): return "state at \(index) is \(hash)"
    case .deviates(let index): return "your state is wrong at \(index)"
    case .clockIsWrong(let ahead): return "your clock is \(DurationText.print(ahead)) ahead"
    case .askTime: return "what time is it?"
    case .tellTime(let wall, _): return "it is \(RFC3339.print(wall))"
    case .leads(let term, let cluster): return "leads \(cluster) in term \(term)"
    case .assignment(let order): return describe(order)
    case .report(let report): return describe(report)
    case .relayedReport(let report, let agent): return "for \(agent): \(describe(report))"
    case .relayedOrder(let order, let agent): return "to \(agent): \(describe(order))"
    case .watchOutput(let key, let place):
        return "what prints \(key.number) after \(place)?"
    case .printed(let piece):
        return "\(piece.key.number) has printed \(piece.bytes.count) bytes at \(piece.start) of "
            + "\(piece.total)"
    case .request(let id, let request):
        return "request \(id.request.number) \(request.method) \(request.target)"
    case .requestAbandoned(let id): return "request \(id.request.number) abandoned"
    case .requestDrained(let id, let taken):
        return "request \(id.request.number) drained, \(taken) pieces"
    case .response(let id, let response):
        return "response \(id.request.number) \(response.status)"
    case .responseChunk(let id, let number, let bytes, let last):
        return "response \(id.request.number) piece \(number), \(bytes.count) bytes"
            + (last ? ", the last" : "")
    }
}

private func describe(_ order: AgentMessage) -> String {
    if case .run(let assignment, _) = order { return "run \(assignment.id)" }
    return "\(order)"
}

private func describe(_ report: AgentReport) -> String {
    guard case .news(let report) = report else { return "\(report)" }
    if case .output(let chunk, let bytes) = report.news {
        return "report \(report.key.number) output \(chunk), \(bytes.count) bytes"
    }
    return "report \(report.key.number) \(report.news)"
}

private func describe(_ message: TransferMessage) -> String {
    let name = "transfer \(message.number) of term \(message.term): "
    switch message.body {
    case .offer: return name + "offer"
    case .ready(let index): return name + "ready, outputs through \(index)"
    case .part(let place, .head(let head)): return name + "\(place), head of \(head.index)"
    case .part(let place, .slice(let records)): return name + "\(place), \(records.count) bytes"
    case .part(let place, .outputs(let chunks)):
        return name + "\(place), \(chunks.count) outputs"
    case .part(let place, .end): return name + "\(place), the end"
    case .taken(let count): return name + "\(count) taken"
    case .over: return name + "over"
    }
}

private func describe(_ operation: StorageOperation) -> String {
    switch operation {
    case .create(let file): "create \(describe(file))"
    case .append(let file, let offset, let bytes):
        "append \(describe(file)) @\(offset) \(bytes.count) bytes"
    case .truncate(let file, let length): "truncate \(describe(file)) to \(length)"
    case .sync(let file): "sync \(describe(file))"
    case .rename(let file, let to): "rename \(describe(file)) to \(to.name)"
    case .remove(let file): "remove \(describe(file))"
    case .syncDirectory(let directory): "sync directory \(directory.name)"
    case .list(let directory): "list \(directory.name)"
    case .read(let file, let offset, let length):
        "read \(describe(file)) @\(offset) up to \(length)"
    }
}

private func describe(_ file: FileName) -> String { "\(file.directory.name)/\(file.name)" }

private func describe(_ result: StorageResult) -> String {
    switch result {
    case .done: "done"
    case .bytes(let bytes): "\(bytes.count) bytes"
    case .listing(let entries): "listing of \(entries.count)"
    case .failed(let failure): "FAILED \(failure.reason): \(failure.message)"
    }
}

private func describe(_ event: RunEvent) -> String {
    switch event {
    case .started(let identity, _): "started as \(identity.processID)"
    case .output(let bytes, let skipped): "output \(bytes.count) bytes, \(skipped) skipped"
    case .ended(let end):
        "ended \(end.cause) exit=\(end.exitCode.map { "\($0)" } ?? "-") "
            + "signal=\(end.signal.map { "\($0)" } ?? "-")"
    case .refused(let why): "refused: \(why)"
    case .vanished(let why): "vanished: \(why)"
    }
}

private func describe(_ event: CallEvent) -> String {
    switch event {
    case .started: "started"
    case .output(let bytes): "output \(bytes.count) bytes"
    case .wholeOutput(let bytes): "whole output \(bytes.count) bytes"
    case .ended(let end): "ended \(end.cause) \(end.error)"
    }
}

private func clipped(_ bytes: [UInt8]) -> String {
    let text = String(decoding: bytes.prefix(300), as: UTF8.self)
    return bytes.count > 300 ? text + "… (\(bytes.count) bytes)" : text
}
