/* table_test: mount tables, read from bytes; each line as libmount or a person may misread it. */
#include "../../gcdboot/table.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../gcdboot/util.h"

/* table_read() of these bytes, as a file. */
static int read_bytes(struct table *table, const char *bytes, size_t len, struct err *err)
{
	auto_fclose FILE *file = tmpfile();
	char path[64];

	assert_non_null(file);
	assert_int_equal(write(fileno(file), bytes, len), len);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fileno(file));
	return table_read(table, path, err);
}

static void read_text(struct table *table, const char *text)
{
	struct err err;

	if (read_bytes(table, text, strlen(text), &err) < 0)
		fail_msg("%s", err.msg);
}

static void refused(const char *text, size_t len, const char *msg)
{
	struct table table;
	struct err err = { 0 };

	assert_int_equal(read_bytes(&table, text, len, &err), -EINVAL);
	if (strncmp(err.msg, msg, strlen(msg)) != 0 || err.msg[strlen(msg)] != ',')
		fail_msg("'%s' instead of '%s'", err.msg, msg);
	assert_true(err.usage);
	assert_int_equal(table.count, 0);
}

static void test_mountinfo(void **state)
{
	struct table table;

	(void)state;
	read_text(&table, "20 1 8:4 / / rw,noatime shared:1 - ext4 /dev/sda4 rw,errors=continue\n"
			  "21 20 259:1048575 /sub/dir /mnt/a ro,nosuid shared:7 master:3 - xfs /dev/nvme0n1 rw\n");
	assert_int_equal(table.count, 2);
	assert_int_equal(table.mount[1].id, 21);
	assert_int_equal(table.mount[1].parent, 20);
	assert_int_equal(table.mount[1].major, 259);
	assert_int_equal(table.mount[1].minor, 1048575);
	assert_string_equal(table.mount[1].root, "/sub/dir");
	assert_string_equal(table.mount[1].target, "/mnt/a");
	assert_string_equal(table.mount[1].options, "ro,nosuid");
	assert_string_equal(table.mount[1].propagation, "shared:7 master:3");
	assert_string_equal(table.mount[1].type, "xfs");
	assert_string_equal(table.mount[1].source, "/dev/nvme0n1");
	assert_string_equal(table.mount[1].super_options, "rw");
	assert_false(table.mount[1].deleted);
	table_clear(&table);
	assert_int_equal(table.count, 0);
}

static void test_mounts(void **state)
{
	struct table table;

	(void)state;
	read_text(&table, "/dev/sda4 / ext4 rw,noatime 0 0\nproc /proc proc rw 0\nsysfs\t/sys   sysfs rw\n");
	assert_int_equal(table.count, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(table.mount[i].id, -1);
		assert_int_equal(table.mount[i].parent, -1);
		assert_null(table.mount[i].root);
		assert_null(table.mount[i].super_options);
		assert_string_equal(table.mount[i].propagation, "");
	}
	assert_string_equal(table.mount[0].source, "/dev/sda4");
	assert_string_equal(table.mount[0].type, "ext4");
	assert_string_equal(table.mount[0].options, "rw,noatime");
	assert_string_equal(table.mount[1].target, "/proc");
	assert_string_equal(table.mount[2].target, "/sys");
	assert_string_equal(table.mount[2].options, "rw");
	table_clear(&table);
}

static void test_escapes_once(void **state)
{
	struct table table;

	(void)state;
	read_text(&table, "C:\\134 /mnt/a\\040b\\011c\\012d\\134e 9p rw 0 0\n"
			  "x /mnt/\\134040 9p rw 0 0\n"
			  "\\043x /mnt/\\1ab\\9 9p rw 0 0\n");
	assert_string_equal(table.mount[0].source, "C:\\");
	assert_string_equal(table.mount[0].target, "/mnt/a b\tc\nd\\e");
	assert_string_equal(table.mount[1].target, "/mnt/\\040");
	assert_string_equal(table.mount[2].source, "#x");
	assert_string_equal(table.mount[2].target, "/mnt/\\1ab\\9");
	table_clear(&table);
	read_text(&table, "21 20 0:1 /r\\040s /mnt/\\134040\\040x rw - tmpfs a\\040b rw\n");
	assert_string_equal(table.mount[0].root, "/r s");
	assert_string_equal(table.mount[0].target, "/mnt/\\040 x");
	assert_string_equal(table.mount[0].source, "a b");
	table_clear(&table);
}

