/* image: finds a filesystem in a disk image file: the file as a whole, or one of its partitions. */
#include "image.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "device_match.h"
#include "device_probe.h"
#include "text.h"
#include "util.h"

#define SECTOR 512u /* libblkid counts partitions in these, whatever the table's own sectors are */
#define SHOWN_PARTITIONS 16

struct image {
	const char *name; /* for messages: without control characters */
	int fd;
	uint64_t size;
	unsigned sector;   /* that its partition table counts in; 0: not known, libblkid takes 512 */
	uint64_t gpt_size; /* of the disk that the GPT describes */
	bool type_given;
};

static void cleanup_probe(blkid_probe *probe)
{
	blkid_free_probe(*probe);
}

#define auto_probe __attribute__((cleanup(cleanup_probe)))

#define auto_device __attribute__((cleanup(device_clear)))

/*
 * Looks for a GPT's header in the second sector, of 512 or of 4096 bytes: the table of a disk with 4096 is told in those, and a file does not say which.
 */
static void read_gpt(struct image *image)
{
	static const unsigned sectors[] = { 512, 4096 };
	struct {
		char signature[8];
		char skipped[24];
		uint64_t backup; /* the last sector of the disk */
	} header;

	for (size_t i = 0; i < sizeof sectors / sizeof *sectors; i++) {
		if (pread(image->fd, &header, sizeof header, sectors[i]) != sizeof header || memcmp(header.signature, "EFI PART", 8) != 0)
			continue;
		image->sector = sectors[i];
		if (le64toh(header.backup) < UINT64_MAX / sectors[i])
			image->gpt_size = (le64toh(header.backup) + 1) * sectors[i];
		return;
	}
}

static blkid_probe probe_range(const struct image *image, uint64_t offset, uint64_t size)
{
	blkid_probe probe = blkid_new_probe();

	if (probe && blkid_probe_set_device(probe, image->fd, (blkid_loff_t)offset, (blkid_loff_t)size) == 0)
		return probe;
	blkid_free_probe(probe);
	return NULL;
}

/* A probe of the whole file, for its partition table. */
static blkid_probe probe_table(const struct image *image)
{
	blkid_probe probe = probe_range(image, 0, 0);

	if (probe && image->sector)
		blkid_probe_set_sectorsize(probe, image->sector);
	return probe;
}

/* Reads what lies in a range of the file: the device's type, usage, label and uuid. */
static int read_content(struct device *device, const struct image *image, uint64_t offset, uint64_t size, struct err *err)
{
	auto_probe blkid_probe probe = probe_range(image, offset, size);
	int ret;

	if (!probe)
		return err_set(err, errno, "cannot look into %s", image->name);
	ret = device_probe_content(device, probe);
	return ret < 0 ? err_set(err, -ret, "cannot read %s", image->name) : 0;
}

/* Takes the filesystem of this range, or refuses it. The words name the range. */
static int take_content(struct device_found *found, struct device *device, const struct image *image, const char *words, struct err *err)
{
	int ret = device_refuse_content(device, words, image->type_given, err);

	if (ret < 0)
		return ret;
	found->type = device->type;
	device->type = NULL;
	return 0;
}

/* "1 ext4 'boot'": the number, and what is there, as far as it can be read. */
static void put_partition(FILE *out, const struct image *image, blkid_partition partition)
{
	auto_device struct device device = { 0 };
	auto_free char *label = NULL;
	uint64_t start = (uint64_t)blkid_partition_get_start(partition) * SECTOR, size = (uint64_t)blkid_partition_get_size(partition) * SECTOR;

	fprintf(out, "%d", blkid_partition_get_partno(partition));
	if (size == 0 || start >= image->size || size > image->size - start || read_content(&device, image, start, size, NULL) < 0)
		return;
	if (device.type)
		fprintf(out, " %s", device.type);
	label = device.label ? text_safe(device.label) : NULL;
	if (label)
		fprintf(out, " '%s'", label);
}

