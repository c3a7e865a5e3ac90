/* device_match: which of the devices a tag means, and the words for those that cannot be taken. */
#include "device_match.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "text.h"

#define SHOWN_DEVICES 8
#define SHOWN_NAME 48 /* bytes of a label in a list: btrfs allows 255 */

/* What libblkid calls the things that are no filesystem, and what makes a filesystem of each. */
static const struct content {
	const char *usage; /* NULL: any */
	const char *type;  /* NULL: any */
	const char *says;  /* with the type as %s */
} contents[] = {
	{ NULL, "zfs_member", "is part of a ZFS pool (%s): import the pool with zpool import, and name the directory as source" },
	{ NULL, "LVM1_member", "is an LVM physical volume (%s): activate it with vgchange -ay, and name the logical volume" },
	{ NULL, "LVM2_member", "is an LVM physical volume (%s): activate it with vgchange -ay, and name the logical volume" },
	{ NULL, "bcache", "is part of a bcache (%s): register it, and name the bcache device" },
	{ NULL, "swap", "is swap space (%s), not a filesystem" },
	{ NULL, "swsuspend", "is swap space with a suspended system in it (%s), not a filesystem" },
	{ "crypto", NULL, "holds an encrypted volume (%s): open it first with cryptsetup" },
	{ "raid", NULL, "is a member of a RAID (%s): assemble it first, with mdadm --assemble --scan" },
};

bool device_is_filesystem(const struct device *device)
{
	return device->type && device->usage && strcmp(device->usage, "filesystem") == 0 && strcmp(device->type, "zfs_member") != 0;
}

static bool has_usage(const struct device *device, const char *usage)
{
	return device->usage && strcmp(device->usage, usage) == 0;
}

static bool has_tag(const struct device *device, enum conf_source kind, const char *value)
{
	switch (kind) {
	case SOURCE_LABEL:
		return device->label && strcmp(device->label, value) == 0;
	case SOURCE_UUID:
		return device->uuid && strcasecmp(device->uuid, value) == 0;
	case SOURCE_PARTLABEL:
		return device->partlabel && strcmp(device->partlabel, value) == 0;
	case SOURCE_PARTUUID:
		return device->partuuid && strcasecmp(device->partuuid, value) == 0;
	case SOURCE_PATH:
		break;
	}
	return false;
}

static bool is_counted(const struct device_matches *matches, dev_t dev)
{
	for (size_t i = 0; i < matches->count; i++)
		if (matches->device[i]->dev == dev)
			return true;
	return false;
}

int device_match(struct device_matches *matches, const struct device_list *list, enum conf_source kind, const char *value)
{
	bool filesystems_only = false;

	/* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers it is */
	*matches = (struct device_matches){ .device = calloc(list->count + 1, sizeof *matches->device) };
	if (!matches->device)
		return -ENOMEM;
	for (size_t i = 0; i < list->count; i++)
		if (has_tag(&list->device[i], kind, value) && device_is_filesystem(&list->device[i]))
			filesystems_only = true;
	for (size_t i = 0; i < list->count; i++) {
		const struct device *device = &list->device[i];

		if (has_tag(device, kind, value) && (!filesystems_only || device_is_filesystem(device)) && !is_counted(matches, device->dev))
			matches->device[matches->count++] = device;
	}
	return 0;
}

static void put_safe(FILE *out, const char *text)
{
	auto_free char *safe = text_safe(text);

	fputs(safe ? safe : "?", out);
}

/* As put_safe(), but not longer than makes sense in a list. The cut is at the beginning of a UTF-8 character. */
static void put_short(FILE *out, const char *text)
{
	size_t len = strnlen(text, SHOWN_NAME + 1);
	char cut[SHOWN_NAME + 1];

	if (len > SHOWN_NAME) {
		len = SHOWN_NAME;
		while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
			len--;
		memcpy(cut, text, len);
		cut[len] = '\0';
		put_safe(out, cut);
		fputs("...", out);
	} else {
		put_safe(out, text);
	}
}

static const struct content *content_of(const struct device *device)
{
	for (size_t i = 0; i < sizeof contents / sizeof *contents; i++) {
		const struct content *c = &contents[i];

		if ((!c->usage || has_usage(device, c->usage)) && (!c->type || strcmp(c->type, device->type) == 0))
			return c;
	}
	return NULL;
}

/* Writes "NAME is swap space (swap), not a filesystem". */
static void put_refusal(FILE *out, const struct device *device, const char *name)
{
	const struct content *content = device->type ? content_of(device) : NULL;
	const char *percent;

	fprintf(out, "%s ", name);
	if (content) {
		percent = strstr(content->says, "%s");
		fwrite(content->says, 1, (size_t)(percent - content->says), out);
		fputs(device->type, out);
		fputs(percent + 2, out);
	} else if (device->type) {
		fprintf(out, "holds no filesystem (%s)", device->type);
	} else if (has_usage(device, DEVICE_PARTITIONED)) {
		fputs("holds a partition table: name one of its partitions", out);
	} else if (has_usage(device, DEVICE_AMBIVALENT)) {
		fputs("has the signatures of several filesystems: say which one with type =, or erase the wrong one with wipefs", out);
	} else {
		fputs("holds nothing that is known: no filesystem; where you know its type, say so with type =", out);
	}
}

