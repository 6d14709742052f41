#define _GNU_SOURCE
#include "CSystem.h"

#include <fcntl.h>
#include <malloc.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <unistd.h>

int csystem_accept(int listener, struct sockaddr_storage *client) {
    socklen_t length = sizeof *client;
    return accept4(listener, (struct sockaddr *)client, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

int csystem_pipe(int ends[2], int nonblocking) {
    return pipe2(ends, O_CLOEXEC | (nonblocking ? O_NONBLOCK : 0));
}

int csystem_close_from(unsigned int first) { return close_range(first, ~0U, 0); }

int csystem_die_with_parent(int signal) { return prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0); }

int csystem_become_subreaper(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

int csystem_set_process_name(const char *name) { return prctl(PR_SET_NAME, name, 0, 0, 0); }

void csystem_limit_allocator_arenas(int count) { mallopt(M_ARENA_MAX, count); }
