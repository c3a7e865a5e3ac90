/* device: what is on each block device: reads partition tables and superblocks, through libblkid's low-level probing. */
#include "device.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "device_match.h"
#include "device_probe.h"
#include "text.h"

/* A disk whose partition table has been read: its partitions, which follow it in /proc/partitions, find their names in there. */
struct disk {
	dev_t dev;
	blkid_probe probe; /* owns the partitions */
	blkid_partlist partitions;
};

struct scan {
	struct device_list *list;
	struct disk *disk;
	size_t disk_count;
	struct device_list *before; /* the last look, of which is taken over what has not changed; NULL: none */
	const dev_t *changed;
	size_t changed_count;
};

void device_clear(struct device *device)
{
	free(device->node);
	free(device->type);
	free(device->usage);
	free(device->label);
	free(device->uuid);
	free(device->partlabel);
	free(device->partuuid);
	*device = (struct device){ 0 };
}

void device_list_clear(struct device_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		device_clear(&list->device[i]);
	free(list->device);
	free(list->seen);
	*list = (struct device_list){ 0 };
}

static int device_list_note(struct device_list *list, dev_t dev)
{
	dev_t *grown = reallocarray(list->seen, list->seen_count + 1, sizeof *grown);

	if (!grown)
		return -ENOMEM;
	list->seen = grown;
	list->seen[list->seen_count++] = dev;
	return 0;
}

static bool has_dev(const dev_t *devs, size_t count, dev_t dev)
{
	for (size_t i = 0; i < count; i++)
		if (devs[i] == dev)
			return true;
	return false;
}

static int device_list_take(struct device_list *list, struct device *device)
{
	struct device *grown = reallocarray(list->device, list->count + 1, sizeof *grown);

	if (!grown) {
		device_clear(device);
		return -ENOMEM;
	}
	list->device = grown;
	list->device[list->count++] = *device;
	return 0;
}

static void scan_clear(struct scan *scan)
{
	for (size_t i = 0; i < scan->disk_count; i++)
		blkid_free_probe(scan->disk[i].probe);
	free(scan->disk);
}

/* Copies a string of libblkid's; absent or empty is NULL. Returns false where memory is short. */
static bool copy(char **to, const char *from)
{
	if (!from || !*from)
		return true;
	*to = strdup(from);
	return *to;
}

static bool copy_value(char **to, blkid_probe probe, const char *name)
{
	const char *value;

	if (blkid_probe_lookup_value(probe, name, &value, NULL) < 0)
		return true;
	return copy(to, value);
}

int device_probe_content(struct device *device, blkid_probe probe)
{
	int ret;

	blkid_probe_enable_superblocks(probe, 1);
	blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID | BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE);
	errno = 0;
	ret = blkid_do_safeprobe(probe);
	if (ret == -2)
		return copy(&device->usage, DEVICE_AMBIVALENT) ? 0 : -ENOMEM;
	if (ret < 0)
		return errno ? -errno : -EIO;
	if (!copy_value(&device->type, probe, "TYPE") || !copy_value(&device->usage, probe, "USAGE") || !copy_value(&device->label, probe, "LABEL") ||
	    !copy_value(&device->uuid, probe, "UUID"))
		return -ENOMEM;
	return 0;
}

/*
 * Opens the device `dev` under that name. O_NONBLOCK: an optical drive then neither closes its tray nor waits for the medium. A static /dev may
 * have a node of that name for another device.
 */
static int open_node(const char *node, dev_t dev)
{
	auto_close int fd = open(node, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISBLK(st.st_mode) || st.st_rdev != dev)
		return -ENODEV;
	return take_fd(&fd);
}

/* Reads a one-line file below /sys/dev/block/MAJ:MIN, without its newline. */
static bool read_sysfs(char *line, size_t size, dev_t dev, const char *name)
{
	char path[128];
	auto_close int fd = -1;
	ssize_t n;

	snprintf(path, sizeof path, "/sys/dev/block/%u:%u/%s", major(dev), minor(dev), name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, line, size - 1);
	if (n < 0)
		return false;
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return true;
}