static bool may_be_tried(const struct device *device, bool type_given)
{
	return device_is_filesystem(device) || (type_given && !device->type && !has_usage(device, DEVICE_PARTITIONED));
}

int device_refuse_content(const struct device *device, const char *name, bool type_given, struct err *err)
{
	auto_free char *text = NULL;
	size_t size;
	FILE *out;

	if (may_be_tried(device, type_given))
		return 0;
	out = open_memstream(&text, &size);
	if (!out)
		return err_set(err, errno, "cannot tell what is on a device");
	put_refusal(out, device, name);
	if (fclose(out) != 0)
		return err_set(err, errno, "cannot tell what is on a device");
	return err_set(err, -EINVAL, "%s", text);
}

/* Between the items of "a, b and c"; all is how many there are, and how many of them are shown. */
static void put_joint(FILE *out, size_t i, size_t all, size_t shown, const char *last)
{
	if (i == 0)
		return;
	fputs(i + 1 == all && shown == all ? last : ", ", out);
}

static void put_more(FILE *out, size_t all, size_t shown)
{
	if (all > shown)
		fprintf(out, " and %zu more", all - shown);
}

static bool is_alone(const struct device_matches *matches, const struct device *device, enum conf_source kind, const char *value)
{
	for (size_t i = 0; i < matches->count; i++)
		if (matches->device[i] != device && has_tag(matches->device[i], kind, value))
			return false;
	return true;
}

/* The source that means this one of the matches only: a copied disk has the same UUID, and then the partition's may still differ. */
static void put_own_source(FILE *out, const struct device_matches *matches, const struct device *device)
{
	if (device->uuid && is_alone(matches, device, SOURCE_UUID, device->uuid)) {
		fputs("UUID=", out);
		put_safe(out, device->uuid);
		fputs(" for ", out);
	} else if (device->partuuid && is_alone(matches, device, SOURCE_PARTUUID, device->partuuid)) {
		fputs("PARTUUID=", out);
		put_safe(out, device->partuuid);
		fputs(" for ", out);
	}
	put_safe(out, device->node);
}

static void put_matches(FILE *out, const struct device_matches *matches, size_t shown)
{
	fputs(" matches ", out);
	for (size_t i = 0; i < shown; i++) {
		put_joint(out, i, matches->count, shown, " and ");
		put_safe(out, matches->device[i]->node);
	}
	put_more(out, matches->count, shown);
	fputs(": use ", out);
	for (size_t i = 0; i < shown; i++) {
		put_joint(out, i, matches->count, shown, " or ");
		put_own_source(out, matches, matches->device[i]);
	}
}

static void put_refusals(FILE *out, const struct device_matches *matches, size_t shown)
{
	fputs(" matches no filesystem: ", out);
	for (size_t i = 0; i < shown; i++) {
		auto_free char *name = text_safe(matches->device[i]->node);

		fputs(i ? "; " : "", out);
		put_refusal(out, matches->device[i], name ? name : "?");
	}
	put_more(out, matches->count, shown);
}

int device_refuse_many(const struct device_matches *matches, const char *source, bool type_given, struct err *err)
{
	size_t shown = matches->count < SHOWN_DEVICES ? matches->count : SHOWN_DEVICES;
	auto_free char *text = NULL;
	bool any = false;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return err_set(err, errno, "cannot tell what matches");
	for (size_t i = 0; i < matches->count; i++)
		any = any || may_be_tried(matches->device[i], type_given);
	put_safe(out, source);
	if (any)
		put_matches(out, matches, shown);
	else
		put_refusals(out, matches, shown);
	if (fclose(out) != 0)
		return err_set(err, errno, "cannot tell what matches");
	return err_set(err, any ? -ENOTUNIQ : -EINVAL, "%s", text);
}

static void put_device(FILE *out, const struct device *device)
{
	put_safe(out, device->node);
	fprintf(out, " %s", device->type ? device->type : device->usage);
	if (device->label) {
		fputs(" LABEL=", out);
		put_short(out, device->label);
	} else if (device->uuid) {
		fputs(" UUID=", out);
		put_short(out, device->uuid);
	}
}

/* Whether there is something to tell: a disk with partitions is told by them. */
static bool is_described(const struct device *device)
{
	return device->type || has_usage(device, DEVICE_AMBIVALENT);
}

char *device_describe(const struct device_list *list, size_t max)
{
	size_t all = 0, shown = 0, size;
	char *text = NULL;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (size_t i = 0; i < list->count; i++)
		all += is_described(&list->device[i]);
	for (int filesystems = 1; filesystems >= 0; filesystems--) {
		for (size_t i = 0; i < list->count && shown < max; i++) {
			if (!is_described(&list->device[i]) || device_is_filesystem(&list->device[i]) != filesystems)
				continue;
			if (shown++ > 0)
				fputs(", ", out);
			put_device(out, &list->device[i]);
		}
	}
	if (all == 0)
		fputs("nothing", out);
	put_more(out, all, shown);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

int device_refuse_none(const struct device_list *list, const char *what, int waited_ms, struct err *err)
{
	auto_free char *there = device_describe(list, SHOWN_DEVICES);
	auto_free char *safe = text_safe(what);

	return err_set(err, -ENODEV, "no %s (waited %g s); what there is: %s", safe ? safe : "such device", waited_ms / 1000.0, there ? there : "?");
}
