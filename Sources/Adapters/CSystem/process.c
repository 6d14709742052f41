#define _GNU_SOURCE
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// Starting a process. From `give_up` down to `become` runs in the child, between clone and exec, in
// memory that it shares with the suspended caller: it writes to its own stack and to `failure` only.

/// Where `connection` is in the child.
enum { CHILD_CONNECTION = 3 };

/// What the child of one call works on.
struct attempt {
    const struct dkron_spawn_request *request;
    const struct dkron_spawn_state *state;
    struct dkron_spawn_failure *failure;
    pid_t parent;
    uid_t user;
    gid_t group;
};

static _Noreturn void give_up(const struct attempt *attempt, enum dkron_spawn_stage stage,
                              int error) {
    attempt->failure->stage = stage;
    attempt->failure->error = error;
    _exit(127);
}

/// Duplicates a descriptor to a number beyond all that are about to be replaced.
static int lift(int descriptor) { return fcntl(descriptor, F_DUPFD_CLOEXEC, 16); }

static void reset_signals(void) {
    struct sigaction usual = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++) sigaction(number, &usual, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/// Puts the descriptors in their places. They are lifted first, because the caller's numbers may
/// lie where others have to go.
static void place_descriptors(const struct attempt *attempt) {
    const struct dkron_spawn_request *request = attempt->request;
    int input = lift(request->standard_input);
    int output = lift(request->standard_output);
    int error = lift(request->standard_error);
    int connection = request->connection < 0 ? -1 : lift(request->connection);
    if (input < 0 || output < 0 || error < 0 ||
        (request->connection >= 0 && connection < 0) || dup2(input, 0) < 0 ||
        dup2(output, 1) < 0 || dup2(error, 2) < 0 ||
        (connection >= 0 && dup2(connection, CHILD_CONNECTION) < 0))
        give_up(attempt, DKRON_SPAWN_DESCRIPTORS, errno);
    // Before Linux 5.9 there is no such call; close-on-exec then has to do.
    syscall(SYS_close_range, connection < 0 ? 3 : CHILD_CONNECTION + 1, ~0U, 0);
}

/// Tries the candidates the way a shell walks PATH: a missing one gives way to the next, a
/// forbidden one too, but is remembered as the better explanation.
static _Noreturn void execute(const struct attempt *attempt) {
    const struct dkron_spawn_request *request = attempt->request;
    int forbidden = 0;
    for (int index = 0; request->candidates[index] != NULL; index++) {
        const char *path = request->candidates[index];
        execve(path, request->arguments, request->environment);
        int error = errno;
        if (error == EACCES) {
            forbidden = error;
        } else if (error == ENOENT && access(path, F_OK) == 0) {
            give_up(attempt, DKRON_SPAWN_INTERPRETER, error);
        } else if (error != ENOENT && error != ENOTDIR) {
            give_up(attempt, DKRON_SPAWN_EXECUTE, error);
        }
    }
    if (forbidden != 0) give_up(attempt, DKRON_SPAWN_EXECUTE, forbidden);
    give_up(attempt, DKRON_SPAWN_NOT_FOUND, ENOENT);
}

static int become(void *argument) {
    const struct attempt *attempt = argument;
    const struct dkron_spawn_request *request = attempt->request;
    // Here and not before the clone: whoever cancels and sees no process yet can rely on it.
    if (__atomic_load_n(&attempt->state->is_cancelled, __ATOMIC_SEQ_CST))
        give_up(attempt, DKRON_SPAWN_CANCELLED, 0);
    setsid();
    reset_signals();
    place_descriptors(attempt);
    // Raw calls: the library's would try to change every thread of the process that lends its
    // memory.
    if (request->user != NULL &&
        (syscall(SYS_setgroups, 0, NULL) != 0 ||
         syscall(SYS_setresgid, attempt->group, attempt->group, attempt->group) != 0 ||
         syscall(SYS_setresuid, attempt->user, attempt->user, attempt->user) != 0))
        give_up(attempt, DKRON_SPAWN_CHANGE_USER, errno);
    // After the change of user, which clears it.
    if (request->die_with_parent) {
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        if (getppid() != attempt->parent) _exit(127);
    }
    if (request->open_files != 0) {
        struct rlimit limit;
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
            limit.rlim_cur = request->open_files;
            setrlimit(RLIMIT_NOFILE, &limit);
        }
    }
    if (request->directory != NULL && chdir(request->directory) != 0)
        give_up(attempt, DKRON_SPAWN_DIRECTORY, errno);
    execute(attempt);
}

