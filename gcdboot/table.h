/* table: one mount table, read once, as data. */
#ifndef GCDBOOT_TABLE_H
#define GCDBOOT_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

/* One line of /proc/self/mountinfo or /proc/mounts, decoded. Absent fields are NULL (strings) or -1 (numbers). */
struct table_mount {
	int id;                /* mount id; -1 in a /proc/mounts table */
	int parent;            /* parent's mount id; -1 where unknown */
	unsigned major, minor; /* 0:0 where unknown */
	const char *root;      /* what of the filesystem is mounted, with a "//deleted" tail where that was unlinked; NULL where unknown */
	const char *target;    /* the mount point, decoded and clean (path_clean()), without a "//deleted" tail */
	const char *type;
	const char *source;        /* may be "" */
	const char *options;       /* of the mount: "rw,nosuid" */
	const char *super_options; /* of the filesystem; NULL where unknown */
	const char *propagation;   /* the optional fields: "shared:1 master:2"; "" where private */
	bool deleted;              /* the mount point was unlinked ("//deleted") */
};

struct table {
	struct table_mount *mount;
	size_t count;
	char *text; /* the file, which the strings lie in */
};

/*
 * Reads a mount table in either format (told apart by its first line). path NULL means the caller's own, /proc/self/mountinfo.
 * A line that cannot be read is an error: "mount table line 17: bad field 5". The file is read once, whole.
 * Returns 0 or -errno. Free with table_clear().
 * proc_pid_mountinfo(5).
 */
int table_read(struct table *table, const char *path, struct err *err);

void table_clear(struct table *table);

/*
 * table_visible.c: sets visible[i] (table->count of them) for each mount that a look-up of its mount point reaches; the rest are covered by others,
 * or their mount point is gone. At most one is visible at one mount point. O(n log n). Returns 0 or -ENOMEM.
 */
int table_visible(const struct table *table, bool *visible);

/*
 * The mount that a look-up of `target` (clean) reaches: of several at one mount point the topmost; NULL where none is mounted exactly there, or
 * a mount above covers it, or memory is short. It looks through the whole table: for many questions use table_visible().
 */
const struct table_mount *table_find_target(const struct table *table, const char *target);

#endif
