/* overlay: a root whose source is only read: what is written goes to a tmpfs. */
#ifndef GCDBOOT_OVERLAY_H
#define GCDBOOT_OVERLAY_H

#include <stddef.h>

#include "err.h"
#include "mnt.h"
#include "table.h"

#define OVERLAY_STAGING "overlay" /* the directory in /run/gcdboot/NAME */

/*
 * Mounts an overlay on root->target: root->source below, a tmpfs above. The two are mounted in the directory `staging` (made with mode 0700) and unmounted
 * again at once: the overlay keeps them, and nobody else has them in sight. root->options are for the source, which is mounted with `quiet`
 * (readonly.h) behind them; those of them that are flags of a mount (nosuid, nodev, noexec, noatime ...) count for the overlay as well.
 * Changes the working directory to "/". Returns 0, or -errno with nothing left.
 */
int overlay_mount(const struct mnt_root *root, const char *quiet, const char *staging, struct err *err);

/* How many mounts lie below the directory: they do not come with it, as a layer of an overlay is one mount only. */
size_t overlay_left_out(const struct table *table, const char *directory);

#endif
