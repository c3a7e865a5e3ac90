/* device_use: whether something on this host uses a device already. */
#ifndef GCDBOOT_DEVICE_USE_H
#define GCDBOOT_DEVICE_USE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "table.h"

/* The first mount of the table that shows a filesystem of this block device, its root directory before a part of it; NULL where there is none. */
const struct table_mount *device_mount(const struct table *table, dev_t dev);

/*
 * Whether a block device that was there has been taken away: the kernel has no such number any more. A filesystem that has a number of its own (0:N, as
 * btrfs) is known by the node alone.
 */
bool device_is_gone(unsigned dev_major, unsigned dev_minor, const char *node);

/*
 * Refuses (-EBUSY) a block device that is mounted, swapped on, or held by another device, and tells where. Returns 0 where it is free. Who is only
 * `reading` may share it with a mount of this host that is read-only, too.
 */
int device_refuse_used(const char *node, dev_t dev, bool reading, const struct table *table, struct err *err);

/* The same for a range of an image file (size 0: to the end), which a loop device may show already. `path` is the file's canonical path. */
int device_refuse_used_image(const char *path, uint64_t offset, uint64_t size, bool reading, const struct table *table, struct err *err);

#endif