static void test_empty_source(void **state)
{
	struct table table;

	(void)state;
	read_text(&table, "21 20 0:1 / /a rw - tmpfs  rw,size=1k\n22 20 0:1 / /b rw - tmpfs  \n23 20 0:1 / /c rw - tmpfs t \n");
	assert_string_equal(table.mount[0].source, "");
	assert_string_equal(table.mount[0].super_options, "rw,size=1k");
	assert_string_equal(table.mount[1].source, "");
	assert_null(table.mount[1].super_options);
	assert_string_equal(table.mount[2].source, "t");
	assert_null(table.mount[2].super_options);
	table_clear(&table);
	read_text(&table, " /a tmpfs rw,size=1k 0 0\n  t /b tmpfs rw 0 0\n /dev/x /c ext4 rw 0 0\n");
	assert_string_equal(table.mount[0].source, "");
	assert_string_equal(table.mount[0].target, "/a");
	assert_string_equal(table.mount[0].type, "tmpfs");
	assert_string_equal(table.mount[0].options, "rw,size=1k");
	assert_string_equal(table.mount[1].source, "t");
	assert_string_equal(table.mount[2].source, "/dev/x");
	assert_string_equal(table.mount[2].target, "/c");
	table_clear(&table);
}

/* Docker Desktop's line, in both formats. */
static void test_raw_spaces_in_options(void **state)
{
	struct table table;

	(void)state;
	read_text(&table, "C: /Docker/host 9p rw,path=C:\\Program Files\\Docker 2  x;symlinkroot=/mnt/,msize=65536 0 0\n");
	assert_string_equal(table.mount[0].target, "/Docker/host");
	assert_string_equal(table.mount[0].options, "rw,path=C:\\Program Files\\Docker 2  x;symlinkroot=/mnt/,msize=65536");
	table_clear(&table);
	read_text(&table, "21 20 0:1 / /Docker/host rw - 9p C: rw,path=C:\\Program Files\\Docker,msize=65536\n");
	assert_string_equal(table.mount[0].super_options, "rw,path=C:\\Program Files\\Docker,msize=65536");
	table_clear(&table);
}

static void test_odd_bytes(void **state)
{
	struct table table;

	(void)state;
	read_text(&table, "20 1 8:4 / /mnt/foo\rbar rw - ext4 a\"b rw,lowerdir=/x\"y,z\n"
			  "21 1 8:4 / /mnt/'q' rw - overlay o'o rw\n"
			  "22 1 8:4 / /mnt/\xff\x1b[m rw - ext4 LABEL=\"x rw,path=C:\\000\n"
			  "23 1 8:4 / /mnt/x\\040(deleted) rw - ext4 /dev/root rw\n"
			  "24 1 0:4 mnt:[4026532641] /run/ns rw unbindable - nsfs nsfs rw");
	assert_int_equal(table.count, 5);
	assert_string_equal(table.mount[0].target, "/mnt/foo\rbar");
	assert_string_equal(table.mount[0].source, "a\"b");
	assert_string_equal(table.mount[0].super_options, "rw,lowerdir=/x\"y,z");
	assert_string_equal(table.mount[1].source, "o'o");
	assert_string_equal(table.mount[2].target, "/mnt/\xff\x1b[m");
	assert_string_equal(table.mount[2].source, "LABEL=\"x");
	assert_string_equal(table.mount[2].super_options, "rw,path=C:\\000");
	assert_string_equal(table.mount[3].target, "/mnt/x (deleted)");
	assert_false(table.mount[3].deleted);
	assert_string_equal(table.mount[3].source, "/dev/root");
	assert_string_equal(table.mount[4].root, "mnt:[4026532641]");
	assert_string_equal(table.mount[4].propagation, "unbindable");
	table_clear(&table);
}

