/* device_find: finds what [root] source names, and waits for it. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "device.h"
#include "device_match.h"
#include "device_probe.h"
#include "device_use.h"
#include "image.h"
#include "table.h"
#include "text.h"
#include "uevent.h"

#define LOOK_EVERY_MS 1000
#define LOOK_SHARE 10   /* a look that is slow is taken the less often: no more than a tenth of the time */
#define APPEAR_MS 15000 /* how long a disk that was handed over is waited for at the least: WSL itself tries as long */

/* What the last look saw. */
struct look {
	struct device_list list;
	bool scanned;                  /* list is all that there is, and not the one device of a path */
	struct uevent_devices changed; /* since then */
	int64_t again;                 /* when all is to be looked at anew */
};

static void look_clear(struct look *look)
{
	device_list_clear(&look->list);
	look->scanned = false;
}

static void cleanup_look(struct look *look)
{
	look_clear(look);
}

static void cleanup_matches(struct device_matches *matches)
{
	free(matches->device);
}

static void cleanup_table(struct table *table)
{
	table_clear(table);
}

#define auto_look __attribute__((cleanup(cleanup_look)))
#define auto_matches __attribute__((cleanup(cleanup_matches)))
#define auto_table __attribute__((cleanup(cleanup_table)))

void device_found_clear(struct device_found *found)
{
	free(found->path);
	free(found->type);
	*found = (struct device_found){ 0 };
}

static bool is_type_given(const struct conf *conf)
{
	return conf->root.type && strcmp(conf->root.type, "auto") != 0;
}

static bool is_below_dev(const char *path)
{
	return strncmp(path, "/dev/", 5) == 0;
}

/* Takes this device, unless there is no filesystem on it, or it is used elsewhere. */
static int take_device(struct device_found *found, const struct conf *conf, const struct device *device, struct err *err)
{
	auto_free char *name = text_safe(device->node);
	auto_table struct table table = { 0 };
	int ret = device_refuse_content(device, name ? name : "the device", is_type_given(conf), err);

	if (ret == 0)
		ret = table_read(&table, NULL, err);
	if (ret == 0)
		ret = device_refuse_used(device->node, device->dev, conf->root.overlay, &table, err);
	if (ret < 0)
		return ret;
	found->kind = DEVICE_BLOCK;
	found->shared = device_mount(&table, device->dev) != NULL;
	found->path = realpath(device->node, NULL);
	if (!found->path)
		return err_set(err, errno, "cannot resolve %s", name ? name : "the device");
	if (device->type && !(found->type = strdup(device->type)))
		return err_set(err, ENOMEM, "cannot take %s", name ? name : "the device");
	return 0;
}

/* Whether `holder` stands on `device`, as a multipath or RAID device does on its paths, which all show the same filesystem. */
static bool is_held_by(const struct device *device, const struct device *holder)
{
	auto_closedir DIR *holders = NULL;
	struct dirent *entry;
	unsigned maj, min;
	char path[PATH_MAX];
	bool held = false;

	snprintf(path, sizeof path, "/sys/dev/block/%u:%u/holders", major(device->dev), minor(device->dev));
	holders = opendir(path);
	while (!held && holders && (entry = readdir(holders))) {
		auto_fclose FILE *number = NULL;

		snprintf(path, sizeof path, "/sys/class/block/%s/dev", entry->d_name);
		number = entry->d_name[0] == '.' ? NULL : fopen(path, "re");
		held = number && fscanf(number, "%u:%u", &maj, &min) == 2 && makedev(maj, min) == holder->dev;
	}
	return held;
}

/* Drops the matches that another match stands on. */
static int drop_held(struct device_matches *matches)
{
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers it is */
	const struct device **kept = calloc(matches->count + 1, sizeof *kept);
	size_t count = 0;

	if (!kept)
		return -ENOMEM;
	for (size_t i = 0; i < matches->count; i++) {
		bool held = false;

		for (size_t j = 0; j < matches->count && !held; j++)
			held = j != i && is_held_by(matches->device[i], matches->device[j]);
		if (!held)
			kept[count++] = matches->device[i];
	}
	free(matches->device);
	*matches = (struct device_matches){ .device = kept, .count = count };
	return 0;
}

