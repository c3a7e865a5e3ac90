/* device_probe: looks at the content of one device, or of a part of an image file. */
#ifndef GCDBOOT_DEVICE_PROBE_H
#define GCDBOOT_DEVICE_PROBE_H

#include <blkid/blkid.h>

#include "device.h"

/* Puts the block device `node` alone in the list (its partition names, which stand on another device, are left out). Returns 0 or -errno. */
int device_probe(struct device_list *list, const char *node, struct err *err);

/*
 * Reads the superblock: sets the device's type, usage, label and uuid from a probe whose range is set. Returns 0 (with type NULL where nothing
 * is known, or several signatures contradict each other: usage is then DEVICE_AMBIVALENT) or -errno.
 */
int device_probe_content(struct device *device, blkid_probe probe);

/* Frees the device's strings. */
void device_clear(struct device *device);

#endif
