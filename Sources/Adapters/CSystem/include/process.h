// What the process supervisor needs of the kernel and Glibc's Swift module hides or cannot express:
// starting a process as another user in a session of its own, reaping with accounting, timers on
// the boot-time clock, Unix sockets at long paths.
//
// Every descriptor made here is close-on-exec. Functions that return `int` answer -1 with `errno`
// set, like the calls they wrap.

#ifndef DKRON_PROCESS_H
#define DKRON_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>

/// Where a start failed.
enum dkron_spawn_stage {
    DKRON_SPAWN_DESCRIPTORS = 1,
    DKRON_SPAWN_UNKNOWN_USER = 2,
    DKRON_SPAWN_UNKNOWN_GROUP = 3,
    DKRON_SPAWN_CHANGE_USER = 4,
    DKRON_SPAWN_DIRECTORY = 5,
    DKRON_SPAWN_EXECUTE = 6,
    DKRON_SPAWN_NOT_FOUND = 7,
    DKRON_SPAWN_INTERPRETER = 8,
    /// There is no process to be had.
    DKRON_SPAWN_PROCESS = 9,
    /// `dkron_spawn_cancel` was called.
    DKRON_SPAWN_CANCELLED = 10,
};

struct dkron_spawn_failure {
    int32_t stage;
    int32_t error;
};

struct dkron_spawn_request {
    /// Paths tried in order, ended by NULL: one, or the program's name in every PATH directory.
    const char *const *candidates;
    /// `argv` and `envp`, ended by NULL.
    char *const *arguments;
    char *const *environment;
    /// NULL: stay.
    const char *directory;
    /// NULL: unchanged. Looked up by name, which may ask a directory service and take as long as
    /// that. `group` NULL means the user's own.
    const char *user;
    const char *group;
    int standard_input;
    int standard_output;
    int standard_error;
    /// Becomes descriptor 3, or -1.
    int connection;
    /// Soft limit of open files to restore, or 0 for leaving it.
    uint64_t open_files;
    /// Have the kernel end the program when the calling thread ends.
    bool die_with_parent;
};

/// What other threads may know of a start, and tell it; zeros in the beginning.
struct dkron_spawn_state {
    pid_t process;
    int32_t is_cancelled;
};

/// Starts a program in a session and group of its own, all signals at their defaults and every
/// descriptor but those named closed. Lasts until the program runs, which on a network's file
/// system can be long; other threads go on meanwhile. Returns the process id, or -1 with the cause
/// in `failure`, and then no child is left to be collected.
///
/// `state` holds the id before the child can end. With `die_with_parent`, the program ends with the
/// calling *thread*.
pid_t dkron_spawn(const struct dkron_spawn_request *request, struct dkron_spawn_state *state,
                  struct dkron_spawn_failure *failure);
/// The process of a start, for any thread; 0 while there is none, and when it failed.
pid_t dkron_spawned_process(const struct dkron_spawn_state *state);
/// Has the start give up before it looks for the directory and the program, unless it has a process
/// already.
void dkron_spawn_cancel(struct dkron_spawn_state *state);
/// Kills the process of a start, if there is one. One whose program runs must not have been
/// collected.
void dkron_spawn_kill(const struct dkron_spawn_state *state);

struct dkron_exit {
    int32_t process;
    /// -1 when it was ended by a signal.
    int32_t code;
    /// 0 when it exited.
    int32_t signal;
    int64_t cpu_nanoseconds;
    uint64_t peak_bytes;
};

/// A child that has ended and waits to be collected; 0 when none has, -1 when there is no child.
pid_t dkron_ended_child(void);
/// Collects that child with the accounting of everything it waited for. Returns 1, 0 when it has
/// not ended, -1 when there is no such child.
int dkron_reap_one(pid_t process, struct dkron_exit *ended);
/// Whether this child has ended and waits to be collected: 1, 0 when it has not ended, -1 when there
/// is no such child.
int dkron_has_ended(pid_t process);

/// A descriptor that is readable once this process has ended; -1 where the kernel has none.
int dkron_process_descriptor(pid_t process);
/// Orphaned descendants become children of this process, instead of the init process.
int dkron_become_subreaper(void);
/// A descriptor readable after SIGCHLD; terminal, polite ending and user signals are ignored from
/// then on, and so is SIGPIPE.
int dkron_child_signal_descriptor(void);
/// Takes what `dkron_child_signal_descriptor` reports.
void dkron_drain_descriptor(int descriptor);
/// Raises the soft limit of open files to the hard one and returns what it was (0: unknown).
uint64_t dkron_raise_open_files(void);

/// Gives back free heap memory and unmaps the pages of program code that were touched so far, start
/// included; what is needed again comes from the page cache.
void dkron_trim_memory(void);

/// A timer on the boot-time clock, which goes on while the machine sleeps.
int dkron_boot_timer(void);
/// Fires at `nanoseconds` of that clock; negative disarms.
int dkron_boot_timer_set(int descriptor, int64_t nanoseconds);

int dkron_pipe(int descriptors[2]);
int dkron_socket_pair(int descriptors[2]);
int dkron_set_nonblocking(int descriptor);
/// Non-blocking stream sockets of the Unix domain. `directory` is a descriptor of the directory,
/// so that its path may exceed the 108 bytes of a socket address; a stale file is replaced.
int dkron_unix_listen(int directory, const char *name);
int dkron_unix_connect(int directory, const char *name);
int dkron_unix_accept(int listener);
/// Who is at the other end.
int dkron_peer(int descriptor, uid_t *user, pid_t *process);
/// Writes without ever raising SIGPIPE.
ssize_t dkron_send(int descriptor, const void *bytes, size_t count);

#endif
