/* build: from the configuration to a root with the host in it. Runs in the builder's process. */
#ifndef GCDBOOT_BUILD_H
#define GCDBOOT_BUILD_H

#include "../conf/conf.h"
#include "err.h"
#include "state.h"

struct build {
	const struct conf *conf;
	const char *root_path;
	const char *staging;      /* a directory that an overlay may be put together in */
	int log_fd;               /* for the output of fsck */
	char *const *environment; /* the one gcdboot was started with */
	/*
	 * WSL: the drive of Windows that is about to be attached, told before that is done, so that whoever ends us knows; NULL: it was not attached
	 * after all.
	 */
	void (*note_attached)(void *arg, const char *drive);
	void *arg;
};

/*
 * Finds the disk (where it is missing on WSL, has Windows attach it; waits for it), checks it, makes the mount namespace, mounts the root on root_path
 * and binds the host's mounts into it: find -> plan -> apply. Fills in the state: device, ids, what was skipped, the boot commands.
 * Returns the root's descriptor (O_PATH), or -errno with everything undone that the end of this process does not undo.
 */
int build(const struct build *build, struct state *state, struct err *err);

#endif
