/* device_test: which devices a tag means, the words for those that cannot be taken, and the kernel's messages about them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

#include "../../gcdboot/device_match.h"
#include "../../gcdboot/uevent.h"

/* The strings are only read. */
#define S(literal) ((char *)(uintptr_t)(literal))

static struct device make(const char *node, dev_t dev, const char *type, const char *usage, const char *label, const char *uuid)
{
	return (struct device){ .node = S(node), .dev = dev, .type = S(type), .usage = S(usage), .label = S(label), .uuid = S(uuid) };
}

static struct device make_ext4(const char *node, dev_t dev, const char *label, const char *uuid)
{
	return make(node, dev, "ext4", "filesystem", label, uuid);
}

/* The nodes that match, with a space behind each. */
static const char *match(struct device *device, size_t count, enum conf_source kind, const char *value)
{
	static char nodes[256];
	struct device_list list = { .device = device, .count = count };
	struct device_matches matches;
	size_t len = 0;

	nodes[0] = '\0';
	assert_int_equal(device_match(&matches, &list, kind, value), 0);
	for (size_t i = 0; i < matches.count; i++)
		len += (size_t)snprintf(nodes + len, sizeof nodes - len, "%s ", matches.device[i]->node);
	free(matches.device);
	return nodes;
}

static void test_match_is_exact(void **state)
{
	struct device device[] = {
		make_ext4("/dev/a", 1, "/", "1111-aaaa"),
		make_ext4("/dev/b", 2, "//", "2222-BBBB"),
		make_ext4("/dev/c", 3, "Root", NULL),
		make_ext4("/dev/d", 4, NULL, NULL),
	};

	(void)state;
	device[2].partlabel = S("Boot disk");
	device[2].partuuid = S("ABCD-01");
	assert_string_equal(match(device, 4, SOURCE_LABEL, "/"), "/dev/a ");
	assert_string_equal(match(device, 4, SOURCE_LABEL, "root"), "");
	assert_string_equal(match(device, 4, SOURCE_LABEL, ""), "");
	assert_string_equal(match(device, 4, SOURCE_UUID, "1111-AAAA"), "/dev/a ");
	assert_string_equal(match(device, 4, SOURCE_UUID, "2222-bbbb"), "/dev/b ");
	assert_string_equal(match(device, 4, SOURCE_PARTLABEL, "Boot disk"), "/dev/c ");
	assert_string_equal(match(device, 4, SOURCE_PARTLABEL, "boot disk"), "");
	assert_string_equal(match(device, 4, SOURCE_PARTUUID, "abcd-01"), "/dev/c ");
	assert_string_equal(match(device, 0, SOURCE_LABEL, "/"), "");
}

static void test_match_prefers_filesystems(void **state)
{
	struct device device[] = {
		make("/dev/luks", 1, "crypto_LUKS", "crypto", "/", "1"),
		make_ext4("/dev/inside", 2, "/", "2"),
		make("/dev/swap", 3, "swap", "other", "/", "3"),
		make("/dev/pool", 4, "zfs_member", "filesystem", "/", "4"),
	};

	(void)state;
	assert_string_equal(match(device, 4, SOURCE_LABEL, "/"), "/dev/inside ");
	assert_string_equal(match(device, 1, SOURCE_LABEL, "/"), "/dev/luks ");
	assert_string_equal(match(device + 2, 2, SOURCE_LABEL, "/"), "/dev/swap /dev/pool ");
}

static void test_match_counts_a_device_once(void **state)
{
	struct device device[] = { make_ext4("/dev/a", 7, "/", "1"), make_ext4("/dev/alias", 7, "/", "1"), make_ext4("/dev/b", 8, "/", "2") };

	(void)state;
	assert_string_equal(match(device, 2, SOURCE_LABEL, "/"), "/dev/a ");
	assert_string_equal(match(device, 3, SOURCE_LABEL, "/"), "/dev/a /dev/b ");
}

static void refused(const char *type, const char *usage, bool type_given, const char *wanted)
{
	struct device device = make("/dev/sdb1", 1, type, usage, NULL, NULL);
	struct err err = { 0 };

	assert_int_equal(device_refuse_content(&device, "/dev/sdb1", type_given, &err), wanted ? -EINVAL : 0);
	if (wanted)
		assert_string_equal(err.msg, wanted);
}