/* The partitions of the table, with what is in them (or only their numbers), as text that the caller frees. An extended one is none to mount. */
static char *describe_partitions(const struct image *image, blkid_partlist partitions, bool content)
{
	int count = blkid_partlist_numof_partitions(partitions), shown = 0, more = 0;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (int i = 0; out && i < count; i++) {
		blkid_partition partition = blkid_partlist_get_partition(partitions, i);

		if (blkid_partition_is_extended(partition))
			continue;
		if (shown == SHOWN_PARTITIONS) {
			more++;
			continue;
		}
		fputs(shown++ ? ", " : "", out);
		if (content)
			put_partition(out, image, partition);
		else
			fprintf(out, "%d", blkid_partition_get_partno(partition));
	}
	if (out && more)
		fprintf(out, " and %d more", more);
	if (out && fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

/* Refuses a file that was cut behind its GPT: libblkid does not take such a table, and "no partition table" would be the wrong answer. */
static int refuse_cut(const struct image *image, struct err *err)
{
	if (image->gpt_size <= image->size)
		return 0;
	return err_set(err, -EINVAL, "%s is truncated: it is %" PRIu64 " bytes long, the disk that its partition table describes has %" PRIu64, image->name,
		       image->size, image->gpt_size);
}

static int refuse_partition(const struct image *image, blkid_partlist partitions, int number, struct err *err)
{
	auto_free char *has = describe_partitions(image, partitions, false);

	return err_set(err, -EINVAL, "%s has no partition %d%s: it has %s", image->name, number,
		       blkid_partlist_get_partition_by_partno(partitions, number) ? " to mount (it is an extended one)" : "", has && *has ? has : "none");
}

/* Sets offset and size to where the partition lies, and checks that all of it is there. */
static int locate_partition(struct device_found *found, const struct image *image, int number, struct err *err)
{
	auto_probe blkid_probe probe = probe_table(image);
	blkid_partlist partitions = probe ? blkid_probe_get_partitions(probe) : NULL;
	blkid_partition partition;
	uint64_t start, size;
	int ret;

	if (!partitions || blkid_partlist_numof_partitions(partitions) == 0) {
		ret = refuse_cut(image, err);
		return ret < 0 ? ret : err_set(err, -EINVAL, "%s has no partition %d: it has no partition table", image->name, number);
	}
	partition = blkid_partlist_get_partition_by_partno(partitions, number);
	if (!partition || blkid_partition_is_extended(partition))
		return refuse_partition(image, partitions, number, err);
	start = (uint64_t)blkid_partition_get_start(partition);
	size = (uint64_t)blkid_partition_get_size(partition);
	if (size == 0)
		return err_set(err, -EINVAL, "partition %d of %s is empty", number, image->name);
	if (start > image->size / SECTOR || size > image->size / SECTOR - start)
		return err_set(err, -EINVAL, "%s is truncated: it is %" PRIu64 " bytes long, its partition %d ends at sector %" PRIu64 " of %u bytes",
			       image->name, image->size, number, (start + size), SECTOR);
	found->offset = start * SECTOR;
	found->size = size * SECTOR;
	return 0;
}

/* Finds the partition and reads what is in it. */
static int read_partition(struct device_found *found, struct device *device, const struct image *image, int number, struct err *err)
{
	int ret = locate_partition(found, image, number, err);

	return ret < 0 ? ret : read_content(device, image, found->offset, found->size, err);
}

/*
 * An MBR does not tell what sectors it counts in. Where nothing is found at the place in sectors of 512 bytes, it may be an image of a disk that has
 * 4096. Found and device stay as they are where it is not.
 */
static void retry_in_4096(struct device_found *found, struct device *device, const struct image *image, int number)
{
	auto_device struct device other = { 0 };
	struct device_found place = { 0 };
	struct image wide = *image;
	struct device swap;

	wide.sector = 4096;
	if (image->sector || device_is_filesystem(device) || read_partition(&place, &other, &wide, number, NULL) < 0 || !device_is_filesystem(&other))
		return;
	found->offset = place.offset;
	found->size = place.size;
	swap = *device;
	*device = other;
	other = swap;
}

static int find_partition(struct device_found *found, const struct image *image, int number, struct err *err)
{
	auto_device struct device device = { 0 };
	char words[PATH_MAX + 64];
	int ret = read_partition(found, &device, image, number, err);

	if (ret < 0)
		return ret;
	if (!image->type_given)
		retry_in_4096(found, &device, image, number);
	snprintf(words, sizeof words, "partition %d of %s", number, image->name);
	return take_content(found, &device, image, words, err);
}

/* Refuses a partitioned file, and tells what there is to choose from. Returns 0 where it is none. */
static int refuse_partitioned(const struct image *image, struct err *err)
{
	auto_probe blkid_probe probe = probe_table(image);
	blkid_partlist partitions = probe ? blkid_probe_get_partitions(probe) : NULL;
	auto_free char *has = NULL;

	if (!partitions || blkid_partlist_numof_partitions(partitions) == 0)
		return refuse_cut(image, err);
	has = describe_partitions(image, partitions, true);
	return err_set(err, -EINVAL, "%s is partitioned: name one with partition = N (%s)", image->name, has && *has ? has : "it has none to mount");
}

static int find_whole(struct device_found *found, const struct image *image, struct err *err)
{
	auto_device struct device device = { 0 };
	int ret = read_content(&device, image, 0, 0, err);

	if (ret < 0)
		return ret;
	if (!device_is_filesystem(&device)) {
		ret = refuse_partitioned(image, err);
		if (ret < 0)
			return ret;
	}
	return take_content(found, &device, image, image->name, err);
}

int image_find(struct device_found *found, const char *path, int partition, bool type_given, struct err *err)
{
	auto_free char *name = text_safe(path);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct image image = { .name = name ? name : "the image file", .fd = fd, .type_given = type_given };
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, errno, "cannot open %s", image.name);
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "%s is no longer a regular file", image.name);
	if (st.st_size == 0)
		return err_set(err, -EINVAL, "%s is empty", image.name);
	image.size = (uint64_t)st.st_size;
	read_gpt(&image);
	return partition ? find_partition(found, &image, partition, err) : find_whole(found, &image, err);
}
