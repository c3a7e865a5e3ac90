/* windows_test: what Windows says, as bytes, codes and tables; the drives in a mount table (corpus_test has real ones); the order of sockets. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../gcdboot/interop.h"
#include "../../gcdboot/text.h"
#include "../../gcdboot/util.h"
#include "../../gcdboot/windows_code.h"
#include "../../gcdboot/windows_disk.h"
#include "../../gcdboot/windows_drive.h"
#include "../../gcdboot/windows_text.h"
#include "../../gcdboot/wslconfig.h"

/* ---- windows_text */

static void decodes(const void *bytes, size_t size, const char *wanted)
{
	auto_free char *text = windows_text(bytes, size);

	assert_non_null(text);
	assert_string_equal(text, wanted);
}
#define DECODES(literal, wanted) decodes(literal, sizeof(literal) - 1, wanted)

/* A u"" literal of any of the characters that the messages have. */
#define DECODES16(literal, wanted) decodes(literal, sizeof(literal) - sizeof(char16_type), wanted)
typedef __CHAR16_TYPE__ char16_type;

static void test_text(void **state)
{
	(void)state;
	DECODES("", "");
	DECODES("one\r\r\ntwo\r\r\n", "one\ntwo");
	DECODES("\r\n\r\n one \r\n\n", " one");
	DECODES("gr\xc3\xbc\xc3\x9f\x65", "gr\xc3\xbc\xc3\x9f\x65");
	DECODES("code page \x81", "code page \x81");
	DECODES16(u"Fehlercode: Wsl/Service/0x80040315\r\r\n", "Fehlercode: Wsl/Service/0x80040315");
	DECODES16(u"\xfeffMit BOM", "Mit BOM");
	DECODES16(u"\xfeff日本", "日本"); /* not a NUL in it */
	DECODES16(u"ディスク\r\r\nエラー コード: X\r\r\n", "ディスク\nエラー コード: X");
	DECODES16(u"\U0001F4BE a", "\xf0\x9f\x92\xbe a");
	DECODES16(u"\xd83d a \xdcbe", "? a ?"); /* halves of pairs */
	/* The interpreter's own words come first, in single bytes. */
	DECODES("<3>WSL: x\nW\0S\0L\0_\0\r\0\r\0\n\0", "<3>WSL: x\nWSL_");
	/* Cut in the middle of a character. */
	DECODES("a\0b\0c", "ab");
	DECODES("\xff\xfe", "");
	DECODES("\xff", "\xff");
	DECODES("\0", "");
	DECODES("\0\0\0\0\0", "");
}

/* Any bytes come out as a string that is no longer than promised, without a '\r'. */
static void test_text_of_anything(void **state)
{
	unsigned char bytes[64];
	uint32_t seed = 1;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t size = (size_t)round % sizeof bytes;
		auto_free char *text = NULL, *line = NULL;
		char shown[WINDOWS_CODE_MAX];

		for (size_t i = 0; i < size; i++) {
			seed = seed * 1664525 + 1013904223;
			/* Much of what decides: NUL, line ends, halves of pairs, letters. */
			bytes[i] = (const unsigned char[]){ 0,   0,  '\r', '\n', 0xd8, 0xdc, 0xff, 0xfe, 'E', '_', '0', 'x', 0xe3, (unsigned char)(seed >> 8),
							    'W', ' ' }[seed >> 28];
		}
		text = windows_text(bytes, size);
		assert_non_null(text);
		assert_null(strchr(text, '\r'));
		assert_null(strstr(text, "\n\n"));
		assert_true(strlen(text) <= size / 2 * 3 + 3);
		windows_code_find(text, shown);
		line = windows_text_line(text, 20);
		assert_non_null(line);
		assert_null(strchr(line, '\n'));
	}
}

/* ---- windows_code */

