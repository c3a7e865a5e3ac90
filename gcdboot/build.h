/* build: from the configuration to a root with the host in it. Runs in the builder's process. */
#ifndef GCDBOOT_BUILD_H
#define GCDBOOT_BUILD_H

#include "../conf/conf.h"
#include "err.h"
#include "state.h"

/*
 * Finds the disk (waiting for it), checks it, makes the mount namespace, mounts the root on root_path and binds the host's mounts into it: find ->
 * plan -> apply. `staging` is a directory that an overlay may be put together in. Fills in the state: device, ids, what was skipped, the boot commands.
 * Returns the root's descriptor (O_PATH), or -errno with everything undone that the end of this process does not undo.
 */
int build(const struct conf *conf, const char *root_path, const char *staging, int log_fd, struct state *state, struct err *err);

#endif
