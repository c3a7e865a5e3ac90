/* device_use: whether something on this host uses a device already. */
#include "device_use.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "device.h"
#include "text.h"
#include "util.h"

/* Whether the path is a node of the device. Only paths below /dev are looked at: any other could lie on a filesystem that hangs. */
static bool is_node_of(const char *path, dev_t dev)
{
	struct stat st;

	return path && strncmp(path, "/dev/", 5) == 0 && stat(path, &st) == 0 && S_ISBLK(st.st_mode) && st.st_rdev == dev;
}

/* btrfs and others on several devices have a number of their own in the table (0:N): there only the source tells. */
static bool is_mount_of(const struct table_mount *mount, dev_t dev)
{
	if (mount->major != 0)
		return mount->major == major(dev) && mount->minor == minor(dev);
	return is_node_of(mount->source, dev);
}

const struct table_mount *device_mount(const struct table *table, dev_t dev)
{
	const struct table_mount *part = NULL;

	for (size_t i = 0; i < table->count; i++) {
		const struct table_mount *mount = &table->mount[i];

		if (!is_mount_of(mount, dev))
			continue;
		if (!mount->root || strcmp(mount->root, "/") == 0)
			return mount;
		if (!part)
			part = mount;
	}
	return part;
}

bool device_is_gone(unsigned dev_major, unsigned dev_minor, const char *node)
{
	char path[64];
	int fd;

	snprintf(path, sizeof path, "/sys/dev/block/%u:%u", dev_major, dev_minor);
	if (dev_major != 0)
		return access("/sys/dev/block", F_OK) == 0 && access(path, F_OK) < 0;
	fd = open(node, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	cleanup_close(&fd);
	return fd < 0 && (errno == ENOENT || errno == ENXIO || errno == ENODEV);
}

int device_is_free(const char *node)
{
	auto_close int fd = open(node, O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd >= 0)
		return 1;
	return errno == EBUSY ? 0 : -errno;
}

static bool is_swap(dev_t dev)
{
	auto_fclose FILE *swaps = fopen("/proc/swaps", "re");
	auto_free char *line = NULL;
	size_t size = 0;

	while (swaps && getline(&line, &size, swaps) >= 0) {
		line[strcspn(line, " \t\n")] = '\0';
		text_decode_octal(line);
		if (is_node_of(line, dev))
			return true;
	}
	return false;
}

static bool is_number(const char *name)
{
	for (const char *p = name; *p; p++)
		if (!isdigit((unsigned char)*p))
			return false;
	return *name;
}

/* Looks into one process's mount table. Returns true, with the words, where the device is mounted there. */
static bool is_mounted_for(const char *pid, dev_t dev, char *words, size_t size)
{
	auto_free char *safe = NULL;
	const struct table_mount *mount;
	struct table table;
	char path[64];

	snprintf(path, sizeof path, "/proc/%.16s/mountinfo", pid);
	if (table_read(&table, path, NULL) < 0)
		return false;
	mount = device_mount(&table, dev);
	if (mount) {
		safe = text_safe(mount->target);
		snprintf(words, size, "mounted on %s in another mount namespace (of process %.16s)", safe ? safe : "?", pid);
	}
	table_clear(&table);
	return mount;
}

/*
 * Looks for the device in the mount tables of the other processes: a distro of WSL has two mount namespaces. Only called where the kernel says that
 * the device is busy. Neighbours in /proc mostly share a namespace, so that it is enough to remember the last one.
 */
static bool is_mounted_for_others(dev_t dev, char *words, size_t size)
{
	auto_closedir DIR *proc = opendir("/proc");
	char path[64], namespace[64], last[64] = "";
	struct dirent *entry;
	ssize_t n;

	while (proc && (entry = readdir(proc))) {
		if (!is_number(entry->d_name))
			continue;
		snprintf(path, sizeof path, "/proc/%.16s/ns/mnt", entry->d_name);
		n = readlink(path, namespace, sizeof namespace - 1);
		namespace[n < 0 ? 0 : n] = '\0';
		if (n > 0 && strcmp(namespace, last) == 0)
			continue;
		memcpy(last, namespace, sizeof last);
		if (is_mounted_for(entry->d_name, dev, words, size))
			return true;
	}
	return false;
}

/* The first device that stands on this one ("dm-0", "md0"). */
static bool has_holder(dev_t dev, char *words, size_t size)
{
	auto_closedir DIR *holders = NULL;
	struct dirent *entry;
	char path[64];

	snprintf(path, sizeof path, "/sys/dev/block/%u:%u/holders", major(dev), minor(dev));
	holders = opendir(path);
	while (holders && (entry = readdir(holders))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(words, size, "in use by the device %.128s, which stands on it", entry->d_name);
		return true;
	}
	return false;
}

/* Whether the filesystem cannot be written through any of its mounts. */
static bool is_read_only(const struct table_mount *mount)
{
	const char *options = mount->super_options ? mount->super_options : mount->options;

	return options && strncmp(options, "ro", 2) == 0 && (options[2] == ',' || options[2] == '\0');
}

/*
 * How the device is used, in words that go behind "/dev/sdb1 is already"; false where it is free. ask: the kernel too, which counts a disk as used
 * where one of its partitions is.
 */
static bool use_of(const char *node, dev_t dev, bool ask, bool reading, const struct table *table, char *words, size_t size)
{
	const struct table_mount *mount = device_mount(table, dev);
	auto_free char *safe = mount ? text_safe(mount->target) : NULL;

	if (mount && reading && is_read_only(mount))
		return false;
	if (mount)
		snprintf(words, size, "mounted on %s", safe ? safe : "?");
	else if (is_swap(dev))
		snprintf(words, size, "in use as swap");
	else if (!ask || device_is_free(node) != 0)
		return false; /* or it cannot be opened, which the mount will tell better */
	else if (!has_holder(dev, words, size) && !is_mounted_for_others(dev, words, size))
		snprintf(words, size, "in use, by something that this host does not show (an overlay, a container, or a process that has it open for itself)");
	return true;
}

int device_refuse_used(const char *node, dev_t dev, bool reading, const struct table *table, struct err *err)
{
	auto_free char *safe = text_safe(node);
	char words[1024];

	if (!use_of(node, dev, true, reading, table, words, sizeof words))
		return 0;
	return err_set(err, -EBUSY, "%s is already %s", safe ? safe : "the device", words);
}

/* A part of an image file, in bytes; end is UINT64_MAX where it goes to the end of the file. */
struct range {
	uint64_t start, end;
};

static struct range range_make(uint64_t start, uint64_t size)
{
	return (struct range){ .start = start, .end = size == 0 || size > UINT64_MAX - start ? UINT64_MAX : start + size };
}

static bool read_line(char *line, size_t size, const char *dir, const char *name)
{
	auto_close int fd = -1;
	char path[128];
	ssize_t n;

	snprintf(path, sizeof path, "%.64s/%.40s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, line, size - 1);
	if (n < 0)
		return false;
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return true;
}

static uint64_t read_number(const char *dir, const char *name)
{
	char line[32];

	return read_line(line, sizeof line, dir, name) ? strtoull(line, NULL, 10) : 0;
}

/* Whether the loop device of this directory of /sys shows the file, by whatever name it was given. */
static bool is_backed_by(const char *dir, const char *path, const struct stat *file)
{
	char backing[PATH_MAX];
	const char *name, *own = strrchr(path, '/');
	struct stat st;

	if (!read_line(backing, sizeof backing, dir, "loop/backing_file"))
		return false;
	if (strcmp(backing, path) == 0)
		return true;
	/* A bind mount or another root directory can give it another path. Only a file of the same name is looked at: others could hang. */
	name = strrchr(backing, '/');
	return name && own && strcmp(name, own) == 0 && stat(backing, &st) == 0 && st.st_dev == file->st_dev && st.st_ino == file->st_ino;
}

/* What is asked for of an image. */
struct wish {
	const char *path;
	struct range range;
	bool reading;
	const struct table *table;
};

/* Refuses where the device of this directory of /sys shows a part of what is wished for, and is used. */
static int refuse_used_part(const struct wish *wish, const char *dir, const char *name, bool ask, struct range shown, struct err *err)
{
	auto_free char *safe = NULL;
	char line[32], node[64], words[1024];
	unsigned maj, min;

	if (shown.start >= wish->range.end || wish->range.start >= shown.end)
		return 0;
	snprintf(node, sizeof node, "/dev/%.40s", name);
	if (!read_line(line, sizeof line, dir, "dev") || sscanf(line, "%u:%u", &maj, &min) != 2 ||
	    !use_of(node, makedev(maj, min), ask, wish->reading, wish->table, words, sizeof words))
		return 0;
	safe = text_safe(wish->path);
	return err_set(err, -EBUSY, "%s is attached as %s, which is already %s", safe ? safe : "the image", node, words);
}

/*
 * The partitions of a loop device: directories below its own ("loop0p3"), with start and size in sectors of 512. Returns how many there are, none of
 * them used, or -errno.
 */
static int refuse_used_partitions(const struct wish *wish, const char *loop, uint64_t offset, struct err *err)
{
	auto_closedir DIR *parts = NULL;
	struct dirent *entry;
	char dir[64], part[128];
	int count = 0, ret;

	snprintf(dir, sizeof dir, "/sys/block/%.20s", loop);
	parts = opendir(dir);
	while (parts && (entry = readdir(parts))) {
		if (strncmp(entry->d_name, loop, strlen(loop)) != 0)
			continue;
		snprintf(part, sizeof part, "%s/%.20s", dir, entry->d_name);
		ret = refuse_used_part(wish, part, entry->d_name, true, range_make(offset + read_number(part, "start") * 512, read_number(part, "size") * 512),
				       err);
		if (ret < 0)
			return ret;
		count++;
	}
	return count;
}

static int refuse_used_loop(const struct wish *wish, const char *loop, struct err *err)
{
	char dir[64];
	uint64_t offset;
	int ret;

	snprintf(dir, sizeof dir, "/sys/block/%.20s", loop);
	offset = read_number(dir, "loop/offset");
	ret = refuse_used_partitions(wish, loop, offset, err);
	if (ret < 0)
		return ret;
	/* Where it has partitions, the kernel's word on the whole speaks of them: another partition than ours may well be used. */
	return refuse_used_part(wish, dir, loop, ret == 0, range_make(offset, read_number(dir, "loop/sizelimit")), err);
}

int device_refuse_used_image(const char *path, uint64_t offset, uint64_t size, bool reading, const struct table *table, struct err *err)
{
	auto_closedir DIR *blocks = opendir("/sys/block");
	struct wish wish = { .path = path, .range = range_make(offset, size), .reading = reading, .table = table };
	struct dirent *entry;
	struct stat file;
	char dir[64];
	int ret = 0;

	if (stat(path, &file) < 0)
		return err_set(err, errno, "cannot look at the image file");
	while (ret == 0 && blocks && (entry = readdir(blocks))) {
		if (strncmp(entry->d_name, "loop", 4) != 0)
			continue;
		snprintf(dir, sizeof dir, "/sys/block/%.20s", entry->d_name);
		if (is_backed_by(dir, path, &file))
			ret = refuse_used_loop(&wish, entry->d_name, err);
	}
	return ret;
}
