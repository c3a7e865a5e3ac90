/* device_match: which of the devices a tag means, and the words for those that cannot be taken. Pure: no device is touched. */
#ifndef GCDBOOT_DEVICE_MATCH_H
#define GCDBOOT_DEVICE_MATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "device.h"

/* Two values of device.usage that are not libblkid's; type is NULL with both. */
#define DEVICE_AMBIVALENT "ambivalent"       /* signatures of several filesystems */
#define DEVICE_PARTITIONED "partition table" /* a whole disk with partitions */

/* The devices that have the tag, and could be meant. */
struct device_matches {
	const struct device **device; /* of the list */
	size_t count;
};

/* Whether the kernel could mount it by itself: a member of a ZFS pool counts as a filesystem for libblkid, but not here. */
bool device_is_filesystem(const struct device *device);

/*
 * Collects those with the tag (UUIDs whatever their case, all else to the byte). Where one at least is a filesystem, only filesystems count: an encrypted
 * volume, a RAID member or a physical volume can have the same name as what is inside it. Returns 0 or -ENOMEM; the caller frees matches->device.
 */
int device_match(struct device_matches *matches, const struct device_list *list, enum conf_source kind, const char *value);

/*
 * Refuses a device on which there is no filesystem, and tells what is there and what to do about it. `name` is how to call it (as text_safe() made
 * it). type_given: the configuration names the type, so that what libblkid does not know may be tried. Returns 0 or -EINVAL.
 */
int device_refuse_content(const struct device *device, const char *name, bool type_given, struct err *err);

/*
 * Refuses several matches, each with a source that means it alone (-ENOTUNIQ); where none of them can be taken, tells what each holds (-EINVAL).
 */
int device_refuse_many(const struct device_matches *matches, const char *source, bool type_given, struct err *err);

/* Refuses what was waited for in vain, with what there is. Returns -ENODEV. `what` is "filesystem with LABEL=/" or "device /dev/sdb1" (made safe here). */
int device_refuse_none(const struct device_list *list, const char *what, int waited_ms, struct err *err);

/*
 * Writes "/dev/vda1 ext4 LABEL=/, ...": at most `max` of those that hold something, filesystems first, and how many more there are; "nothing" where
 * there are none. The caller frees; NULL where memory is short.
 */
char *device_describe(const struct device_list *list, size_t max);

#endif
