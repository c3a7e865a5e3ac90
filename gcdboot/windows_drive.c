/* windows_drive: the drives of Windows in a mount table. Pure. */
#include "windows_drive.h"

#include <ctype.h>
#include <string.h>

#include "util.h"

/* The text behind `name` in an option string, where that is one of its words. The 9p server's own options stand in one word, with ';' between them. */
static const char *find_option(const char *options, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = options; p && (p = strstr(p, name)); p += len)
		if (p == options || strchr(",; ", p[-1]))
			return p + len;
	return NULL;
}

static const char *option_of(const struct table_mount *mount, const char *name)
{
	const char *value = find_option(mount->super_options, name);

	return value ? value : find_option(mount->options, name);
}

/* The letter of "C:", "C:\" or "C:\134" (as the kernel escapes it in options), which end at `ends`; '\0' where it is anything else. */
static char drive_letter(const char *text, const char *ends)
{
	const char *rest = text + 2;

	if (!isalpha((unsigned char)text[0]) || text[1] != ':')
		return '\0';
	if (strncmp(rest, "\\134", 4) == 0)
		rest += 4;
	else if (*rest == '\\' || *rest == '/')
		rest++;
	return strchr(ends, *rest) ? (char)toupper((unsigned char)text[0]) : '\0';
}

static bool is_whole(const struct table_mount *mount)
{
	return !mount->root || strcmp(mount->root, "/") == 0;
}

/* Whether the mount shows a drive, and which one. */
static bool is_drive(const struct table_mount *mount, struct windows_drive *drive)
{
	const char *aname, *path;

	*drive = (struct windows_drive){ .target = mount->target };
	if (strcmp(mount->type, "drvfs") == 0 || strcmp(mount->type, "virtiofs") == 0) {
		drive->letter = drive_letter(mount->source, "");
		/* drvfs names a directory or a server's share in full; of virtiofs the source is a tag. */
		return drive->letter || strcmp(mount->type, "virtiofs") == 0;
	}
	aname = strcmp(mount->type, "9p") == 0 ? option_of(mount, "aname=") : NULL;
	if (!aname || strncmp(aname, "drvfs", 5) != 0 || !strchr(",; ", aname[5]))
		return false;
	path = option_of(mount, "path=");
	drive->letter = path ? drive_letter(path, ",; ") : drive_letter(mount->source, "");
	return drive->letter || !path;
}

/* Smaller comes first. */
static int rank(const struct windows_drive *drive)
{
	return drive->letter == 'C' ? 0 : drive->letter ? 1 : 2;
}

static size_t insert(struct windows_drive *drives, size_t count, const struct windows_drive *drive)
{
	size_t at = count;

	while (at > 0 && rank(&drives[at - 1]) > rank(drive))
		at--;
	if (at == WINDOWS_DRIVES_MAX)
		return count;
	if (count == WINDOWS_DRIVES_MAX)
		count--;
	memmove(&drives[at + 1], &drives[at], (count - at) * sizeof *drives);
	drives[at] = *drive;
	return count + 1;
}

size_t windows_drives(const struct table *table, struct windows_drive drives[WINDOWS_DRIVES_MAX])
{
	auto_free bool *visible = calloc(table->count + 1, sizeof *visible);
	size_t count = 0;

	if (!visible || table_visible(table, visible) < 0)
		return 0;
	for (size_t i = 0; i < table->count; i++) {
		struct windows_drive drive;

		if (visible[i] && is_whole(&table->mount[i]) && is_drive(&table->mount[i], &drive))
			count = insert(drives, count, &drive);
	}
	return count;
}
