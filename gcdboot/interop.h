/* interop: the sockets by which WSL runs Windows programs, of which some are dead. */
#ifndef GCDBOOT_INTEROP_H
#define GCDBOOT_INTEROP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

#include "err.h"

#define INTEROP_DIR "/run/WSL"
#define INTEROP_PATH 108 /* no more than a socket's address holds */

/* A socket in the directory. */
struct interop_socket {
	char name[64];
	uid_t owner;
	struct timespec made;
};

/*
 * Orders them as they are to be tried: 1_interop and 2_interop, which live as long as the distribution, then the newest first; root's before those of
 * others, who could answer in Windows' name. Pure.
 */
void interop_order(struct interop_socket *sockets, size_t count);

/* Whether somebody listens on it (a link is followed): connect() within a moment. */
bool interop_answers(const char *path);

/*
 * Finds a socket that answers: `preferred` ($WSL_INTEROP; NULL: none; a link counts as what it leads to), else one of `dir`, links left aside.
 * Returns 0 with its path, or -ENOTCONN with err telling what was tried.
 */
int interop_find(const char *dir, const char *preferred, char path[INTEROP_PATH], struct err *err);

/* The value of a variable in an environment; NULL where it is not there. */
const char *interop_variable(char *const *environment, const char *name);

#endif