static void test_code(void **state)
{
	static const struct {
		const char *text, *name;
		enum windows_verdict verdict;
	} known[] = {
		{ "Fehlercode: Wsl/Service/AttachDisk/WSL_E_ELEVATION_NEEDED_TO_MOUNT_DISK", "WSL_E_ELEVATION_NEEDED_TO_MOUNT_DISK", WINDOWS_NEVER },
		{ "Wsl/Service/AttachDisk/MountDisk/HCS/ERROR_SHARING_VIOLATION", "ERROR_SHARING_VIOLATION", WINDOWS_NEVER },
		{ "x\nError code: Wsl/0x80070020", "ERROR_SHARING_VIOLATION", WINDOWS_NEVER },
		{ "0x8007006C", "ERROR_DRIVE_LOCKED", WINDOWS_NEVER },
		{ "0x80040318", "WSL_E_DISK_ALREADY_ATTACHED", WINDOWS_ALREADY },
		{ "0X80040305", "WSL_E_TOO_MANY_DISKS_ATTACHED", WINDOWS_NEVER },
		{ "0x8004032b", "WSL_E_DISK_MOUNT_DISABLED", WINDOWS_NEVER },
		{ "0x8004032E", "WSL_E_LOCAL_SYSTEM_NOT_SUPPORTED", WINDOWS_NEVER },
		{ "0x80040315", "WSL_E_ELEVATION_NEEDED_TO_MOUNT_DISK", WINDOWS_NEVER },
		{ "0x12345678 ERROR_NOT_READY", "ERROR_NOT_READY", WINDOWS_LATER },
		{ "(0x80070002)", "ERROR_FILE_NOT_FOUND", WINDOWS_LATER },
	};
	char shown[WINDOWS_CODE_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		const struct windows_code *code = windows_code_find(known[i].text, shown);

		if (!code) {
			fail_msg("nothing in '%s'", known[i].text);
			return;
		}
		assert_string_equal(code->name, known[i].name);
		assert_int_equal(code->verdict, known[i].verdict);
		assert_non_null(strstr(known[i].text, shown));
		assert_true(strlen(code->sentence) > 10);
	}
}

static void unknown(const char *text, const char *wanted)
{
	char shown[WINDOWS_CODE_MAX];

	assert_null(windows_code_find(text, shown));
	assert_string_equal(shown, wanted);
}

static void test_code_unknown(void **state)
{
	char text[300];

	(void)state;
	unknown("", "");
	unknown("Zugriff verweigert.", "");
	unknown("WSL_E_NEW_ONE", "WSL_E_NEW_ONE");
	unknown("0x80070005x is none, 0x8007 neither, 0x800700055 nor this", "");
	unknown("MY_ERROR_NOT_READY", "");
	unknown("ERROR_NOT_READY_AT_ALL", "ERROR_NOT_READY_AT_ALL");
	unknown("error_not_ready", "");
	/* One that is longer than any. */
	memcpy(text, "ERROR_", 6);
	memset(text + 6, 'X', sizeof text - 7);
	text[sizeof text - 1] = '\0';
	text[WINDOWS_CODE_MAX + 100] = '\0';
	assert_null(windows_code_find(text, (char[WINDOWS_CODE_MAX]){ 0 }));
}

/* ---- windows_drive */

static void read_table(struct table *table, const char *text)
{
	auto_fclose FILE *file = tmpfile();
	char path[64];
	struct err err;

	assert_non_null(file);
	assert_int_equal(write(fileno(file), text, strlen(text)), strlen(text));
	snprintf(path, sizeof path, "/proc/self/fd/%d", fileno(file));
	if (table_read(table, path, &err) < 0)
		fail_msg("%s", err.msg);
}

/* "/mnt/c:C /mnt/x:-" */
static void has_drives(const char *text, const char *wanted)
{
	struct windows_drive drives[WINDOWS_DRIVES_MAX];
	struct table table;
	char found[512] = "";
	size_t count;

	read_table(&table, text);
	count = windows_drives(&table, drives);
	for (size_t i = 0; i < count; i++)
		sprintf(found + strlen(found), "%s%s:%c", i ? " " : "", drives[i].target, drives[i].letter ? drives[i].letter : '-');
	assert_string_equal(found, wanted);
	table_clear(&table);
}