/// Enough for every entry that fits a directory service's answer; a longer one is an error.
enum { ENTRY_SIZE = 64 << 10 };

/// Looks up the numbers of the user and the group; how it failed is in `failure`.
static bool look_up_user(struct attempt *attempt) {
    const struct dkron_spawn_request *request = attempt->request;
    char *buffer = malloc(ENTRY_SIZE);
    if (buffer == NULL) {
        *attempt->failure = (struct dkron_spawn_failure){DKRON_SPAWN_CHANGE_USER, ENOMEM};
        return false;
    }
    struct passwd user, *found_user = NULL;
    int error = getpwnam_r(request->user, &user, buffer, ENTRY_SIZE, &found_user);
    if (found_user == NULL) {
        *attempt->failure = (struct dkron_spawn_failure){DKRON_SPAWN_UNKNOWN_USER, error};
    } else {
        attempt->user = user.pw_uid;
        attempt->group = user.pw_gid;
    }
    if (found_user != NULL && request->group != NULL) {
        struct group group, *found_group = NULL;
        error = getgrnam_r(request->group, &group, buffer, ENTRY_SIZE, &found_group);
        if (found_group == NULL)
            *attempt->failure = (struct dkron_spawn_failure){DKRON_SPAWN_UNKNOWN_GROUP, error};
        else
            attempt->group = group.gr_gid;
    }
    free(buffer);
    return attempt->failure->stage == 0;
}

/// Held while a child that gave up is collected: afterwards its number may be a stranger's.
static pthread_mutex_t collecting = PTHREAD_MUTEX_INITIALIZER;

pid_t dkron_spawn(const struct dkron_spawn_request *request, struct dkron_spawn_state *state,
                  struct dkron_spawn_failure *failure) {
    struct attempt attempt = {
        .request = request, .state = state, .failure = failure, .parent = getpid()};
    failure->stage = 0;
    failure->error = 0;
    if (request->user != NULL && !look_up_user(&attempt)) return -1;
    // The child's stack lies in this frame, which stays where it is until the child has let go.
    _Alignas(16) char stack[32 << 10];
    // No handler of the caller may run in the child, where it would act on borrowed memory.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    // Like vfork, the call lasts until the program runs or the child has ended, but for this thread
    // alone. The kernel writes the number before the child can run.
    pid_t child = clone(become, stack + sizeof stack,
                        CLONE_VM | CLONE_VFORK | CLONE_PARENT_SETTID | SIGCHLD, &attempt,
                        &state->process);
    if (child < 0) *failure = (struct dkron_spawn_failure){DKRON_SPAWN_PROCESS, errno};
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure->stage == 0) return child;
    if (child > 0) {
        pthread_mutex_lock(&collecting);
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
        __atomic_store_n(&state->process, 0, __ATOMIC_RELEASE);
        pthread_mutex_unlock(&collecting);
    }
    return -1;
}

pid_t dkron_spawned_process(const struct dkron_spawn_state *state) {
    return __atomic_load_n(&state->process, __ATOMIC_SEQ_CST);
}

void dkron_spawn_cancel(struct dkron_spawn_state *state) {
    __atomic_store_n(&state->is_cancelled, 1, __ATOMIC_SEQ_CST);
}

void dkron_spawn_kill(const struct dkron_spawn_state *state) {
    pthread_mutex_lock(&collecting);
    pid_t process = dkron_spawned_process(state);
    if (process > 0) kill(process, SIGKILL);
    pthread_mutex_unlock(&collecting);
}

// Watching

