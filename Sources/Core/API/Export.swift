/// The jobs of a store as an export: what `GET /v1/jobs` answers and `POST /v1/restore` takes.
extension Store {
    /// For stores outside of a server: it walks all jobs at once.
    package func exportedJobs() -> [UInt8] {
        var writer = JSONWriter(.compact)
        writer.beginArray()
        var last = JobName("")
        while let name = job(from: last, exclusive: true) {
            last = name
            guard let document = document(name), let state = state(name) else { continue }
            writer.job(document, state, next: nil)
        }
        writer.endArray()
        return writer.take()
    }
}