static void test_drives(void **state)
{
	(void)state;
	has_drives("/dev/sdc / ext4 rw 0 0\nC:\\134 /mnt/c 9p rw,noatime,aname=drvfs;path=C:\\;uid=1000;gid=1000;symlinkroot=/mnt/,cache=5,trans=fd 0 0\n",
		   "/mnt/c:C");
	has_drives("20 1 8:4 / / rw - ext4 /dev/sda rw\n30 20 0:40 / /win/sys rw - 9p C:\\134 rw,aname=drvfs;path=C:\\134;uid=0,trans=fd\n", "/win/sys:C");
	has_drives("C: /mnt/c drvfs rw,noatime,uid=1000,case=off 0 0\n", "/mnt/c:C");
	has_drives("D:\\134 /mnt/d drvfs rw 0 0\nC:\\134 /mnt/c drvfs rw 0 0\ne: /e drvfs rw 0 0\n", "/mnt/c:C /mnt/d:D /e:E");
	has_drives("drvfsa /mnt/c virtiofs rw 0 0\nD:\\134 /mnt/d 9p rw,aname=drvfs;path=D:\\ 0 0\n", "/mnt/d:D /mnt/c:-");
	has_drives("x /mnt/c 9p rw,aname=drvfs 0 0\n", "/mnt/c:-");
	/* Not a drive, or not all of it. */
	has_drives("drivers /usr/lib/wsl/drivers 9p ro,aname=drivers;fmask=222 0 0\n", "");
	has_drives("x /x 9p rw,aname=drvfsx;path=C:\\ 0 0\nx /y 9p rw,xaname=drvfs 0 0\nx /z tmpfs rw,aname=drvfs 0 0\n", "");
	has_drives("C:\\134Program\\040Files /Docker/host 9p rw,aname=drvfs;path=C:\\Program Files\\x;symlinkroot=/mnt/ 0 0\n", "");
	has_drives("\\134\\134server\\134share /s drvfs rw 0 0\n", "");
	has_drives("20 1 8:4 / / rw - ext4 /dev/sda rw\n30 20 0:40 /Users /u rw - 9p C:\\134 rw,aname=drvfs;path=C:\\\n", "");
	/* Covered by a later mount. */
	has_drives("/dev/sdc / ext4 rw 0 0\nC:\\134 /mnt/c 9p rw,aname=drvfs;path=C:\\ 0 0\ntmpfs /mnt/c tmpfs rw 0 0\n", "");
}

static void test_more_drives_than_room(void **state)
{
	struct windows_drive drives[WINDOWS_DRIVES_MAX];
	struct table table;
	char text[4096] = "";

	(void)state;
	for (char letter = 'Z'; letter >= 'A'; letter--)
		sprintf(text + strlen(text), "%c:\\134 /mnt/%c drvfs rw 0 0\n", letter, letter);
	read_table(&table, text);
	assert_int_equal(windows_drives(&table, drives), WINDOWS_DRIVES_MAX);
	assert_int_equal(drives[0].letter, 'C');
	table_clear(&table);
}

/* ---- interop */

static void test_socket_order(void **state)
{
	struct interop_socket sockets[] = {
		{ "9_interop", 1000, { .tv_sec = 99 } }, { "7_interop", 0, { .tv_sec = 10 } },  { "2_interop", 0, { .tv_sec = 2 } },
		{ "8_interop", 0, { .tv_sec = 30 } },    { "1_interop", 0, { .tv_sec = 1 } },   { "11_interop", 0, { .tv_sec = 30, .tv_nsec = 5 } },
		{ "1_interop", 7, { .tv_sec = 1 } },     { "12_interop", 0, { .tv_sec = 10 } },
	};
	static const char *const wanted[] = { "1_interop", "2_interop", "11_interop", "8_interop", "12_interop", "7_interop", "1_interop", "9_interop" };

	(void)state;
	interop_order(sockets, 0);
	interop_order(sockets, sizeof sockets / sizeof *sockets);
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
		assert_string_equal(sockets[i].name, wanted[i]);
}

static void test_variable(void **state)
{
	char first[] = "A=1", other[] = "WSL_INTEROPX=no", it[] = "WSL_INTEROP=/run/WSL/1_interop", later[] = "WSL_INTEROP=second";
	char *environment[] = { first, other, it, later, NULL };

	(void)state;
	assert_string_equal(interop_variable(environment, "WSL_INTEROP"), "/run/WSL/1_interop");
	assert_null(interop_variable(environment, "WSL"));
	assert_null(interop_variable(NULL, "WSL"));
}

/* ---- windows_disk */

#define ANSWER                                                                                                                                                 \
	"profile|C:\\Users\\me\n"                                                                                                                              \
	"disk|0|True|True|False|C|S0 |Samsung SSD 980\n"                                                                                                       \
	"disk|1|False|False|True||  WD-1234.  |WDC WD80EFZX\n"                                                                                                 \
	"disk|2|False|False|False|DE|WD-5678|WDC WD80EFZX  \n"                                                                                                 \
	"disk|3|False|False|False|||Generic | Flash [x]\n"

