/* rundir: /run/gcdboot/NAME: the lock that is held for as long as a supervisor lives, and the files beside it. */
#ifndef GCDBOOT_RUNDIR_H
#define GCDBOOT_RUNDIR_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

#include "err.h"

#define RUNDIR_BASE "/run/gcdboot"

struct rundir {
	char path[256];    /* "/run/gcdboot/NAME" */
	char control[280]; /* its control socket */
	char log[280];     /* its boot.log */
	int lock;          /* the held lock, or -1 */
};

/* Fills in the names. NAME is a plain file name: -EINVAL (usage) where it holds a "/", begins with a dot or is too long. Touches nothing. */
int rundir_name(struct rundir *rundir, const char *name, struct err *err);

/*
 * Makes the directory (0755: other users' `status` may look for it; the files in it are root's) and takes the lock. -EALREADY where another process
 * holds it.
 */
int rundir_lock(struct rundir *rundir, struct err *err);

/* Writes into the held lock who holds it since when, for rundir_holder(). */
void rundir_sign(const struct rundir *rundir, pid_t pid, time_t since);

/*
 * Who holds the lock: pid and since. A holder signs a moment after it has locked: waited for, 2 s at most. Returns 0, -ESRCH where nobody holds it,
 * -ETIMEDOUT.
 */
int rundir_holder(const struct rundir *rundir, pid_t *pid, time_t *since);

/* The NAME, as -n takes it. */
const char *rundir_os_name(const struct rundir *rundir);

/* Whether some process holds the lock: a supervisor lives. Touches nothing. */
bool rundir_is_locked(const struct rundir *rundir);

/* Gives up the lock, also for a child that hangs in the kernel and has it open still; the files stay. */
void rundir_unlock(struct rundir *rundir);

/*
 * Removes what a supervisor left (its state and socket, with_log: the boot log too), the lock last, and the directories where they are empty then.
 * Gives up the lock.
 */
void rundir_remove(struct rundir *rundir, bool with_log);

#endif