static void test_refuse_content(void **state)
{
	(void)state;
	refused("ext4", "filesystem", false, NULL);
	refused("crypto_LUKS", "crypto", false, "/dev/sdb1 holds an encrypted volume (crypto_LUKS): open it first with cryptsetup");
	refused("crypto_LUKS", "crypto", true, "/dev/sdb1 holds an encrypted volume (crypto_LUKS): open it first with cryptsetup");
	refused("LVM2_member", "raid", false, "/dev/sdb1 is an LVM physical volume (LVM2_member): activate it with vgchange -ay, and name the logical volume");
	refused("linux_raid_member", "raid", false, "/dev/sdb1 is a member of a RAID (linux_raid_member): assemble it first, with mdadm --assemble --scan");
	refused("swap", "other", true, "/dev/sdb1 is swap space (swap), not a filesystem");
	refused("zfs_member", "filesystem", true,
		"/dev/sdb1 is part of a ZFS pool (zfs_member): import the pool with zpool import, and name the directory as source");
	refused("DM_snapshot_cow", "other", false, "/dev/sdb1 holds no filesystem (DM_snapshot_cow)");
	refused(NULL, DEVICE_PARTITIONED, true, "/dev/sdb1 holds a partition table: name one of its partitions");
	refused(NULL, DEVICE_AMBIVALENT, false,
		"/dev/sdb1 has the signatures of several filesystems: say which one with type =, or erase the wrong one with wipefs");
	refused(NULL, DEVICE_AMBIVALENT, true, NULL);
	refused(NULL, NULL, false, "/dev/sdb1 holds nothing that is known: no filesystem; where you know its type, say so with type =");
	refused(NULL, NULL, true, NULL);
}

static void many(struct device *device, size_t count, int wanted, const char *message)
{
	const struct device *all[64];
	struct device_matches matches = { .device = all, .count = count };
	struct err err = { 0 };

	for (size_t i = 0; i < count; i++)
		all[i] = &device[i];
	assert_int_equal(device_refuse_many(&matches, "LABEL=/", false, &err), wanted);
	assert_string_equal(err.msg, message);
}

static void test_refuse_many(void **state)
{
	struct device two[] = { make_ext4("/dev/sda1", 1, "/", "aa"), make_ext4("/dev/sdb1", 2, "/", "bb") };
	struct device copies[] = { make_ext4("/dev/sda1", 1, "/", "aa"), make_ext4("/dev/sdb1", 2, "/", "AA"), make_ext4("/dev/sdc1", 3, "/", "cc") };
	struct device taken[] = { make("/dev/sda1", 1, "crypto_LUKS", "crypto", "/", "a"), make("/dev/sdb1", 2, "swap", "other", "/", "b") };

	(void)state;
	many(two, 2, -ENOTUNIQ, "LABEL=/ matches /dev/sda1 and /dev/sdb1: use UUID=aa for /dev/sda1 or UUID=bb for /dev/sdb1");
	copies[0].partuuid = S("p1");
	many(copies, 3, -ENOTUNIQ, "LABEL=/ matches /dev/sda1, /dev/sdb1 and /dev/sdc1: use PARTUUID=p1 for /dev/sda1, /dev/sdb1 or UUID=cc for /dev/sdc1");
	many(taken, 2, -EINVAL,
	     "LABEL=/ matches no filesystem: /dev/sda1 holds an encrypted volume (crypto_LUKS): open it first with cryptsetup; "
	     "/dev/sdb1 is swap space (swap), not a filesystem");
}

static void test_refuse_many_stays_short(void **state)
{
	char uuid[60][8], node[60][16];
	struct device device[60];
	const struct device *all[60];
	struct device_matches matches = { .device = all, .count = 60 };
	struct err err = { 0 };

	(void)state;
	for (int i = 0; i < 60; i++) {
		snprintf(uuid[i], sizeof uuid[i], "u%d", i);
		snprintf(node[i], sizeof node[i], "/dev/sd%d", i);
		device[i] = make_ext4(node[i], (dev_t)i, "/", uuid[i]);
		all[i] = &device[i];
	}
	assert_int_equal(device_refuse_many(&matches, "LABEL=/", false, &err), -ENOTUNIQ);
	assert_non_null(strstr(err.msg, "/dev/sd6, /dev/sd7 and 52 more: use UUID=u0 for /dev/sd0, "));
	assert_null(strstr(err.msg, "sd8"));
}

static void none(struct device *device, size_t count, int waited_ms, const char *message)
{
	struct device_list list = { .device = device, .count = count };
	struct err err = { 0 };

	assert_int_equal(device_refuse_none(&list, "filesystem with LABEL=/", waited_ms, &err), -ENODEV);
	assert_string_equal(err.msg, message);
}

static void test_refuse_none(void **state)
{
	struct device device[] = {
		make("/dev/sda", 1, NULL, DEVICE_PARTITIONED, NULL, NULL),
		make("/dev/sda1", 2, "swap", "other", NULL, "s1"),
		make_ext4("/dev/sda2", 3, "data", "d1"),
		make_ext4("/dev/sda3", 4, NULL, "e1"),
		make("/dev/sda4", 5, NULL, NULL, NULL, NULL),
		make("/dev/sda5", 6, NULL, DEVICE_AMBIVALENT, NULL, NULL),
		make("/dev/sda6", 7, "xfs", "filesystem", NULL, NULL),
	};

	(void)state;
	none(NULL, 0, 30000, "no filesystem with LABEL=/ (waited 30 s); what there is: nothing");
	none(device, 1, 1500, "no filesystem with LABEL=/ (waited 1.5 s); what there is: nothing");
	none(device, 7, 0,
	     "no filesystem with LABEL=/ (waited 0 s); what there is: /dev/sda2 ext4 LABEL=data, /dev/sda3 ext4 UUID=e1, /dev/sda6 xfs, "
	     "/dev/sda1 swap UUID=s1, /dev/sda5 ambivalent");
}