/* The names that a partition table gives stand on another device than the one whose event came. */
static bool is_quick(const struct look *look, const struct conf *conf)
{
	return look->scanned && !look->changed.all && util_now_ms() < look->again && conf->root.kind != SOURCE_PARTLABEL && conf->root.kind != SOURCE_PARTUUID;
}

/* All devices, or, shortly after a look at all of them, those with an event since: what else there is may be slow. */
static int scan(struct look *look, const struct conf *conf, struct err *err)
{
	int64_t began = util_now_ms(), pause;
	int ret;

	if (is_quick(look, conf))
		return device_rescan(&look->list, look->changed.dev, look->changed.count, err);
	look_clear(look);
	ret = device_scan(&look->list, err);
	pause = (util_now_ms() - began) * LOOK_SHARE;
	look->again = util_now_ms() + (pause > LOOK_EVERY_MS ? pause : LOOK_EVERY_MS);
	look->scanned = ret == 0;
	return ret;
}

/* Each look_...() returns 1 where it found the source, 0 where that is not there (yet), -errno where it is refused. */
static int look_for_tag(struct device_found *found, const struct conf *conf, struct look *look, struct err *err)
{
	auto_matches struct device_matches matches = { 0 };
	int ret = scan(look, conf, err);

	if (ret < 0)
		return ret;
	ret = device_match(&matches, &look->list, conf->root.kind, conf->root.value);
	if (ret == 0 && matches.count > 1)
		ret = drop_held(&matches);
	if (ret < 0)
		return err_set(err, -ret, "cannot look for a filesystem");
	if (matches.count == 0)
		return 0;
	if (matches.count > 1)
		return device_refuse_many(&matches, conf->root.source, is_type_given(conf), err);
	ret = take_device(found, conf, matches.device[0], err);
	return ret < 0 ? ret : 1;
}

static int look_at_block(struct device_found *found, const struct conf *conf, struct look *look, struct err *err)
{
	auto_free char *node = realpath(conf->root.value, NULL);
	int ret;

	if (!node)
		return errno == ENOENT ? 0 : err_set(err, errno, "cannot resolve the source");
	ret = device_probe(&look->list, node, err);
	/* A node without a device (a static /dev) or a device without a medium: both can still come. */
	if (ret == -ENOENT || ret == -ENXIO || ret == -ENODEV || ret == -ENOMEDIUM || (ret == 0 && look->list.device[0].size == 0))
		return 0;
	if (ret == 0)
		ret = take_device(found, conf, look->list.device, err);
	return ret < 0 ? ret : 1;
}

static int look_at_image(struct device_found *found, const struct conf *conf, struct err *err)
{
	auto_table struct table table = { 0 };
	int ret;

	found->kind = DEVICE_IMAGE;
	found->path = realpath(conf->root.value, NULL);
	if (!found->path)
		return err_set(err, errno, "cannot resolve the image file");
	ret = image_find(found, found->path, conf->root.partition, is_type_given(conf), err);
	if (ret == 0)
		ret = table_read(&table, NULL, err);
	if (ret == 0)
		ret = device_refuse_used_image(found->path, found->offset, found->size, conf->root.overlay, &table, err);
	return ret < 0 ? ret : 1;
}

static int look_at_directory(struct device_found *found, const struct conf *conf, struct err *err)
{
	found->kind = DEVICE_DIRECTORY;
	found->path = strdup(conf->root.value);
	return found->path ? 1 : err_set(err, ENOMEM, "cannot take the directory");
}

static int refuse_partition_key(const struct conf *conf, const char *what, struct err *err)
{
	auto_free char *source = text_safe(conf->root.source);

	return err_usage(err, "partition = %d is for image files: %s %s", conf->root.partition, source ? source : "the source", what);
}

