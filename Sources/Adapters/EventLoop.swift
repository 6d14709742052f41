internal import CSystem
internal import Core
internal import Glibc

/// Waits for descriptors to become ready: a thin, level-triggered use of epoll.
///
/// A token names what a descriptor belongs to. Whoever closes a descriptor makes the loop forget it
/// first; an event already collected may still come, so the number of a token is never used twice.
package final class EventLoop {
    package struct Interest: OptionSet, Sendable {
        package let rawValue: UInt32

        package init(rawValue: UInt32) { self.rawValue = rawValue }

        package static let read = Interest(rawValue: EPOLLIN.rawValue)
        package static let write = Interest(rawValue: EPOLLOUT.rawValue)
    }

    /// Whose descriptor it is, and which one of that owner's.
    package struct Token: Hashable, Sendable {
        package enum Owner: UInt8, Sendable {
            case signals, storage, supervisor, listener, connection, names, outbound, gossip, peers
            case handshakes, conversations, plugins
            case processors, processorCalls, processorConversations
        }
        package var owner: Owner
        /// Below 2^56.
        package var number: UInt64

        package init(_ owner: Owner, _ number: UInt64 = 0) {
            self.owner = owner
            self.number = number
        }

        fileprivate var bits: UInt64 { UInt64(owner.rawValue) << 56 | number }

        fileprivate init?(bits: UInt64) {
            guard let owner = Owner(rawValue: UInt8(bits >> 56)) else { return nil }
            self.init(owner, bits & (1 << 56 - 1))
        }
    }

    package struct Event: Sendable {
        package var token: Token
        package var readable: Bool
        package var writable: Bool
        /// The other end is gone for good, or the descriptor failed: reads and writes tell why.
        package var broken: Bool
    }

    private let epoll: Int32
    private var buffer = [epoll_event](repeating: epoll_event(), count: mostEvents)

    package init() throws(SystemError) {
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard epoll >= 0 else { throw .last("make an epoll instance") }
    }

    deinit { close(epoll) }

    /// Starts watching, or changes what is watched for.
    package func watch(_ descriptor: Int32, for interest: Interest, as token: Token) {
        var event = epoll_event(events: interest.rawValue, data: epoll_data_t(u64: token.bits))
        var result = epoll_ctl(epoll, EPOLL_CTL_MOD, descriptor, &event)
        if result != 0, errno == ENOENT {
            result = epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event)
        }
        // Memory for the kernel's entry is the only thing that can be missing.
        invariant(result == 0, "epoll_ctl failed: \(errorText(errno))")
    }

    package func forget(_ descriptor: Int32) {
        var unused = epoll_event()
        _ = epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, &unused)
    }

    /// Waits until something is ready or `milliseconds` are over (-1: for ever). Replaces `events`.
    package func wait(milliseconds: Int32, into events: inout [Event]) {
        events.removeAll(keepingCapacity: true)
        let count = epoll_wait(epoll, &buffer, Int32(buffer.count), milliseconds)
        invariant(count >= 0 || errno == EINTR, "epoll_wait failed: \(errorText(errno))")
        for event in buffer.prefix(max(0, Int(count))) {
            guard let token = Token(bits: event.data.u64) else { continue }
            let flags = event.events
            events.append(
                Event(
                    token: token, readable: flags & EPOLLIN.rawValue != 0,
                    writable: flags & EPOLLOUT.rawValue != 0,
                    broken: flags & (EPOLLERR.rawValue | EPOLLHUP.rawValue) != 0))
        }
    }

    /// Enough for one round; what is left over is ready in the next one.
    private static let mostEvents = 256
}
