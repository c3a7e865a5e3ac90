/* windows_disk: the disks that Windows has, as powershell.exe tells them, and which of them is meant. Pure. */
#include "windows_disk.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "text.h"
#include "util.h"
#include "windows_run.h"

/*
 * One argument, without a double quote, which would have to survive two shells' worth of quoting. The first line is for names that the console's code
 * page does not have; there is no console in a task, hence the try. A drive letter that is none is the character 0.
 */
#define STORAGE "-Namespace root/Microsoft/Windows/Storage -ClassName "
#define SCRIPT                                                                                                                                                 \
	"try{[Console]::OutputEncoding=[Text.Encoding]::UTF8}catch{};"                                                                                         \
	"'profile|'+$env:USERPROFILE;"                                                                                                                         \
	"$p=Get-CimInstance " STORAGE "MSFT_Partition;"                                                                                                        \
	"Get-CimInstance " STORAGE "MSFT_Disk|ForEach-Object{$d=$_;"                                                                                           \
	"$l=-join($p|Where-Object{$_.DiskNumber -eq $d.Number -and [int]$_.DriveLetter -gt 64}|ForEach-Object{[string]$_.DriveLetter});"                       \
	"'disk|{0}|{1}|{2}|{3}|{4}|{5}|{6}' -f $d.Number,$d.IsBoot,$d.IsSystem,$d.IsOffline,$l,$d.SerialNumber,$d.FriendlyName}"

const char *const windows_disks_arguments[] = {
	WINDOWS_POWERSHELL, "-NoLogo", "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-Command", SCRIPT, NULL,
};

/* A copy without the blanks around it. A serial number of an NVMe disk ends in a dot here and without it elsewhere: that goes, too. */
static char *trimmed(const char *text, const char *tail)
{
	size_t len;

	text += strspn(text, " \t");
	len = strlen(text);
	while (len > 0 && strchr(tail, text[len - 1]))
		len--;
	return strndup(text, len);
}

static void disk_clear(struct windows_disk *disk)
{
	free(disk->letters);
	free(disk->serial);
	free(disk->model);
}

void windows_disks_clear(struct windows_disks *disks)
{
	for (size_t i = 0; i < disks->count; i++)
		disk_clear(&disks->disk[i]);
	free(disks->disk);
	free(disks->profile);
	*disks = (struct windows_disks){ 0 };
}

static bool is_true(const char *word)
{
	return strcasecmp(word, "true") == 0;
}

/* What comes behind "disk|". The model comes last and may hold a '|'. Returns 1 where it is none. */
static int parse_disk(struct windows_disks *disks, char *fields)
{
	struct windows_disk disk = { 0 }, *grown;
	char *field[6], *end;

	for (size_t i = 0; i < 6; i++) {
		field[i] = strsep(&fields, "|");
		if (!field[i])
			return 1;
	}
	disk.number = (int)strtol(field[0], &end, 10);
	if (end == field[0] || *end || disk.number < 0 || !fields)
		return 1;
	disk.boot = is_true(field[1]);
	disk.system = is_true(field[2]);
	disk.offline = is_true(field[3]);
	disk.letters = trimmed(field[4], " ");
	disk.serial = trimmed(field[5], " \t.");
	disk.model = trimmed(fields, " \t");
	grown = reallocarray(disks->disk, disks->count + 1, sizeof disk);
	if (grown)
		disks->disk = grown;
	if (!grown || !disk.letters || !disk.serial || !disk.model) {
		disk_clear(&disk);
		return -ENOMEM;
	}
	disks->disk[disks->count++] = disk;
	return 0;
}

int windows_disks_parse(struct windows_disks *disks, const char *text)
{
	auto_free char *copy = strdup(text);
	char *rest = NULL;
	int r = copy ? 0 : -ENOMEM;

	*disks = (struct windows_disks){ 0 };
	for (char *line = copy ? strtok_r(copy, "\n", &rest) : NULL; line && r >= 0; line = strtok_r(NULL, "\n", &rest)) {
		if (strncmp(line, "disk|", 5) == 0)
			r = parse_disk(disks, line + 5);
		else if (strncmp(line, "profile|", 8) == 0 && line[8] && !disks->profile)
			r = (disks->profile = strdup(line + 8)) ? 0 : -ENOMEM;
	}
	if (r >= 0)
		r = disks->count ? 0 : -EPROTO;
	if (r < 0)
		windows_disks_clear(disks);
	return r;
}

int windows_drive_number(const char *spec)
{
	size_t len = strlen(WINDOWS_DRIVE_PREFIX);

	return strncasecmp(spec, WINDOWS_DRIVE_PREFIX, len) == 0 && isdigit((unsigned char)spec[len]) ? (int)strtol(spec + len, NULL, 10) : -1;
}

static bool is_meant(const char *have, const char *want)
{
	auto_free char *clean = trimmed(want, " \t.");

	return clean && *have && (strcasecmp(have, clean) == 0 || fnmatch(clean, have, FNM_CASEFOLD) == 0);
}

static bool is_match(const struct windows_disk *disk, const char *spec)
{
	int number = windows_drive_number(spec);

	if (number >= 0)
		return disk->number == number;
	if (strncmp(spec, "serial:", 7) == 0)
		return is_meant(disk->serial, spec + 7);
	return strncmp(spec, "model:", 6) == 0 && is_meant(disk->model, spec + 6);
}

char *windows_disk_describe(const struct windows_disk *disk)
{
	auto_free char *model = text_safe(disk->model), *serial = text_safe(disk->serial);
	const char *use = disk->boot || disk->system ? ", Windows runs from it" : "";
	char *text;

	if (!model || !serial ||
	    asprintf(&text, "PHYSICALDRIVE%d (%s%s%s%s)", disk->number, *model ? model : "no model", *serial ? ", serial " : "", serial, use) < 0)
		return NULL;
	return text;
}

/* "PHYSICALDRIVE0 (...), PHYSICALDRIVE1 (...)": all, or those that match. */
static void describe(const struct windows_disks *disks, const char *spec, char *text, size_t size)
{
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < disks->count && len < size; i++) {
		auto_free char *one = spec && !is_match(&disks->disk[i], spec) ? NULL : windows_disk_describe(&disks->disk[i]);

		if (one)
			len += (size_t)snprintf(text + len, size - len, "%s%s", len ? ", " : "", one);
	}
}

int windows_disk_choose(const struct windows_disks *disks, const char *spec, int *number, struct err *err)
{
	const struct windows_disk *found = NULL;
	auto_free char *name = text_safe(spec);
	char others[1024];
	size_t count = 0;

	for (size_t i = 0; i < disks->count; i++)
		if (is_match(&disks->disk[i], spec)) {
			found = &disks->disk[i];
			count++;
		}
	if (count > 1) {
		describe(disks, spec, others, sizeof others);
		return err_set(err, -ENOTUNIQ, "%s is not one disk of Windows but %zu: %s; name it by its serial number", name ? name : "it", count, others);
	}
	if (!found) {
		describe(disks, NULL, others, sizeof others);
		return err_set(err, -ENODEV, "Windows has no disk %s; it has %s", name ? name : "of that name", others);
	}
	if (found->boot || found->system)
		return err_set(err, -EBUSY, "PHYSICALDRIVE%d (%s) is the disk that Windows runs from, which cannot be attached", found->number,
			       name ? name : "as asked for");
	*number = found->number;
	return 0;
}