static int look_for_path(struct device_found *found, const struct conf *conf, struct look *look, struct err *err)
{
	auto_free char *name = text_safe(conf->root.value);
	struct stat st;

	if (stat(conf->root.value, &st) < 0) {
		if (errno == ENOENT && is_below_dev(conf->root.value))
			return 0;
		if (errno == ENOENT || errno == ENOTDIR)
			return err_set(err, -ENOENT, "no such device, directory or image file: %s", name ? name : "the source");
		return err_set(err, errno, "cannot look at %s", name ? name : "the source");
	}
	if (S_ISREG(st.st_mode))
		return look_at_image(found, conf, err);
	if (conf->root.partition)
		return refuse_partition_key(conf, S_ISDIR(st.st_mode) ? "is a directory" : "is a device: name the partition's own device as source", err);
	if (S_ISDIR(st.st_mode))
		return look_at_directory(found, conf, err);
	if (S_ISBLK(st.st_mode))
		return look_at_block(found, conf, look, err);
	return err_set(err, -EINVAL, "%s is not a block device, a directory or an image file", name ? name : "the source");
}

static int look_once(struct device_found *found, const struct conf *conf, struct look *look, struct err *err)
{
	if (conf->root.kind != SOURCE_PATH)
		return look_for_tag(found, conf, look, err);
	look_clear(look);
	return look_for_path(found, conf, look, err);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Lets the helper work. Sets *fd and the time at which it wants to be called again; what it has done begins the waiting anew. */
static int get_help(const struct device_wait *wait, int wait_ms, int *fd, int64_t *due, int64_t *deadline, struct err *err)
{
	int due_ms = -1, ret;

	*fd = -1;
	*due = INT64_MAX;
	if (!wait || !wait->help)
		return 0;
	ret = wait->help(wait->arg, fd, &due_ms, err);
	if (ret > 0)
		*deadline = util_now_ms() + (wait_ms > APPEAR_MS ? wait_ms : APPEAR_MS);
	if (due_ms >= 0)
		*due = util_now_ms() + due_ms;
	return ret < 0 ? ret : 0;
}

/* Looks until the source is there or the time is over. The events queue from before the first look: none is lost between a look and the sleep. */
static int look_until(struct device_found *found, const struct conf *conf, struct look *look, const struct device_wait *wait, struct err *err)
{
	auto_close int events = uevent_open();
	int64_t start = util_now_ms(), deadline = start + conf->root.wait_ms, tick = start;

	for (;;) {
		int64_t now, due, wake;
		int other, ret = look_once(found, conf, look, err);

		if (ret != 0)
			return ret;
		ret = get_help(wait, conf->root.wait_ms, &other, &due, &deadline, err);
		now = util_now_ms();
		if (ret < 0 || (other < 0 && now >= deadline))
			return ret;
		if (now >= tick) {
			if (wait && wait->tick)
				wait->tick(wait->arg, now - start < INT_MAX ? (int)(now - start) : INT_MAX);
			tick = now + LOOK_EVERY_MS - (now - start) % LOOK_EVERY_MS;
		}
		wake = earlier(earlier(tick, due), other < 0 ? deadline : INT64_MAX);
		look->changed = (struct uevent_devices){ 0 };
		uevent_wait(events, other, wake > now ? (int)(wake - now) : 0, &look->changed);
	}
}

static int refuse_absent(const struct conf *conf, struct look *look, struct err *err)
{
	auto_free char *what = NULL;
	int ret;

	if (asprintf(&what, conf->root.kind == SOURCE_PATH ? "device %s" : "filesystem with %s", conf->root.source) < 0) {
		what = NULL;
		return err_set(err, ENOMEM, "cannot tell what is missing");
	}
	if (!look->scanned) {
		look_clear(look);
		ret = device_scan(&look->list, err);
		if (ret < 0)
			return ret;
	}
	return device_refuse_none(&look->list, what, conf->root.wait_ms, err);
}

int device_find(struct device_found *found, const struct conf *conf, const struct device_wait *wait, struct err *err)
{
	auto_look struct look look = { 0 };
	int ret;

	*found = (struct device_found){ 0 };
	if (conf->root.partition && conf->root.kind != SOURCE_PATH)
		return refuse_partition_key(conf, "names the partition itself", err);
	ret = look_until(found, conf, &look, wait, err);
	if (ret == 0)
		ret = refuse_absent(conf, &look, err);
	if (ret < 0) {
		device_found_clear(found);
		return ret;
	}
	return 0;
}
