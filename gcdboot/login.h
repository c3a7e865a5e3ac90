/* login: becomes root of another root directory: its groups, its environment, its shell. No NSS: the files are read by descriptor. */
#ifndef GCDBOOT_LOGIN_H
#define GCDBOOT_LOGIN_H

#include <limits.h>
#include <stddef.h>
#include <sys/types.h>

#include "err.h"

#define LOGIN_GROUPS 64

/* root, as /etc/passwd and /etc/group of one root directory know it. */
struct login {
	char home[PATH_MAX];  /* "/root", or "/" */
	char shell[PATH_MAX]; /* "/bin/sh" where passwd names none */
	gid_t groups[LOGIN_GROUPS];
	int group_count;
	int descriptors_end; /* see close_from() */
};

/*
 * Reads etc/passwd and etc/group below root_fd (links are followed inside it: a root of its own). Missing files are no error: the result then has
 * the defaults and group 0 alone. To be called before chroot(2), so that no file is opened between chroot and execve.
 */
void login_read(struct login *login, int root_fd);

/*
 * The environment of someone who has just logged in: PATH, HOME, SHELL, USER and LOGNAME are the login's; TERM, COLORTERM, LANG, LC_* and TZ stay
 * as they are; nothing else does. `extra` (NULL-terminated NAME=VALUE strings, or NULL) is added. Returns a malloc'ed array of malloc'ed strings, or NULL.
 */
char **login_environment(const struct login *login, char *const *extra);

/* For a command that nobody has logged in for: PATH and HOME, and `extra`. */
char **login_environment_bare(const struct login *login, char *const *extra);

/*
 * The last steps after the caller has chroot'ed: groups, gid and uid 0, working directory (home, else "/"), every descriptor above 2 closed, signal
 * dispositions and mask back to the default, then execve: argv, or the login shell with "-" before its name where argv is NULL or empty.
 * Returns only on failure, with the exit status to use: 127 not found, 126 found but not to be run, 1 the rest.
 */
int login_exec(const struct login *login, char *const *argv, char **environment, struct err *err);

#endif
