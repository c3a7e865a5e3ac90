/* windows_disk: the disks that Windows has, as powershell.exe tells them, and which of them is meant. Pure. */
#ifndef GCDBOOT_WINDOWS_DISK_H
#define GCDBOOT_WINDOWS_DISK_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

#define WINDOWS_DRIVE_PREFIX "\\\\.\\PHYSICALDRIVE"
#define WINDOWS_DRIVE_NAME 32 /* room for the prefix and a number */

struct windows_disk {
	int number;                 /* of PHYSICALDRIVEn */
	bool boot, system, offline; /* Windows runs from it; its boot loader lies there; Windows leaves it alone */
	char *letters;              /* of the volumes on it: "DE" */
	char *serial, *model;       /* without the blanks that pad them; "" where there is none */
};

struct windows_disks {
	struct windows_disk *disk;
	size_t count;
	char *profile; /* %USERPROFILE%, or NULL */
};

/* The arguments of powershell.exe that ask for all of it. It asks the same class as Get-Disk does, without loading its module. */
extern const char *const windows_disks_arguments[];

/* Reads the answer. Lines that are none of it are passed over. Returns 0, -ENOMEM, or -EPROTO where no disk is in it. */
int windows_disks_parse(struct windows_disks *disks, const char *text);
void windows_disks_clear(struct windows_disks *disks);

/* The number in "\\.\PHYSICALDRIVE1"; -1 for another way to name a disk. */
int windows_drive_number(const char *spec);

/*
 * Which disk `spec` means: \\.\PHYSICALDRIVEn, serial:... or model:... (case does not count, '*' stands for anything). Returns 0 with its number, or
 * -ENODEV (none: err lists what there is), -ENOTUNIQ (several), -EBUSY (Windows runs from it).
 */
int windows_disk_choose(const struct windows_disks *disks, const char *spec, int *number, struct err *err);

/* "PHYSICALDRIVE1 (WDC WD80EFZX, serial WD-1234)"; the caller frees. NULL where memory is short. */
char *windows_disk_describe(const struct windows_disk *disk);

#endif