static void test_unbalanced_quote_in_mounts(void **state)
{
	struct table table;

	(void)state;
	read_text(&table, "o /a overlay rw,lowerdir=/x\"y,z 0 0\ns /b tmpfs rw,context=\"u:r:t:c1,c2\",size=1k 0 0\n");
	assert_string_equal(table.mount[0].options, "rw,lowerdir=/x\"y,z");
	assert_string_equal(table.mount[1].options, "rw,context=\"u:r:t:c1,c2\",size=1k");
	table_clear(&table);
}

static void test_deleted(void **state)
{
	struct table table;

	(void)state;
	read_text(&table, "20 1 8:4 /f//deleted /mnt/f rw - ext4 /dev/sda rw\n21 1 8:4 / /mnt/g//deleted rw - ext4 /dev/sda rw\n");
	assert_false(table.mount[0].deleted);
	assert_string_equal(table.mount[0].root, "/f//deleted");
	assert_string_equal(table.mount[0].target, "/mnt/f");
	assert_true(table.mount[1].deleted);
	assert_string_equal(table.mount[1].target, "/mnt/g");
	table_clear(&table);
}

static void test_targets_are_clean(void **state)
{
	struct table table;

	(void)state;
	read_text(&table, "a /mnt/ tmpfs rw 0 0\nb //x/./y tmpfs rw 0 0\nc // tmpfs rw 0 0\n");
	assert_string_equal(table.mount[0].target, "/mnt");
	assert_string_equal(table.mount[1].target, "/x/y");
	assert_string_equal(table.mount[2].target, "/");
	table_clear(&table);
}

static void test_comments_blank_lines_and_crlf(void **state)
{
	struct table table;
	struct err err;
	const char broken[] = "# one\n\n \t\nproc /proc proc rw 0 0\n#x\nproc proc rw 0 0\n";

	(void)state;
	read_text(&table, "# x\n\n  # y\nproc /proc proc rw 0 0\r\n\r\nsysfs /sys sysfs rw 0 0\r\n");
	assert_int_equal(table.count, 2);
	assert_string_equal(table.mount[1].target, "/sys");
	table_clear(&table);
	read_text(&table, "20 1 8:4 / / rw - ext4 /dev/sda rw\r\n# x\n21 20 8:4 / /a rw - ext4 /dev/sda rw\r\n");
	assert_int_equal(table.count, 2);
	assert_string_equal(table.mount[0].super_options, "rw");
	table_clear(&table);
	/* The number is that of the line in the file, comments counted. */
	assert_int_equal(read_bytes(&table, broken, strlen(broken), &err), -EINVAL);
	assert_non_null(strstr(err.msg, "mount table line 6: bad field 2"));
}

/* After good lines, so that the format is known and the number is right. */
static void bad_mountinfo(const char *line, int field)
{
	auto_free char *text = NULL;
	char msg[64];

	assert_true(asprintf(&text, "20 1 8:4 / / rw - ext4 /dev/sda rw\n21 20 8:4 / /a rw shared:1 - ext4 /dev/sda rw\n%s\n", line) > 0);
	snprintf(msg, sizeof msg, "mount table line 3: bad field %d", field);
	refused(text, strlen(text), msg);
}

