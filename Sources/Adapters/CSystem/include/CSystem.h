// What Glibc's module hides from Swift. `_GNU_SOURCE` is defined in the .c files only: in a header
// it would change the declarations that Swift imports from elsewhere. Nor is a header included here
// that Glibc's module has: its constants would belong to whichever module is loaded first.
#ifndef CSYSTEM_H
#define CSYSTEM_H

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#if __has_include("process.h")
#include "process.h"
#endif

/// Accepts a connection as non-blocking and close-on-exec, and stores the client's address in a
/// `struct sockaddr_storage`. Returns -1 with `errno` on failure.
int csystem_accept(int listener, void *client);

/// Shows `name` (at most 15 bytes) in process lists.
int csystem_set_process_name(const char *name);

/// Hands each line that is printed on standard output on at once, wherever that leads.
void csystem_buffer_output_by_line(void);

/// Keeps the allocator from reserving an arena per thread. Call before the first thread is made.
void csystem_limit_allocator_arenas(int count);

#endif
