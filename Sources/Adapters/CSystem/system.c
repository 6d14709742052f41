#define _GNU_SOURCE
#include "CSystem.h"

#include <malloc.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>

int csystem_accept(int listener, void *client) {
    socklen_t length = sizeof(struct sockaddr_storage);
    return accept4(listener, client, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

int csystem_set_process_name(const char *name) { return prctl(PR_SET_NAME, name, 0, 0, 0); }

void csystem_limit_allocator_arenas(int count) { mallopt(M_ARENA_MAX, count); }

void csystem_buffer_output_by_line(void) { setvbuf(stdout, NULL, _IOLBF, 0); }