static void test_bad_mountinfo(void **state)
{
	(void)state;
	bad_mountinfo("x 20 0:1 / /b rw - tmpfs t rw", 1);
	bad_mountinfo("99999999999999 20 0:1 / /b rw - tmpfs t rw", 1);
	bad_mountinfo("2147483648 20 0:1 / /b rw - tmpfs t rw", 1);
	bad_mountinfo("-1 20 0:1 / /b rw - tmpfs t rw", 1);
	bad_mountinfo("+1 20 0:1 / /b rw - tmpfs t rw", 1);
	bad_mountinfo("22", 2);
	bad_mountinfo("22 20x 0:1 / /b rw - tmpfs t rw", 2);
	bad_mountinfo("22  20 0:1 / /b rw - tmpfs t rw", 2);
	bad_mountinfo("22 20", 3);
	bad_mountinfo("22 20 01 / /b rw - tmpfs t rw", 3);
	bad_mountinfo("22 20 0:1x / /b rw - tmpfs t rw", 3);
	bad_mountinfo("22 20 :1 / /b rw - tmpfs t rw", 3);
	bad_mountinfo("22 20 0: / /b rw - tmpfs t rw", 3);
	bad_mountinfo("22 20 0:1", 4);
	bad_mountinfo("22 20 0:1  /b rw - tmpfs t rw", 4);
	bad_mountinfo("22 20 0:1 /", 5);
	bad_mountinfo("22 20 0:1 / b rw - tmpfs t rw", 5);
	bad_mountinfo("22 20 0:1 / rw - tmpfs t rw", 5);
	bad_mountinfo("22 20 0:1 / /a/../b rw - tmpfs t rw", 5);
	bad_mountinfo("22 20 0:1 / /a/\\056\\056/b rw - tmpfs t rw", 5);
	bad_mountinfo("22 20 0:1 / /a\\000b rw - tmpfs t rw", 5);
	bad_mountinfo("22 20 0:1 / /a\\400b rw - tmpfs t rw", 5);
	bad_mountinfo("22 20 0:1 / /b", 6);
	bad_mountinfo("22 20 0:1 / /b shared:1 - tmpfs t rw", 6);
	bad_mountinfo("22 20 0:1 / /b rwx - tmpfs t rw", 6);
	bad_mountinfo("22 20 0:1 / /b rw", 7);
	bad_mountinfo("22 20 0:1 / /b rw shared:1", 8);
	bad_mountinfo("22 20 0:1 / /b rw shared:1 master:2 tmpfs t rw", 12);
	bad_mountinfo("22 20 0:1 / /b rw  shared:1 - tmpfs t rw", 7);
	bad_mountinfo("22 20 0:1 / /b rw -", 8);
	bad_mountinfo("22 20 0:1 / /b rw - ", 8);
	bad_mountinfo("22 20 0:1 / /b rw shared:1 - tmpfs", 10);
	bad_mountinfo("22 20 0:1 / /b rw shared:1 - tmpfs t", 11);
	bad_mountinfo("proc /proc proc rw 0 0", 1);
}

static void bad_mounts(const char *line, int field)
{
	auto_free char *text = NULL;
	char msg[64];

	assert_true(asprintf(&text, "/dev/sda / ext4 rw 0 0\n%s", line) > 0);
	snprintf(msg, sizeof msg, "mount table line 2: bad field %d", field);
	refused(text, strlen(text), msg);
}

static void test_bad_mounts(void **state)
{
	(void)state;
	bad_mounts("tmpfs", 2);
	bad_mounts("tmpfs mnt tmpfs rw 0 0", 2);
	bad_mounts("tmpfs /a/../.. tmpfs rw 0 0", 2);
	bad_mounts("a b /mnt tmpfs rw 0 0", 2);
	bad_mounts("tmpfs /mnt", 3);
	bad_mounts("tmpfs /mnt tmpfs", 4);
	bad_mounts("tmpfs /mnt rw 0 0", 4);
	bad_mounts("tmpfs /mnt tmpfs rw x", 5);
	bad_mounts("tmpfs /mnt tmpfs rw x 0", 5);
	bad_mounts("tmpfs /mnt tmpfs rw 0 x", 6);
	bad_mounts("tmpfs /mnt tmpfs rw 0 0 0", 7);
	bad_mounts("tmpfs /mnt tmpfs rw a b c", 5);
	bad_mounts("tm\\000pfs /mnt tmpfs rw 0 0", 1);
	bad_mounts("22 20 0:1 / /b rw - tmpfs t rw", 2);
}