static void test_describe_counts_the_rest(void **state)
{
	struct device device[] = { make_ext4("/dev/a", 1, "1", NULL), make_ext4("/dev/b", 2, "2", NULL), make_ext4("/dev/c", 3, "3", NULL) };
	struct device_list list = { .device = device, .count = 3 };
	char *text = device_describe(&list, 2);

	(void)state;
	assert_string_equal(text, "/dev/a ext4 LABEL=1, /dev/b ext4 LABEL=2 and 1 more");
	free(text);
	text = device_describe(&list, 3);
	assert_string_equal(text, "/dev/a ext4 LABEL=1, /dev/b ext4 LABEL=2, /dev/c ext4 LABEL=3");
	free(text);
}

/* Labels are whatever someone wrote on a disk. */
static void test_hostile_labels(void **state)
{
	char longest[256];
	struct device device[] = {
		make_ext4("/dev/a", 1, "$(id)", "1"),    make_ext4("/dev/b", 2, "two\nlines", "2"), make_ext4("/dev/c", 3, "\033[2J%s%n", "3"),
		make_ext4("/dev/d", 4, "\xff\xfe", "4"), make_ext4("/dev/e", 5, longest, "5"),
	};
	struct device_list list = { .device = device, .count = 5 };
	struct err err = { 0 };

	(void)state;
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	memcpy(longest + 46, "\xe6\x97\xa5", 3); /* lies across the cut */
	assert_string_equal(match(device, 5, SOURCE_LABEL, "two\nlines"), "/dev/b ");
	assert_int_equal(device_refuse_none(&list, "filesystem with LABEL=\033[H", 0, &err), -ENODEV);
	assert_string_equal(
	    err.msg, "no filesystem with LABEL=\\033[H (waited 0 s); what there is: /dev/a ext4 LABEL=$(id), /dev/b ext4 LABEL=two\\012lines, "
		     "/dev/c ext4 LABEL=\\033[2J%s%n, /dev/d ext4 LABEL=\\377\\376, /dev/e ext4 LABEL=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...");
}

#define IS_BLOCK(literal) uevent_is_block(literal, sizeof(literal) - 1)

static void test_uevent(void **state)
{
	(void)state;
	assert_true(IS_BLOCK("add@/devices/virtual/block/loop0\0ACTION=add\0DEVPATH=/devices/virtual/block/loop0\0SUBSYSTEM=block\0MAJOR=7\0"));
	assert_true(IS_BLOCK("change@/x\0SUBSYSTEM=block")); /* not terminated */
	assert_false(IS_BLOCK("add@/devices/x\0ACTION=add\0SUBSYSTEM=net\0"));
	assert_false(IS_BLOCK("add@/x\0SUBSYSTEM=blocks\0"));
	assert_false(IS_BLOCK("add@/x\0XSUBSYSTEM=block\0"));
	assert_false(IS_BLOCK("add@/x\0SUBSYSTEM=bloc"));
	assert_false(IS_BLOCK("\0\0\0"));
	assert_false(uevent_is_block("", 0));
	assert_false(IS_BLOCK("add@/x\0SUBSYSTEM="));
}

#define DEVICE(literal) uevent_device(literal, sizeof(literal) - 1)

static void test_uevent_device(void **state)
{
	(void)state;
	assert_int_equal(DEVICE("add@/x\0SUBSYSTEM=block\0MAJOR=8\0MINOR=53\0"), makedev(8, 53));
	assert_int_equal(DEVICE("add@/x\0MINOR=1048575\0MAJOR=259"), makedev(259, 1048575));
	assert_int_equal(DEVICE("add@/x\0MAJOR=8"), 0);
	assert_int_equal(DEVICE("add@/x\0MAJOR=\0MINOR=1\0"), 0);
	assert_int_equal(DEVICE("add@/x\0XMAJOR=8\0MINOR=1\0"), 0);
	assert_int_equal(uevent_device("", 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_match_is_exact),
		cmocka_unit_test(test_match_prefers_filesystems),
		cmocka_unit_test(test_match_counts_a_device_once),
		cmocka_unit_test(test_refuse_content),
		cmocka_unit_test(test_refuse_many),
		cmocka_unit_test(test_refuse_many_stays_short),
		cmocka_unit_test(test_refuse_none),
		cmocka_unit_test(test_describe_counts_the_rest),
		cmocka_unit_test(test_hostile_labels),
		cmocka_unit_test(test_uevent),
		cmocka_unit_test(test_uevent_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
