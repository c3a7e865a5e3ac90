/* teardown: takes back what a boot did to mounts, swap and directories. */
#ifndef GCDBOOT_TEARDOWN_H
#define GCDBOOT_TEARDOWN_H

#include "err.h"
#include "state.h"

/* The swap areas in use, as /proc/swaps names them. Returns 0 or -errno. */
int teardown_list_swaps(struct strlist *swaps);

/*
 * In the mount namespace ns (-1: the caller's own): turns off the swap that the boot turned on or that lies in the root, then unmounts the root's
 * mount and every mount in it, the latest first, whoever made them. What is busy is tried again until timeout_ms is over. The root is found by
 * state's mount point and mount id, so that a mount that somebody else made there later is left alone. Never lazily. Returns 0; -EBUSY with the mount
 * points that are left in `left`; other -errno. A child process does it: the caller's namespace stays its own.
 */
int teardown_mounts(const struct state *state, int ns, int timeout_ms, struct strlist *left, struct err *err);

/* Removes the directories of the host that the boot made (state->made), where they are empty. */
void teardown_directories(const struct state *state);

#endif