int dkron_reap_one(pid_t process, struct dkron_exit *ended) {
    int status;
    struct rusage usage;
    pid_t found;
    do found = wait4(process, &status, WNOHANG, &usage);
    while (found < 0 && errno == EINTR);
    if (found <= 0) return found < 0 ? -1 : 0;
    ended->process = found;
    ended->code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    ended->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    ended->cpu_nanoseconds =
        ((int64_t)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000 +
        ((int64_t)usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
    ended->peak_bytes = (uint64_t)usage.ru_maxrss * 1024;
    return 1;
}

pid_t dkron_ended_child(void) {
    siginfo_t ended = {0};
    while (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) != 0) {
        if (errno != EINTR) return -1;
    }
    return ended.si_pid;
}

int dkron_has_ended(pid_t process) {
    siginfo_t ended = {0};
    while (waitid(P_PID, (id_t)process, &ended, WEXITED | WNOHANG | WNOWAIT) != 0) {
        if (errno != EINTR) return -1;
    }
    return ended.si_pid == process ? 1 : 0;
}

int dkron_become_subreaper(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

int dkron_child_signal_descriptor(void) {
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    // Meant for the agent, and sent to all processes of the program's name.
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, SIG_IGN);
    // Ignored, children would be collected by the kernel and their accounting lost.
    signal(SIGCHLD, SIG_DFL);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    if (sigprocmask(SIG_SETMASK, &child, NULL) != 0) return -1;
    return signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
}

void dkron_drain_descriptor(int descriptor) {
    char buffer[1024];
    while (read(descriptor, buffer, sizeof buffer) > 0) {}
}

uint64_t dkron_raise_open_files(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    uint64_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? before : 0;
}

void dkron_trim_memory(void) {
    malloc_trim(0);
    FILE *maps = fopen("/proc/self/maps", "re");
    if (maps == NULL) return;
    char line[512];
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long start, end, inode;
        char rights[5];
        // Code only: it was never written to, so dropping it loses nothing. Read-only data may be
        // relocated, which is lost when dropped.
        if (sscanf(line, "%lx-%lx %4s %*s %*s %lu", &start, &end, rights, &inode) == 4 &&
            inode != 0 && strcmp(rights, "r-xp") == 0)
            madvise((void *)start, end - start, MADV_DONTNEED);
    }
    fclose(maps);
}

int dkron_boot_timer(void) {
    return timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
}

int dkron_boot_timer_set(int descriptor, int64_t nanoseconds) {
    struct itimerspec when = {0};
    if (nanoseconds >= 0) {
        when.it_value.tv_sec = nanoseconds / 1000000000;
        when.it_value.tv_nsec = nanoseconds % 1000000000;
        // All zeros would disarm.
        if (nanoseconds == 0) when.it_value.tv_nsec = 1;
    }
    return timerfd_settime(descriptor, TFD_TIMER_ABSTIME, &when, NULL);
}

// Descriptors

int dkron_pipe(int descriptors[2]) { return pipe2(descriptors, O_CLOEXEC); }

int dkron_socket_pair(int descriptors[2]) {
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, descriptors);
}

int dkron_set_nonblocking(int descriptor) {
    int flags = fcntl(descriptor, F_GETFL);
    return flags < 0 ? -1 : fcntl(descriptor, F_SETFL, flags | O_NONBLOCK);
}

/// An address that reaches the file through the open directory, however long its path is.
static int address_of(struct sockaddr_un *address, int directory, const char *name) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    int length = snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s",
                          directory, name);
    if (length > 0 && (size_t)length < sizeof address->sun_path) return 0;
    errno = ENAMETOOLONG;
    return -1;
}

static int close_keeping_error(int descriptor) {
    int error = errno;
    close(descriptor);
    errno = error;
    return -1;
}

int dkron_unix_listen(int directory, const char *name) {
    struct sockaddr_un address;
    if (address_of(&address, directory, name) != 0) return -1;
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0) return -1;
    unlinkat(directory, name, 0);
    // Permissions of the socket file: nobody else may knock.
    mode_t before = umask(0177);
    int bound = bind(listener, (struct sockaddr *)&address, sizeof address);
    umask(before);
    if (bound != 0 || listen(listener, 16) != 0) return close_keeping_error(listener);
    return listener;
}

int dkron_unix_connect(int directory, const char *name) {
    struct sockaddr_un address;
    if (address_of(&address, directory, name) != 0) return -1;
    int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (connection < 0) return -1;
    if (connect(connection, (struct sockaddr *)&address, sizeof address) != 0)
        return close_keeping_error(connection);
    return connection;
}

int dkron_unix_accept(int listener) {
    return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

int dkron_peer(int descriptor, uid_t *user, pid_t *process) {
    struct ucred credentials;
    socklen_t size = sizeof credentials;
    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return -1;
    *user = credentials.uid;
    *process = credentials.pid;
    return 0;
}

ssize_t dkron_send(int descriptor, const void *bytes, size_t count) {
    return send(descriptor, bytes, count, MSG_NOSIGNAL);
}

int dkron_process_descriptor(pid_t process) {
    // Close-on-exec by itself. The C library may be older than the call.
    return (int)syscall(SYS_pidfd_open, process, 0);
}