/* Opens a device by the name that the kernel gives it, or by the others that it may have where no udev and no devtmpfs made that one. */
static int open_named(char *node, size_t size, const char *name, dev_t dev)
{
	char mapped[128];
	int fd;

	snprintf(node, size, "/dev/%s", name);
	for (char *p = node; *p; p++)
		if (*p == '!')
			*p = '/';
	fd = open_node(node, dev);
	if (fd != -ENOENT && fd != -ENODEV)
		return fd;
	if (strncmp(name, "dm-", 3) == 0 && read_sysfs(mapped, sizeof mapped, dev, "dm/name")) {
		snprintf(node, size, "/dev/mapper/%s", mapped);
		fd = open_node(node, dev);
		if (fd >= 0)
			return fd;
	}
	snprintf(node, size, "/dev/block/%u:%u", major(dev), minor(dev));
	return open_node(node, dev);
}

/* Reads of a suspended device-mapper device hang until someone resumes it. */
static bool is_suspended(const char *name, dev_t dev)
{
	char line[8];

	return strncmp(name, "dm-", 3) == 0 && read_sysfs(line, sizeof line, dev, "dm/suspended") && line[0] == '1';
}

/* Keeps the disk's partition table for the partitions that come after it. The probe is the scan's from here on. */
static int scan_keep_disk(struct scan *scan, dev_t dev, blkid_probe probe, blkid_partlist partitions)
{
	struct disk *grown = reallocarray(scan->disk, scan->disk_count + 1, sizeof *grown);

	if (!grown) {
		blkid_free_probe(probe);
		return -ENOMEM;
	}
	scan->disk = grown;
	scan->disk[scan->disk_count++] = (struct disk){ .dev = dev, .probe = probe, .partitions = partitions };
	return 0;
}

/* The name and the UUID that the partition table of the device's disk has for it. */
static int scan_partition_names(const struct scan *scan, struct device *device, dev_t disk_dev)
{
	blkid_partition partition = NULL;

	for (size_t i = scan->disk_count; i > 0 && !partition; i--)
		if (scan->disk[i - 1].dev == disk_dev)
			partition = blkid_partlist_devno_to_partition(scan->disk[i - 1].partitions, device->dev);
	if (partition && (!copy(&device->partlabel, blkid_partition_get_name(partition)) || !copy(&device->partuuid, blkid_partition_get_uuid(partition))))
		return -ENOMEM;
	return 0;
}

/*
 * A whole disk: a table with partitions in it is its content (what lies between them is left over from earlier use, or is a boot loader's), and
 * nothing more is read. Returns the partitions, NULL where there are none.
 */
static blkid_partlist probe_partitions(blkid_probe probe)
{
	blkid_partlist partitions = blkid_probe_get_partitions(probe);

	return partitions && blkid_partlist_numof_partitions(partitions) > 0 ? partitions : NULL;
}

/* Fills device, whose node and dev are set, from the open descriptor. */
static int scan_probe(struct scan *scan, struct device *device, int fd)
{
	blkid_probe probe = blkid_new_probe();
	blkid_partlist partitions;
	dev_t disk;
	int ret;

	if (!probe)
		return -ENOMEM;
	if (blkid_probe_set_device(probe, fd, 0, 0) != 0) {
		blkid_free_probe(probe);
		return -ENOMEDIUM;
	}
	device->size = (uint64_t)blkid_probe_get_size(probe);
	disk = blkid_probe_get_wholedisk_devno(probe);
	if (disk == device->dev && (partitions = probe_partitions(probe))) {
		ret = scan_keep_disk(scan, device->dev, probe, partitions);
		return ret == 0 && !copy(&device->usage, DEVICE_PARTITIONED) ? -ENOMEM : ret;
	}
	ret = device_probe_content(device, probe);
	blkid_free_probe(probe);
	return ret == 0 ? scan_partition_names(scan, device, disk) : ret;
}