static void test_disks(void **state)
{
	struct windows_disks disks;

	(void)state;
	assert_int_equal(windows_disks_parse(&disks, "a warning\n" ANSWER "disk|x|||||\ndisk|5\ndisk|-1|False|False|False||s|m\n"), 0);
	assert_int_equal(disks.count, 4);
	assert_string_equal(disks.profile, "C:\\Users\\me");
	assert_true(disks.disk[0].boot && disks.disk[0].system && !disks.disk[0].offline);
	assert_string_equal(disks.disk[1].serial, "WD-1234");
	assert_true(disks.disk[1].offline);
	assert_string_equal(disks.disk[2].letters, "DE");
	assert_string_equal(disks.disk[2].model, "WDC WD80EFZX");
	assert_string_equal(disks.disk[3].model, "Generic | Flash [x]");
	windows_disks_clear(&disks);
	assert_int_equal(windows_disks_parse(&disks, ""), -EPROTO);
	assert_int_equal(windows_disks_parse(&disks, "profile|x\nsomething else"), -EPROTO);
}

static void chooses(const char *spec, int wanted, int number, const char *message)
{
	struct windows_disks disks;
	struct err err = { 0 };
	int found = -1;

	assert_int_equal(windows_disks_parse(&disks, ANSWER), 0);
	assert_int_equal(windows_disk_choose(&disks, spec, &found, &err), wanted);
	assert_int_equal(found, number);
	if (!strstr(err.msg, message))
		fail_msg("'%s' instead of '%s'", err.msg, message);
	windows_disks_clear(&disks);
}

static void test_choose(void **state)
{
	(void)state;
	chooses("\\\\.\\PHYSICALDRIVE1", 0, 1, "");
	chooses("serial:WD-1234", 0, 1, "");
	chooses("serial: wd-1234. ", 0, 1, "");
	chooses("model:Generic | Flash [x]", 0, 3, "");
	chooses("model:generic*", 0, 3, "");
	chooses("serial:*5678", 0, 2, "");
	chooses("model:WDC WD80EFZX", -ENOTUNIQ, -1, "not one disk of Windows but 2: PHYSICALDRIVE1 (WDC WD80EFZX, serial WD-1234), PHYSICALDRIVE2");
	chooses("serial:S0", -EBUSY, -1, "PHYSICALDRIVE0 (serial:S0) is the disk that Windows runs from");
	chooses("\\\\.\\PHYSICALDRIVE0", -EBUSY, -1, "Windows runs from");
	chooses("\\\\.\\PHYSICALDRIVE7", -ENODEV, -1,
		"Windows has no disk \\\\.\\PHYSICALDRIVE7; it has PHYSICALDRIVE0 (Samsung SSD 980, serial S0, Windows runs from it)");
	chooses("serial:WD", -ENODEV, -1, "no disk serial:WD;"); /* whole, not its beginning */
	chooses("serial:", -ENODEV, -1, "");
	assert_int_equal(windows_drive_number("\\\\.\\physicaldrive12"), 12);
	assert_int_equal(windows_drive_number("\\\\.\\PHYSICALDRIVE"), -1);
	assert_int_equal(windows_drive_number("serial:1"), -1);
}

/* ---- wslconfig */

static void test_wslconfig(void **state)
{
	struct wslconfig config;

	(void)state;
	wslconfig_parse(&config, "");
	assert_int_equal(config.instance_idle, WSLCONFIG_INSTANCE_IDLE);
	assert_int_equal(config.vm_idle, WSLCONFIG_VM_IDLE);
	wslconfig_parse(&config, "\xef\xbb\xbf[General]\r\nInstanceIdleTimeout=-1\r\n\r\n[wsl2]\r\nmemory=8GB\r\nvmIdleTimeout = -1 \r\n");
	assert_int_equal(config.instance_idle, -1);
	assert_int_equal(config.vm_idle, -1);
	/* Not where it belongs. */
	wslconfig_parse(&config, "[wsl2]\ninstanceIdleTimeout=-1\n[experimental]\nvmIdleTimeout=-1\n");
	assert_int_equal(config.instance_idle, WSLCONFIG_INSTANCE_IDLE);
	assert_int_equal(config.vm_idle, WSLCONFIG_VM_IDLE);
	wslconfig_parse(&config, "[wsl2]\nvmIdleTimeout=soon\n[general]\ninstanceIdleTimeout=99999999999999999999\n");
	assert_int_equal(config.instance_idle, WSLCONFIG_INSTANCE_IDLE);
	assert_int_equal(config.vm_idle, WSLCONFIG_VM_IDLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),         cmocka_unit_test(test_text_of_anything), cmocka_unit_test(test_code),
		cmocka_unit_test(test_code_unknown), cmocka_unit_test(test_drives),           cmocka_unit_test(test_more_drives_than_room),
		cmocka_unit_test(test_socket_order), cmocka_unit_test(test_variable),         cmocka_unit_test(test_disks),
		cmocka_unit_test(test_choose),       cmocka_unit_test(test_wslconfig),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
