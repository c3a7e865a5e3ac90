/* teardown: takes back what a boot did to mounts, swap and directories. */
#ifndef GCDBOOT_TEARDOWN_H
#define GCDBOOT_TEARDOWN_H

#include <stdbool.h>

#include "err.h"
#include "state.h"

/* The swap areas in use, as /proc/swaps names them. Returns 0 or -errno. */
int teardown_list_swaps(struct strlist *swaps);

/*
 * Whether a swap area is the OS's. Swap is the machine's, whoever turned it on; but /proc/swaps names it as it was named then, and what a process in
 * the OS names lies below the root, also a device (ROOT/dev/sdb2).
 */
bool teardown_is_own_swap(const struct state *state, const char *swap);

/*
 * In the mount namespace ns (-1: the caller's own): turns off the OS's swap, then unmounts the root's
 * mount and every mount in it, the latest first, whoever made them; and what is left of an overlay that was being put together. What is busy is tried again until busy_ms is over; one call that takes
 * long (swap read back, a slow disk written out) has timeout_ms, and some grace. The root is found by
 * state's mount point and mount id, so that a mount that somebody else made there later is left alone. Never lazily. Returns 0; -EBUSY with the mount
 * points that are left in `left`; other -errno. A child process does it: the caller's namespace stays its own.
 */
int teardown_mounts(const struct state *state, int ns, int busy_ms, int timeout_ms, struct strlist *left, struct err *err);

/* Removes the directories of the host that the boot made (state->made), where they are empty. */
void teardown_directories(const struct state *state);

#endif
