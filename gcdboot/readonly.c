/* readonly: how to mount a filesystem so that not a byte of it is written. */
#include "readonly.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

/* The superblock of ext2, ext3 and ext4: Documentation/filesystems/ext4/super.rst in the kernel. Offsets in bytes. */
#define EXT_SUPER 1024
#define EXT_MAGIC 0x38
#define EXT_INCOMPAT 0x60
#define EXT_RO_COMPAT 0x64
#define EXT_LAST_ORPHAN 0xe8
#define EXT_MAGIC_VALUE 0xef53
#define EXT_INCOMPAT_RECOVER 0x4
#define EXT_RO_COMPAT_ORPHANS 0x10000

/* That of btrfs: struct btrfs_super_block in linux/btrfs_tree.h. */
#define BTRFS_SUPER 65536
#define BTRFS_MAGIC 0x40
#define BTRFS_LOG_ROOT 0x60

#define SUPER_SIZE 1024

static uint32_t le32_at(const unsigned char *super, size_t at)
{
	uint32_t value;

	memcpy(&value, super + at, sizeof value);
	return le32toh(value);
}

static void look_at_ext(struct readonly *how, const unsigned char *super)
{
	bool journal = le32_at(super, EXT_INCOMPAT) & EXT_INCOMPAT_RECOVER;

	if ((le32_at(super, EXT_MAGIC) & 0xffff) != EXT_MAGIC_VALUE)
		return;
	/* An ext2 refuses the option, and has nothing to replay. */
	if (journal)
		how->options = "ro,noload";
	how->dirty = how->loop = journal || le32_at(super, EXT_LAST_ORPHAN) || (le32_at(super, EXT_RO_COMPAT) & EXT_RO_COMPAT_ORPHANS);
}

static void look_at_btrfs(struct readonly *how, const unsigned char *super)
{
	if (memcmp(super + BTRFS_MAGIC, "_BHRfS_M", 8) != 0 || (le32_at(super, BTRFS_LOG_ROOT) == 0 && le32_at(super, BTRFS_LOG_ROOT + 4) == 0))
		return;
	how->options = "ro,rescue=nologreplay";
	how->dirty = true;
}

int readonly_look(struct readonly *how, const char *source, uint64_t offset, const char *type, struct err *err)
{
	bool ext = type && strncmp(type, "ext", 3) == 0, btrfs = type && strcmp(type, "btrfs") == 0;
	unsigned char super[SUPER_SIZE];
	auto_close int fd = -1;
	ssize_t n;

	*how = (struct readonly){ .options = "ro" };
	if (type && (strcmp(type, "xfs") == 0 || strcmp(type, "f2fs") == 0))
		how->options = "ro,norecovery";
	if (!ext && !btrfs)
		return 0;
	fd = open(source, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_set(err, errno, "cannot open %s", source);
	n = pread(fd, super, sizeof super, (off_t)offset + (ext ? EXT_SUPER : BTRFS_SUPER));
	if (n != (ssize_t)sizeof super)
		return err_set(err, n < 0 ? errno : EIO, "cannot read %s", source);
	if (ext)
		look_at_ext(how, super);
	else
		look_at_btrfs(how, super);
	return 0;
}

bool readonly_is_type(const char *type)
{
	static const char *const types[] = { "squashfs", "iso9660", "erofs", "cramfs", "romfs" };

	for (size_t i = 0; type && i < sizeof types / sizeof *types; i++)
		if (strcmp(type, types[i]) == 0)
			return true;
	return false;
}
