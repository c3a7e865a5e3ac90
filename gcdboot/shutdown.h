/* shutdown: stops the OS and gives everything back, within a time. */
#ifndef GCDBOOT_SHUTDOWN_H
#define GCDBOOT_SHUTDOWN_H

#include <errno.h>

#include "err.h"
#include "spawn.h"
#include "state.h"

struct shutdown {
	struct state *state;
	struct spawn *spawn;            /* its root descriptor is closed on the way: it would keep the root busy */
	const struct strlist *commands; /* [stop] run; NULL: none (a boot that failed) */
	pid_t supervisor;               /* whose descendants the OS's processes are; 0: unknown */
	int null_fd, log_fd;
	int timeout_ms;
};

/* Everything has been given back, but the disk was gone before: what the OS had not written to it is lost. */
#define SHUTDOWN_LOST (-ENODEV)

/*
 * Runs the stop commands, sends TERM to every process of the OS (HUP too where it has a terminal), KILL to those left after three quarters of the
 * time, turns off its swap, unmounts the latest first, and looks whether the block device is free. Everything is bounded by the time, plus 2 s of
 * grace for the kernel. On WSL the disk goes back to Windows at the end, where the state says so. Tells each step through log.h. Returns 0 with nothing
 * left, SHUTDOWN_LOST with err, or -EBUSY with err; what holds it, and what could not be unmounted, has been told line by line then.
 */
int shutdown_run(struct shutdown *shutdown, struct err *err);

/* Gives state->detach back to Windows, where it is set, within limit_ms. What cannot be done is a warning. For a boot that did not come to its root. */
void shutdown_give_back(struct state *state, char *const *environment, int limit_ms);

#endif
