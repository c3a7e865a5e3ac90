/* device: finds the block device that a tag names, waits for it, and tells what is on it. */
#ifndef GCDBOOT_DEVICE_H
#define GCDBOOT_DEVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../conf/conf.h"
#include "err.h"

/* One filesystem (or other content) on a block device, as libblkid sees it. Strings are owned; NULL where absent. */
struct device {
	char *node; /* "/dev/sdb1" */
	dev_t dev;
	uint64_t size; /* bytes */
	char *type;    /* "ext4", "swap", "crypto_LUKS", "LVM2_member"; NULL where nothing was recognised */
	char *usage;   /* libblkid's: "filesystem", "raid", "crypto", "other"; or, with type NULL, one of device_match.h */
	char *label, *uuid, *partlabel, *partuuid;
};

struct device_list {
	struct device *device;
	size_t count;
	dev_t *seen; /* what has been looked at, also what was left out */
	size_t seen_count;
};

/*
 * Probes every block device of /proc/partitions, with no cache and no udev. What cannot be opened or read is left out (an empty card reader).
 * Returns 0 or -errno. Free with device_list_clear().
 */
int device_scan(struct device_list *list, struct err *err);

/*
 * Looks again: takes away what is gone, and probes only what is new and the `count` devices of `changed`. A look is so no slower than these are, whatever
 * other device takes its time. The names that a partition table gives stand on another device, and are not seen anew.
 */
int device_rescan(struct device_list *list, const dev_t *changed, size_t count, struct err *err);
void device_list_clear(struct device_list *list);

/* What [root] source turned out to be. */
enum device_kind { DEVICE_BLOCK, DEVICE_DIRECTORY, DEVICE_IMAGE };

struct device_found {
	enum device_kind kind;
	char *path;            /* device node, directory or image file */
	char *type;            /* filesystem type that libblkid found; NULL for a directory */
	bool shared;           /* DEVICE_BLOCK, of which an overlay only reads: it is mounted read-only on the host, too */
	uint64_t offset, size; /* DEVICE_IMAGE: where the filesystem lies in the file, in bytes; size 0: to the end */
};

/* What goes on while device_find() waits. All of it may be NULL. */
struct device_wait {
	/* Called about once a second, with the time waited so far. */
	void (*tick)(void *arg, int waited_ms);
	/*
	 * Helps the device to appear (has Windows hand it over): called after a look that has not found it. Sets *fd to a descriptor that says when
	 * to call again (-1: none, nothing goes on) and *due_ms to the time after which to call again in any case (-1: never). Returns 1 where it is
	 * now on its way, 0 where it is not yet, -errno with err where waiting is of no use.
	 */
	int (*help)(void *arg, int *fd, int *due_ms, struct err *err);
	void *arg;
};

/*
 * Finds what conf->root.source names; where it is not there, waits up to conf->root.wait_ms for it: woken by the kernel's uevents
 * (NETLINK_KOBJECT_UEVENT), with a look at everything about once a second behind them. While `help` is at work, waiting has no end; when it
 * has done its work, the time begins anew, and is at least 15 s. Refuses, by name, two that match, none, one that is mounted elsewhere on the host
 * (table of the caller), an LVM or LUKS or swap device, and a partition that the image file does not have. `wait` may be NULL.
 * Returns 0 or -errno with err (-ENODEV: waited in vain). Free with device_found_clear().
 */
int device_find(struct device_found *found, const struct conf *conf, const struct device_wait *wait, struct err *err);
void device_found_clear(struct device_found *found);

/*
 * Runs fsck -a on the node; refuses (-EUCLEAN) where it could not mend. Without `mend` it is fsck -n, which writes nothing: refuses where there is
 * something to mend. Its output goes to log_fd. fsck(8) tells the exit codes.
 */
int device_fsck(const char *node, const char *type, bool mend, int log_fd, struct err *err);

/* Whether nothing on this machine uses the block device any more: 1, 0, or -errno. Opens it O_EXCL, which the kernel refuses for a mounted one. */
int device_is_free(const char *node);

#endif
