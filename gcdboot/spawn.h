/* spawn: starts a command inside the OS. */
#ifndef GCDBOOT_SPAWN_H
#define GCDBOOT_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#include "err.h"
#include "util.h"

/* Where the OS is, and what its processes are given. */
struct spawn {
	int ns;   /* its mount namespace; -1: the caller's own */
	int root; /* its root directory, O_PATH */
	const struct strlist *caps_drop;
	const struct strlist *env_pass;
	char *const *environment; /* the one gcdboot was started with: env_pass picks from it */
	const char *interop;      /* on WSL: "WSL_INTEROP=..." with a socket that lives, in the place of the environment's; NULL: none */
};

/*
 * Turns the calling process into one of the OS: namespace, root directory, "/" as working directory, bounding set. After it nothing of the host is
 * reached by path. Returns 0 or -errno.
 */
int spawn_enter(const struct spawn *spawn, struct err *err);

/* The variables that env_pass lets through, as "NAME=VALUE". Returns a malloc'ed, NULL-terminated array of strings that are not owned, or NULL. */
char **spawn_passed(const struct spawn *spawn);

/*
 * Forks a child that runs line by the root's own /bin/sh -c: in a session of its own, without a terminal, stdin from null_fd, stdout and stderr to
 * log_fd, default signals, a clean environment. Returns its pid or -errno. What goes wrong in the child is written to log_fd; it then ends with 126
 * or 127.
 */
pid_t spawn_shell(const struct spawn *spawn, const char *line, int null_fd, int log_fd, struct err *err);

#endif
