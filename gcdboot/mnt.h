/* mnt: the only module that makes the system calls which change mounts. */
#ifndef GCDBOOT_MNT_H
#define GCDBOOT_MNT_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"

/*
 * Gives the caller a mount namespace of its own in which every mount is a slave: what the host mounts later still arrives, nothing goes back.
 * mount_namespaces(7).
 */
int mnt_unshare(struct err *err);

/* How the root is to be mounted. */
struct mnt_root {
	const char *source; /* block device, image file or directory */
	const char *target; /* an existing directory of the host */
	const char *type;   /* NULL: libmount finds it out */
	const char *options;
	const char *shown; /* what messages call the target; NULL: by its own name */
	bool directory;    /* bind the source, with what is mounted below it */
	bool alone;        /* of a directory: without that */
	bool image;        /* through a loop device that goes away with the mount */
	uint64_t offset, size;
};

/*
 * Mounts the root through libmount, without /sbin/mount.* helpers and without a trace in /run/mount; its mount is then made private, so that nothing
 * that is mounted in it spreads. Returns 0 or -errno.
 */
int mnt_root(const struct mnt_root *root, struct err *err);

/* The parts of an overlay in the directory where it is put together. */
#define MNT_LOWER "lower"
#define MNT_UPPER "upper"
#define MNT_WORK "work"

/* Whether the kernel has overlayfs, or can load it: 0, or -ENODEV with err saying what to do. */
int mnt_has_overlay(struct err *err);

/* Mounts a tmpfs (as large as tmpfs(5) makes it: half of the memory) that only root can look into; what is mounted in it does not spread. */
int mnt_tmpfs(const char *target, struct err *err);

/*
 * Mounts an overlay of MNT_LOWER, MNT_UPPER and MNT_WORK in the working directory on target; its mount is private. Of `options` (of which mount(8)
 * knows more) those count that are flags of a mount, but for "ro". `source` is for messages.
 */
int mnt_overlay(const char *source, const char *target, const char *options, struct err *err);

/* A source to be bound: a detached copy of the mount (open_tree(2)), or on kernels before 5.2 the place itself. */
struct mnt_source {
	int fd;
	bool detached;
};

/* Opens what is mounted at source, without stat and without triggering an automount. The caller closes source->fd. */
int mnt_open_source(struct mnt_source *source, const char *path, struct err *err);

/*
 * Makes the copy a slave and, where asked for, read-only, before it is seen anywhere. -ENOSYS where it is no detached copy, or the kernel (before
 * 5.12) cannot: then it has to be done when it is mounted.
 */
int mnt_prepare(const struct mnt_source *source, bool slave, bool readonly, struct err *err);

/* Mounts it on the place that target_fd (O_PATH) refers to. */
int mnt_attach(const struct mnt_source *source, int target_fd, struct err *err);

/*
 * The quick way for directories: binds the directory `source` on target_fd with one mount(2) call. Changes the caller's working directory to the
 * target (that is how a descriptor is named to mount(2) without /proc). Triggers an automount where the source is one.
 */
int mnt_bind_directory(const char *source, int target_fd, struct err *err);

/* Makes the mount that fd refers to read-only; its other flags stay. */
int mnt_set_readonly(int fd, struct err *err);

/* Makes the mount that fd refers to a slave: mounts arrive in it but do not leave it. */
int mnt_set_slave(int fd, struct err *err);

/* Unmounts what is on top at path; a link at its end is not followed. Returns 0 or -errno (-EBUSY). */
int mnt_umount(const char *path);

/* Unmounts it lazily: out of sight now, gone when its last user is. Only for what the host has mounted elsewhere as well. */
int mnt_detach(const char *path);

/* The same for the mount that fd refers to: takes back a bind that was only just made. */
int mnt_detach_fd(int fd);

/* swapoff(2). */
int mnt_swapoff(const char *path);

#endif