/* Takes over what the last look saw of it. */
static int scan_keep(struct scan *scan, dev_t dev)
{
	for (size_t i = 0; i < scan->before->count; i++) {
		struct device device = scan->before->device[i];

		if (device.dev != dev || !device.node)
			continue;
		scan->before->device[i] = (struct device){ 0 };
		return device_list_take(scan->list, &device);
	}
	return 0; /* left out then, and now */
}

/* Adds one device of /proc/partitions. What cannot be opened or read is left out; an error is one of memory. */
static int scan_add(struct scan *scan, const char *name, dev_t dev)
{
	struct device device = { .dev = dev };
	auto_close int fd = -1;
	char node[PATH_MAX];
	int ret = device_list_note(scan->list, dev);

	if (ret < 0)
		return ret;
	if (scan->before && has_dev(scan->before->seen, scan->before->seen_count, dev) && !has_dev(scan->changed, scan->changed_count, dev))
		return scan_keep(scan, dev);
	if (is_suspended(name, dev))
		return 0;
	fd = open_named(node, sizeof node, name, dev);
	if (fd < 0)
		return 0;
	device.node = strdup(node);
	ret = device.node ? scan_probe(scan, &device, fd) : -ENOMEM;
	if (ret == 0)
		return device_list_take(scan->list, &device);
	device_clear(&device);
	return ret == -ENOMEM ? ret : 0;
}

static int scan_all(struct scan *scan, FILE *partitions)
{
	auto_free char *line = NULL;
	size_t size = 0;
	unsigned maj, min;
	unsigned long long blocks;
	int name, ret;

	/*
	 * The first two lines are a heading and an empty one: sscanf() reads no number there. An extended partition has one block: the list of the
	 * logical ones.
	 */
	while (getline(&line, &size, partitions) >= 0) {
		line[strcspn(line, "\n")] = '\0';
		name = 0;
		if (sscanf(line, "%u %u %llu %n", &maj, &min, &blocks, &name) < 3 || name == 0 || blocks <= 1)
			continue;
		ret = scan_add(scan, line + name, makedev(maj, min));
		if (ret < 0)
			return ret;
	}
	return ferror(partitions) ? -EIO : 0;
}

/* Fills scan->list, which is empty. */
static int scan_run(struct scan *scan, struct err *err)
{
	auto_fclose FILE *partitions = fopen("/proc/partitions", "re");
	int ret;

	if (!partitions)
		return err_set(err, errno, "cannot open /proc/partitions");
	ret = scan_all(scan, partitions);
	scan_clear(scan);
	if (ret < 0) {
		device_list_clear(scan->list);
		return err_set(err, -ret, "cannot look at the block devices of /proc/partitions");
	}
	return 0;
}

int device_scan(struct device_list *list, struct err *err)
{
	struct scan scan = { .list = list };

	*list = (struct device_list){ 0 };
	return scan_run(&scan, err);
}

int device_rescan(struct device_list *list, const dev_t *changed, size_t count, struct err *err)
{
	struct device_list before = *list;
	struct scan scan = { .list = list, .before = &before, .changed = changed, .changed_count = count };
	int ret;

	*list = (struct device_list){ 0 };
	ret = scan_run(&scan, err);
	device_list_clear(&before);
	return ret;
}

int device_probe(struct device_list *list, const char *node, struct err *err)
{
	struct scan scan = { .list = list };
	struct device device = { 0 };
	auto_close int fd = -1;
	auto_free char *shown = text_safe(node);
	struct stat st;
	int ret;

	*list = (struct device_list){ 0 };
	fd = open(node, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, errno, "cannot open %s", shown ? shown : "the device");
	if (!S_ISBLK(st.st_mode))
		return err_set(err, ENOTBLK, "cannot look at %s", shown ? shown : "the device");
	device.dev = st.st_rdev;
	device.node = strdup(node);
	ret = device.node ? scan_probe(&scan, &device, fd) : -ENOMEM;
	scan_clear(&scan);
	if (ret == 0)
		ret = device_list_take(list, &device);
	else
		device_clear(&device);
	return ret < 0 ? err_set(err, -ret, "cannot look at what is on %s", shown ? shown : "the device") : 0;
}
