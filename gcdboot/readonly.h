/* readonly: how to mount a filesystem so that not a byte of it is written. */
#ifndef GCDBOOT_READONLY_H
#define GCDBOOT_READONLY_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"

/*
 * "ro" alone is not enough: also for a read-only mount the kernel replays a journal that was not emptied, and ends the deletion of files that were
 * open when the machine went down. Both write to the disk.
 */
struct readonly {
	const char *options; /* for mount(8), with "ro"; a constant */
	bool dirty;          /* it was not unmounted in order, and what is only in its journal will not be seen */
	bool loop;           /* mount it through a read-only loop device, also where it is a disk: nothing less keeps the kernel from writing */
};

/*
 * Looks into the device or image file `source`, where at `offset` (bytes) a filesystem of this type begins. Returns 0 or -errno. Of ext and btrfs the
 * superblock is read; an XFS or F2FS does not tell in one place whether it is dirty, and is always mounted without recovery.
 */
int readonly_look(struct readonly *how, const char *source, uint64_t offset, const char *type, struct err *err);

/* Whether filesystems of this type can never be written (squashfs, iso9660). type may be NULL. */
bool readonly_is_type(const char *type);

#endif
