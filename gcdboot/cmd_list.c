/* cmd_list: gcdboot list: the filesystems that could be a root. */
#include <errno.h>
#include <libsmartcols.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "device.h"
#include "device_match.h"
#include "device_use.h"
#include "table.h"
#include "text.h"

enum column { COLUMN_DEVICE, COLUMN_LABEL, COLUMN_UUID, COLUMN_TYPE, COLUMN_SIZE, COLUMN_MOUNTED, COLUMNS };

static const char *const headings[COLUMNS] = { "DEVICE", "LABEL", "UUID", "TYPE", "SIZE", "MOUNTED" };

/* Filesystems without owners, modes or links: no Unix root lives there. */
static const char *const foreign[] = { "vfat", "exfat", "ntfs", "ReFS", "iso9660", "udf" };

static bool could_be_root(const struct device *device)
{
	if (!device_is_filesystem(device))
		return false;
	for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
		if (strcmp(device->type, foreign[i]) == 0)
			return false;
	return true;
}

/* "512B", "20M", "1.8T": two figures are enough to tell disks apart. */
static void format_size(char *text, size_t size, uint64_t bytes)
{
	static const char units[] = "BKMGTPE";
	double value = (double)bytes;
	size_t unit = 0;

	/* 1023.95 would be shown as 1024.0. */
	while (value >= 1023.95 && units[unit + 1]) {
		value /= 1024;
		unit++;
	}
	if (unit == 0 || value >= 99.95 || value - (double)(uint64_t)value < 0.05)
		snprintf(text, size, "%.0f%c", value, units[unit]);
	else
		snprintf(text, size, "%.1f%c", value, units[unit]);
}

/* Text that came from a disk or a mount table. JSON must be UTF-8, and escapes the rest itself; a terminal must not be steered by it. */
static int set_text(struct libscols_line *line, enum column column, const char *text, bool json)
{
	char *clean;

	if (!text)
		return 0;
	clean = json ? text_utf8(text) : text_safe(text);
	if (!clean)
		return -ENOMEM;
	return scols_line_refer_data(line, column, clean); /* the table's from here on */
}

static int add_line(struct libscols_table *out, const struct device *device, const struct table *mounts, bool json)
{
	const struct table_mount *mount = device_mount(mounts, device->dev);
	struct libscols_line *line = scols_table_new_line(out, NULL);
	char size[32];
	int ret;

	if (!line)
		return -ENOMEM;
	if (json)
		snprintf(size, sizeof size, "%llu", (unsigned long long)device->size);
	else
		format_size(size, sizeof size, device->size);
	ret = scols_line_set_data(line, COLUMN_SIZE, size);
	if (ret == 0)
		ret = set_text(line, COLUMN_DEVICE, device->node, json);
	if (ret == 0)
		ret = set_text(line, COLUMN_LABEL, device->label, json);
	if (ret == 0)
		ret = set_text(line, COLUMN_UUID, device->uuid, json);
	if (ret == 0)
		ret = set_text(line, COLUMN_TYPE, device->type, json);
	if (ret == 0 && mount)
		ret = set_text(line, COLUMN_MOUNTED, mount->target, json);
	return ret;
}

static int add_columns(struct libscols_table *out)
{
	for (int i = 0; i < COLUMNS; i++) {
		struct libscols_column *column = scols_table_new_column(out, headings[i], 0, i == COLUMN_SIZE ? SCOLS_FL_RIGHT : 0);

		if (!column)
			return -ENOMEM;
		if (i == COLUMN_SIZE && scols_table_is_json(out))
			scols_column_set_json_type(column, SCOLS_JSON_NUMBER);
	}
	return 0;
}

static int fill(struct libscols_table *out, const struct device_list *list, const struct table *mounts, bool json, size_t *shown)
{
	int ret;

	scols_table_set_name(out, "filesystems");
	scols_table_enable_json(out, json);
	ret = add_columns(out);
	for (size_t i = 0; i < list->count && ret == 0; i++) {
		if (!could_be_root(&list->device[i]))
			continue;
		ret = add_line(out, &list->device[i], mounts, json);
		++*shown;
	}
	return ret;
}

static int print(const struct device_list *list, const struct table *mounts, bool json, struct err *err)
{
	struct libscols_table *out = scols_new_table();
	size_t shown = 0;
	int ret = out ? fill(out, list, mounts, json, &shown) : -ENOMEM;

	if (ret == 0 && (shown > 0 || json))
		ret = scols_print_table(out);
	scols_unref_table(out);
	if (ret < 0)
		return err_set(err, -ret, "cannot make the table of filesystems");
	if (fflush(stdout) != 0 || ferror(stdout))
		return err_set(err, errno, "cannot write to standard output");
	if (shown == 0)
		fprintf(stderr, "gcdboot: no filesystem found that could be a root%s\n", geteuid() == 0 ? "" : " (only root can look at every device)");
	return 0;
}

int cmd_list(const struct cmd_options *options, struct err *err)
{
	struct device_list list;
	struct table mounts;
	int ret = table_read(&mounts, NULL, err);

	if (ret < 0)
		return ret;
	ret = device_scan(&list, err);
	if (ret == 0) {
		ret = print(&list, &mounts, options->json, err);
		device_list_clear(&list);
	}
	table_clear(&mounts);
	return ret;
}
