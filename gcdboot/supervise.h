/* supervise: the process that builds the OS, runs its boot commands, and stays until it is stopped. */
#ifndef GCDBOOT_SUPERVISE_H
#define GCDBOOT_SUPERVISE_H

#include "../conf/conf.h"
#include "err.h"
#include "rundir.h"
#include "state.h"

struct supervise {
	const struct conf *conf;
	struct rundir *rundir;     /* locked by the caller */
	char *const *environment;  /* the one gcdboot was started with */
	const char *notify_socket; /* $NOTIFY_SOCKET or NULL */
	struct state *adopt;       /* an OS whose supervisor died, to be taken over, with the time that is left to confirm it; NULL: boot one */
	/* Called once, when the OS is up (r 0) or the boot has failed and is undone (r -errno with err): the launcher waits for it. */
	void (*ready)(void *arg, int r, const struct err *err);
	void *ready_arg;
};

/*
 * Boots (or takes over), runs the boot commands, answers the control socket, and returns once the OS is stopped: 0 after an orderly stop, or -errno
 * where the boot failed or something was left at the end; -ETIME where the OS was not confirmed in time, whatever is left of it. SIGTERM and SIGINT stop it; SIGHUP does nothing.
 */
int supervise_run(const struct supervise *setup, struct err *err);

/*
 * Opens the mount namespace and the root directory of an OS whose supervisor died, through a process that lives in it. -ESRCH where none does.
 */
int supervise_find_os(const struct state *state, int *ns, int *root, struct err *err);

#endif