/* A damaged first line does not turn mountinfo into something else. */
static void test_bad_first_line(void **state)
{
	static const struct {
		const char *line;
		int field;
	} bad[] = {
		{ "x 20 0:1 / /b rw - tmpfs t rw\n", 1 },
		{ "22 x 0:1 / /b rw - tmpfs t rw\n", 2 },
		{ "22 20 x / /b rw - tmpfs t rw\n", 3 },
		{ "22 20 0:1 / b rw - tmpfs t rw\n", 5 },
		{ "36 35 98:0", 4 },
		{ "proc proc proc rw 0 0\n", 2 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char msg[64];

		snprintf(msg, sizeof msg, "mount table line 1: bad field %d", bad[i].field);
		refused(bad[i].line, strlen(bad[i].line), msg);
	}
}

static void test_nul_and_empty(void **state)
{
	(void)state;
	refused("a /a t rw 0 0\nb /b\0c t rw 0 0\n", 30, "mount table line 2: NUL byte");
	refused("\0", 1, "mount table line 1: NUL byte");
	refused("", 0, "mount table is empty");
	refused("\n \n# x\n", 7, "mount table is empty");
}

static void test_files(void **state)
{
	struct table table;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(table_read(&table, "/nonexistent/table", &err), -ENOENT);
	assert_string_equal(err.msg, "cannot open the mount table /nonexistent/table: No such file or directory");
	assert_int_equal(table_read(&table, "/", &err), -EISDIR);
	assert_non_null(strstr(err.msg, "cannot read the mount table /: "));
	assert_int_equal(table_read(&table, NULL, &err), 0);
	assert_true(table.count > 0);
	assert_true(table.mount[0].id > 0);
	table_clear(&table);
	assert_int_equal(table_read(&table, "/proc/self/mounts", &err), 0);
	table_clear(&table);
}

static void test_find_target(void **state)
{
	struct table table;

	(void)state;
	/* /a is mounted three times, the topmost on the first line; /b/c is covered by /b; 30 is a mount on a covered one. */
	read_text(&table, "25 24 0:1 / /a rw - t top rw\n20 1 8:4 / / rw - t root rw\n23 20 0:1 / /a rw - t low rw\n24 23 0:1 / /a rw - t mid rw\n"
			  "26 20 0:1 / /b/c rw - t hidden rw\n27 20 0:1 / /b rw - t b rw\n28 27 0:1 / /b/d rw - t d rw\n30 23 0:1 / /a/x rw - t x rw\n");
	assert_string_equal(table_find_target(&table, "/a")->source, "top");
	assert_string_equal(table_find_target(&table, "/")->source, "root");
	assert_string_equal(table_find_target(&table, "/b/d")->source, "d");
	assert_null(table_find_target(&table, "/b/c"));
	assert_null(table_find_target(&table, "/a/x"));
	assert_null(table_find_target(&table, "/none"));
	table_clear(&table);
	read_text(&table, "low /a t rw 0 0\nroot / t rw 0 0\ntop /a t rw 0 0\nx /b/c t rw 0 0\nb /b t rw 0 0\nd /b/d t rw 0 0\n");
	assert_string_equal(table_find_target(&table, "/a")->source, "top");
	assert_null(table_find_target(&table, "/b/c"));
	assert_string_equal(table_find_target(&table, "/b/d")->source, "d");
	table_clear(&table);
}

static void test_moved_mount_is_visible(void **state)
{
	struct table table;

	(void)state;
	/* 21 was mounted first and then moved onto a mount that came later: mount --move /x /b/c. */
	read_text(&table, "20 1 8:4 / / rw - t root rw\n21 22 0:1 / /b/c rw - t moved rw\n22 20 0:1 / /b rw - t b rw\n");
	assert_string_equal(table_find_target(&table, "/b/c")->source, "moved");
	table_clear(&table);
	/* 22 came first and was then moved over what 21 is mounted on. */
	read_text(&table, "20 1 8:4 / / rw - t root rw\n22 20 0:1 / /b rw - t b rw\n21 20 0:1 / /b/c rw - t hidden rw\n");
	assert_null(table_find_target(&table, "/b/c"));
	table_clear(&table);
}

/* Edited tables: parents in a circle, its own parent, parents from elsewhere, one id twice. The last line counts then. */
static void test_impossible_parents(void **state)
{
	struct table table;

	(void)state;
	read_text(&table, "20 1 8:4 / / rw - t root rw\n21 22 0:1 / /a rw - t one rw\n22 21 0:1 / /a rw - t two rw\n23 23 0:1 / /b rw - t self rw\n"
			  "24 22 0:1 / /c rw - t elsewhere rw\n25 20 0:1 / /d rw - t d rw\n25 20 0:1 / /d rw - t twice rw\n26 99 0:1 / /e rw - t e rw\n"
			  "27 20 0:1 / /f rw - t f rw\n28 99 0:1 / /f rw - t later rw\n29 99 0:1 / /g rw - t g rw\n30 20 0:1 / /g rw - t later rw\n");
	assert_string_equal(table_find_target(&table, "/a")->source, "two");
	assert_string_equal(table_find_target(&table, "/b")->source, "self");
	assert_string_equal(table_find_target(&table, "/c")->source, "elsewhere");
	assert_string_equal(table_find_target(&table, "/d")->source, "twice");
	assert_string_equal(table_find_target(&table, "/e")->source, "e");
	assert_string_equal(table_find_target(&table, "/f")->source, "later");
	assert_string_equal(table_find_target(&table, "/g")->source, "later");
	table_clear(&table);
}

/* A hundred thousand lines, in stacks, chains and side by side: what grows faster than the table does not end within this test's patience. */
static void test_large(void **state)
{
	auto_free char *text = NULL;
	size_t len = 0, visible_count = 0;
	FILE *out = open_memstream(&text, &len);
	auto_free bool *visible = calloc(100000, sizeof *visible);
	struct table table;

	(void)state;
	fputs("20 1 8:4 / / rw - t root rw\n", out);
	for (int i = 1; i < 30000; i++)
		fprintf(out, "%d %d 0:1 / /stack rw - t t%d rw\n", i + 20, i == 1 ? 20 : i + 19, i);
	for (int i = 30000; i < 100000; i++)
		fprintf(out, "%d 20 0:1 / /m/%d/%d rw - t t rw\n", i + 20, i % 300, i);
	fclose(out);
	read_text(&table, text);
	assert_int_equal(table.count, 100000);
	assert_int_equal(table_visible(&table, visible), 0);
	for (size_t i = 0; i < table.count; i++)
		visible_count += visible[i];
	assert_int_equal(visible_count, 1 + 1 + 70000);
	assert_string_equal(table_find_target(&table, "/stack")->source, "t29999");
	table_clear(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mountinfo),
		cmocka_unit_test(test_mounts),
		cmocka_unit_test(test_escapes_once),
		cmocka_unit_test(test_empty_source),
		cmocka_unit_test(test_raw_spaces_in_options),
		cmocka_unit_test(test_odd_bytes),
		cmocka_unit_test(test_unbalanced_quote_in_mounts),
		cmocka_unit_test(test_deleted),
		cmocka_unit_test(test_targets_are_clean),
		cmocka_unit_test(test_comments_blank_lines_and_crlf),
		cmocka_unit_test(test_bad_mountinfo),
		cmocka_unit_test(test_bad_mounts),
		cmocka_unit_test(test_bad_first_line),
		cmocka_unit_test(test_nul_and_empty),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_find_target),
		cmocka_unit_test(test_moved_mount_is_visible),
		cmocka_unit_test(test_impossible_parents),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
