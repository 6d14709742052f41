// The real binary from outside: processes, signals, sockets and files, nothing simulated.
//
// Everything is under one serialised suite: each test starts servers of its own, and two cores
// are enough for one such test beside the unit tests, not for ten.

import Testing

@Suite("End to end", .serialized)
enum EndToEnd {}
