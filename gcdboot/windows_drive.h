/* windows_drive: the drives of Windows in a mount table. Pure. */
#ifndef GCDBOOT_WINDOWS_DRIVE_H
#define GCDBOOT_WINDOWS_DRIVE_H

#include <stddef.h>

#include "table.h"

#define WINDOWS_DRIVES_MAX 8

struct windows_drive {
	const char *target; /* its mount point, of the table: "/mnt/c" */
	char letter;        /* 'C'; '\0' where the table does not tell */
};

/*
 * Finds the mounts that show the whole of a drive: type 9p with aname=drvfs among its options, drvfs (until 2020), or virtiofs. C: comes first, then those
 * whose letter is known, then the others, each in the table's order. What is covered, or shows only a directory of a drive, does not count.
 * Fills in at most WINDOWS_DRIVES_MAX and returns how many.
 */
size_t windows_drives(const struct table *table, struct windows_drive drives[WINDOWS_DRIVES_MAX]);

#endif
