/* conf_test: the configuration: defaults, the sample files, hosts, file checks, and what each bad input gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/vfs.h>

#include "../../conf/conf.h"

#define HOST "Kayano.example.org"

/* What fstatfs(2) is to call every filesystem; 0: what it is. */
static unsigned long fake_magic;

/* Stands in for libc's: a Windows drive cannot be mounted here. */
int fstatfs(int fd, struct statfs *fs)
{
	int ret = (int)syscall(SYS_fstatfs, fd, fs);

	if (ret == 0 && fake_magic)
		fs->f_type = (__typeof__(fs->f_type))fake_magic;
	return ret;
}

/* One directory for the run, mode 0700, with one file in it. */
struct place {
	char dir[64];
	char file[96];
};

/* A configuration as read, with what was said about it. */
struct outcome {
	struct conf conf;
	struct strlist warnings;
	struct err err;
	int ret;
};

static int place_make(void **state)
{
	struct place *place = calloc(1, sizeof *place);

	snprintf(place->dir, sizeof place->dir, "/tmp/conf_test.XXXXXX");
	if (!mkdtemp(place->dir))
		return -1;
	snprintf(place->file, sizeof place->file, "%s/test.conf", place->dir);
	*state = place;
	return 0;
}

static int place_remove(void **state)
{
	struct place *place = *state;
	int ret;

	unlink(place->file);
	ret = rmdir(place->dir);
	free(place);
	return ret;
}

static void write_bytes(const char *file, const void *bytes, size_t size)
{
	auto_close int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
}

static void read_file(struct outcome *o, const char *file, const char *host)
{
	memset(o, 0, sizeof *o);
	o->ret = conf_read(&o->conf, file, host, &o->warnings, &o->err);
}

static void read_bytes(struct outcome *o, const struct place *place, const void *bytes, size_t size)
{
	write_bytes(place->file, bytes, size);
	read_file(o, place->file, HOST);
}

static void outcome_clear(struct outcome *o)
{
	conf_clear(&o->conf);
	strlist_clear(&o->warnings);
}

static void read_good(struct outcome *o, const struct place *place, const char *text)
{
	read_bytes(o, place, text, strlen(text));
	if (o->ret != 0)
		print_error("%s\n", o->err.msg);
	assert_int_equal(o->ret, 0);
	assert_int_equal(o->warnings.count, 0);
}

/* The message must be "FILE:LINE: MESSAGE", or "FILE: MESSAGE" where line is 0. */
static void assert_refused(struct outcome *o, const char *file, int line, const char *message)
{
	char expected[ERR_MAX * 2];

	if (line)
		snprintf(expected, sizeof expected, "%s:%d: %s", file, line, message);
	else
		snprintf(expected, sizeof expected, "%s: %s", file, message);
	assert_true(o->ret < 0);
	assert_string_equal(o->err.msg, expected);
	assert_int_equal(o->err.usage, 1);
	outcome_clear(o);
}

static void assert_bytes_refused(const struct place *place, const void *bytes, size_t size, int line, const char *message)
{
	struct outcome o;

	read_bytes(&o, place, bytes, size);
	assert_refused(&o, place->file, line, message);
}

static void assert_text_refused(const struct place *place, const char *text, int line, const char *message)
{
	assert_bytes_refused(place, text, strlen(text), line, message);
}

/* expected ends with NULL */
static void assert_list(const struct strlist *list, const char *const *expected)
{
	size_t count = 0;

	while (expected[count])
		count++;
	assert_int_equal(list->count, count);
	for (size_t i = 0; i < count; i++)
		assert_string_equal(list->str[i], expected[i]);
}

#define LIST(...) ((const char *const[]){ __VA_ARGS__ __VA_OPT__(, ) NULL })

static void assert_command(const struct conf *conf, size_t i, enum conf_command_kind kind, const char *line, const char *only_if, int number)
{
	const struct conf_command *command = &conf->boot.command[i];

	assert_true(i < conf->boot.command_count);
	assert_int_equal(command->kind, kind);
	assert_string_equal(command->line, line);
	assert_int_equal(command->line_number, number);
	if (only_if)
		assert_string_equal(command->only_if_file, only_if);
	else
		assert_null(command->only_if_file);
}

static void assert_default_commands(const struct conf *conf)
{
	assert_int_equal(conf->boot.command_count, 4);
	assert_command(conf, 0, COMMAND_RUN, "swapon -a", "/etc/fstab", 0);
	assert_command(conf, 1, COMMAND_RUN, "mount -a -t ext4", "/etc/fstab", 0);
	assert_command(conf, 2, COMMAND_DAEMON, "/etc/init.d/svscanboot", "/etc/init.d/svscanboot", 0);
	assert_command(conf, 3, COMMAND_RUN, "/etc/rc.d/rc.M", "/etc/rc.d/rc.M", 0);
}

static void assert_extra(const struct conf *conf, size_t i, const char *source, const char *target, bool readonly)
{
	assert_true(i < conf->bind.extra_count);
	assert_string_equal(conf->bind.extra[i].source, source);
	assert_string_equal(conf->bind.extra[i].target, target);
	assert_int_equal(conf->bind.extra[i].readonly, readonly);
}

/* Every scalar that the defaults and the sample files share. */
static void assert_default_scalars(const struct conf *conf)
{
	assert_string_equal(conf->root.source, "LABEL=/");
	assert_int_equal(conf->root.kind, SOURCE_LABEL);
	assert_string_equal(conf->root.value, "/");
	assert_string_equal(conf->root.path, "/usr/local/GCD");
	assert_string_equal(conf->root.type, "auto");
	assert_string_equal(conf->root.options, "defaults");
	assert_int_equal(conf->root.wait_ms, 30000);
	assert_false(conf->root.fsck);
	assert_false(conf->root.overlay);
	assert_true(conf->bind.all);
	assert_string_equal(conf->bind.modules, "/boot/lib/modules");
	assert_true(conf->bind.create);
	assert_int_equal(conf->bind.timeout_ms, 5000);
	assert_false(conf->namespace_host);
	assert_int_equal(conf->caps_drop.count, 0);
	assert_list(&conf->env_pass, LIST("WSL_*", "TERM", "LANG"));
	assert_int_equal(conf->boot.timeout_ms, 0);
	assert_int_equal(conf->boot.confirm_ms, 0);
	assert_int_equal(conf->stop.timeout_ms, 8000);
	assert_null(conf->wsl.attach);
	assert_false(conf->wsl.detach);
}

static void assert_defaults(const struct conf *conf)
{
	assert_default_scalars(conf);
	assert_int_equal(conf->root.partition, 0);
	assert_int_equal(conf->bind.exclude.count, 0);
	assert_int_equal(conf->bind.extra_count, 0);
	assert_default_commands(conf);
	assert_int_equal(conf->stop.run.count, 0);
}

static void test_defaults(void **state)
{
	static const char *const texts[] = { "", "\n\n", "# nothing\n", "[root]\n[boot]\n", "[boot]\ntimeout = 0\n", "[host other]\nroot.wait = 1\n" };
	struct outcome o;

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		read_good(&o, *state, texts[i]);
		assert_defaults(&o.conf);
		outcome_clear(&o);
	}
}

/* As it stands where the configuration was first written down, comments and all. */
#define FULL_SAMPLE(INDENT, END)                                                                                                                               \
	INDENT "[root]" END INDENT "source  = LABEL=/            ; LABEL= UUID= PARTLABEL= PARTUUID=, /dev/..., a directory, or an image file" END INDENT      \
	       "partition = 3                ; image file only: which partition of it (libblkid finds offset and size)" END INDENT                             \
	       "path    = /usr/local/GCD     ; the mount point on the host" END INDENT "type    = auto" END INDENT "options = defaults" END INDENT             \
	       "wait    = 30s                ; for the device to appear: woken by the kernel, not by a sleep" END INDENT                                       \
	       "fsck    = no                 ; yes: fsck -a first, refuse where it could not mend" END INDENT "[bind]" END INDENT                              \
	       "mounts  = all                ; all | none" END INDENT "exclude = /snap/*            ; may repeat" END INDENT                                   \
	       "extra   = /etc/resolv.conf   ; SRC[:DST[:ro]], may repeat" END INDENT                                                                          \
	       "modules = /boot/lib/modules  ; where /lib/modules is bound in the root, if both exist" END INDENT                                              \
	       "create  = yes                ; make missing mount points (directory or file, as the source is), with parents" END INDENT                       \
	       "timeout = 5s                 ; for all sources that hang, together" END INDENT "[namespace]" END INDENT                                        \
	       "mount   = private            ; private | host" END INDENT "[caps]" END INDENT                                                                  \
	       "drop    =                    ; e.g. sys_boot,sys_module: out of the OS's bounding set, through libcap" END INDENT "[env]" END INDENT           \
	       "pass    = WSL_* TERM LANG    ; the OS's environment is clean but for these and PATH, HOME" END INDENT                                          \
	       "[boot]                       ; in this order; each line through the root's own /bin/sh -c" END INDENT                                          \
	       "run     = swapon -a          ; a failure is a warning, and `status` says degraded" END INDENT "run     = mount -a -t ext4" END INDENT          \
	       "daemon  = /etc/init.d/svscanboot   ; started, not waited for; its death is logged and shown" END INDENT "run     = /etc/rc.d/rc.M" END INDENT  \
	       "require = ...                ; a failure stops the boot and rolls it back" END INDENT                                                          \
	       "timeout = 0                  ; per run/require; 0: none" END INDENT "[stop]" END INDENT "run     = ..." END INDENT "timeout = 8s" END INDENT   \
	       "[host kayano]                ; one file for every machine of a fleet: this section counts on the host of that name only" END INDENT            \
	       "root.source = UUID=..." END

static void assert_full_sample(const struct place *place, const char *text, const char *host)
{
	struct outcome o;

	write_bytes(place->file, text, strlen(text));
	read_file(&o, place->file, host);
	if (o.ret != 0)
		print_error("%s\n", o.err.msg);
	assert_int_equal(o.ret, 0);
	if (strcmp(host, "kayano") == 0) {
		assert_string_equal(o.conf.root.source, "UUID=...");
		assert_int_equal(o.conf.root.kind, SOURCE_UUID);
		assert_string_equal(o.conf.root.value, "...");
	} else {
		assert_default_scalars(&o.conf);
	}
	assert_int_equal(o.conf.root.partition, 3);
	assert_string_equal(o.conf.root.path, "/usr/local/GCD");
	assert_list(&o.conf.bind.exclude, LIST("/snap/*"));
	assert_int_equal(o.conf.bind.extra_count, 1);
	assert_extra(&o.conf, 0, "/etc/resolv.conf", "/etc/resolv.conf", false);
	assert_int_equal(o.conf.boot.command_count, 5);
	assert_command(&o.conf, 0, COMMAND_RUN, "swapon -a", NULL, 23);
	assert_command(&o.conf, 1, COMMAND_RUN, "mount -a -t ext4", NULL, 24);
	assert_command(&o.conf, 2, COMMAND_DAEMON, "/etc/init.d/svscanboot", NULL, 25);
	assert_command(&o.conf, 3, COMMAND_RUN, "/etc/rc.d/rc.M", NULL, 26);
	assert_command(&o.conf, 4, COMMAND_REQUIRE, "...", NULL, 27);
	assert_list(&o.conf.stop.run, LIST("..."));
	assert_string_equal(o.conf.file, place->file);
	outcome_clear(&o);
}

static void test_full_sample(void **state)
{
	static const char *const texts[] = {
		FULL_SAMPLE("", "\n"),
		FULL_SAMPLE("    ", "\n"),
		FULL_SAMPLE("\t", "\r\n"),
		"\xef\xbb\xbf" FULL_SAMPLE("  ", "\r\n"),
		"\xef\xbb\xbf" FULL_SAMPLE("", "  \n"),
	};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		assert_full_sample(*state, texts[i], "kayano");
		assert_full_sample(*state, texts[i], "senri");
	}
}

/* The file beside the sources, by this test's own place, whatever the working directory is. */
static char *project_file(const char *name)
{
	const char *here = __FILE__;
	const char *tail = "tests/unit/conf_test.c";
	size_t len = strlen(here) - strlen(tail);
	char *path = NULL;

	assert_string_equal(here + len, tail);
	assert_true(asprintf(&path, "%.*s%s", (int)len, here, name) > 0);
	return path;
}

/* Copies a sample to where owner and mode are as they should be; a checkout may be anybody's. uncomment: takes the ';' from the start of its lines. */
static void read_sample(struct outcome *o, const struct place *place, const char *name, bool uncomment)
{
	auto_free char *path = project_file(name);
	auto_fclose FILE *in = fopen(path, "re");
	char text[16384];
	size_t size;

	assert_non_null(in);
	size = fread(text, 1, sizeof text - 1, in);
	assert_in_range(size, 100, sizeof text - 2);
	text[size] = '\0';
	for (char *p = text; uncomment && (p = strstr(p, "\n;"));)
		p[1] = ' ';
	read_good(o, place, text);
}

static void test_default_conf(void **state)
{
	struct outcome o;

	read_sample(&o, *state, "conf/default.conf", false);
	assert_defaults(&o.conf);
	outcome_clear(&o);
}

/* The keys that are commented out are keys all the same. */
static void test_default_conf_uncommented(void **state)
{
	struct outcome o;

	read_sample(&o, *state, "conf/default.conf", true);
	assert_string_equal(o.conf.root.value, "0a3407de-014b-458b-b5c1-848e92a327a3");
	assert_int_equal(o.conf.root.partition, 3);
	assert_list(&o.conf.bind.exclude, LIST("/snap/*"));
	assert_int_equal(o.conf.bind.extra_count, 1);
	assert_int_equal(o.conf.boot.command_count, 4);
	assert_string_equal(o.conf.boot.command[2].line, "/etc/init.d/svscanboot");
	assert_list(&o.conf.stop.run, LIST("/etc/rc.d/rc.K"));
	outcome_clear(&o);
}

static void test_wsl2_conf(void **state)
{
	struct outcome o;

	read_sample(&o, *state, "conf/wsl2.conf", false);
	assert_string_equal(o.conf.root.source, "LABEL=/");
	assert_string_equal(o.conf.root.path, "/usr/local/GCD");
	assert_true(strlist_has(&o.conf.bind.exclude, "/mnt/wslg/distro"));
	assert_true(strlist_has(&o.conf.env_pass, "WSL*"));
	assert_string_equal(o.conf.wsl.attach, "\\\\.\\PHYSICALDRIVE1");
	assert_false(o.conf.wsl.detach);
	assert_default_commands(&o.conf);
	outcome_clear(&o);
}

static void test_openvz_conf(void **state)
{
	struct outcome o;

	read_sample(&o, *state, "conf/openvz.conf", false);
	assert_string_equal(o.conf.root.source, "/usr/local/gcd");
	assert_null(o.conf.root.path);
	assert_null(o.conf.bind.modules);
	for (size_t i = 0; i < o.conf.boot.command_count; i++)
		assert_null(strstr(o.conf.boot.command[i].line, "swapon"));
	assert_true(o.conf.boot.command_count > 0);
	outcome_clear(&o);
}

static void test_values(void **state)
{
	struct outcome o;

	read_good(
	    &o, *state,
	    "[root]\nsource=/dev//disk/./by-id/x/\npartition = 128\npath = //mnt///gcd/./\ntype=ext4\noptions = ro,noatime\nwait=0\nfsck=TRUE\noverlay = tmpfs\n"
	    "[bind]\nmounts=none\nexclude=/a b/\nexclude=*/docker\nextra=/a/:/b//c:ro\nextra = /x:/y z\nmodules=\ncreate=off\ntimeout=100ms\n"
	    "[namespace]\nmount = host\n[caps]\ndrop = SYS_BOOT, cap_sys_module,,Cap_Net_Raw sys_boot\n[env]\npass=\n"
	    "[boot]\nrequire = a=b;c: \"d\" # e\ntimeout=24h\nconfirm = 1440m\n[stop]\nrun = x && y\nrun = x && y\ntimeout = 10m\n");
	assert_string_equal(o.conf.root.source, "/dev//disk/./by-id/x/");
	assert_int_equal(o.conf.root.kind, SOURCE_PATH);
	assert_string_equal(o.conf.root.value, "/dev/disk/by-id/x");
	assert_int_equal(o.conf.root.partition, 128);
	assert_string_equal(o.conf.root.path, "/mnt/gcd");
	assert_string_equal(o.conf.root.type, "ext4");
	assert_string_equal(o.conf.root.options, "ro,noatime");
	assert_int_equal(o.conf.root.wait_ms, 0);
	assert_true(o.conf.root.fsck);
	assert_true(o.conf.root.overlay);
	assert_false(o.conf.bind.all);
	assert_list(&o.conf.bind.exclude, LIST("/a b", "*/docker"));
	assert_int_equal(o.conf.bind.extra_count, 2);
	assert_extra(&o.conf, 0, "/a", "/b/c", true);
	assert_extra(&o.conf, 1, "/x", "/y z", false);
	assert_null(o.conf.bind.modules);
	assert_false(o.conf.bind.create);
	assert_int_equal(o.conf.bind.timeout_ms, 100);
	assert_true(o.conf.namespace_host);
	assert_list(&o.conf.caps_drop, LIST("cap_sys_boot", "cap_sys_module", "cap_net_raw"));
	assert_int_equal(o.conf.env_pass.count, 0);
	assert_int_equal(o.conf.boot.command_count, 1);
	assert_command(&o.conf, 0, COMMAND_REQUIRE, "a=b;c: \"d\" # e", NULL, 26);
	assert_int_equal(o.conf.boot.timeout_ms, 24 * 3600 * 1000);
	assert_int_equal(o.conf.boot.confirm_ms, 24 * 3600 * 1000);
	assert_list(&o.conf.stop.run, LIST("x && y", "x && y"));
	assert_int_equal(o.conf.stop.timeout_ms, 600000);
	outcome_clear(&o);
}

static void test_sources(void **state)
{
	static const struct {
		const char *text, *value;
		enum conf_source kind;
	} good[] = {
		{ "LABEL=/", "/", SOURCE_LABEL },
		{ "LABEL=\"my disk\"", "my disk", SOURCE_LABEL },
		{ "LABEL=my disk", "my disk", SOURCE_LABEL },
		{ "LABEL=a=b", "a=b", SOURCE_LABEL },
		{ "LABEL=$(id)", "$(id)", SOURCE_LABEL },
		{ "LABEL=\"\xe3\x83\xab\"", "\xe3\x83\xab", SOURCE_LABEL },
		{ "UUID=0A3407DE-014B", "0A3407DE-014B", SOURCE_UUID },
		{ "PARTLABEL=root", "root", SOURCE_PARTLABEL },
		{ "PARTUUID=\"6c-1\"", "6c-1", SOURCE_PARTUUID },
		{ "/srv/gcd.img", "/srv/gcd.img", SOURCE_PATH },
		{ "/srv/a..b/..c", "/srv/a..b/..c", SOURCE_PATH },
	};
	char text[256];
	struct outcome o;

	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		snprintf(text, sizeof text, "[root]\nsource = %s\n", good[i].text);
		read_good(&o, *state, text);
		assert_string_equal(o.conf.root.source, good[i].text);
		assert_string_equal(o.conf.root.value, good[i].value);
		assert_int_equal(o.conf.root.kind, good[i].kind);
		if (good[i].kind == SOURCE_PATH)
			assert_null(o.conf.root.path);
		else
			assert_string_equal(o.conf.root.path, "/usr/local/GCD");
		outcome_clear(&o);
	}
}

static void test_disks(void **state)
{
	static const struct {
		const char *text, *attach;
	} disks[] = {
		{ "\\\\.\\PHYSICALDRIVE1", "\\\\.\\PHYSICALDRIVE1" },
		{ "\\\\.\\physicaldrive12", "\\\\.\\PHYSICALDRIVE12" },
		{ "PhysicalDrive0", "\\\\.\\PHYSICALDRIVE0" },
		{ "PHYSICALDRIVE007", "\\\\.\\PHYSICALDRIVE7" },
		{ "serial:WD-1234", "serial:WD-1234" },
		{ "Serial: WD 12 ;34", "serial:WD 12" },
		{ "model:WDC WD80EFZX", "model:WDC WD80EFZX" },
		{ "", NULL },
	};

	for (size_t i = 0; i < sizeof disks / sizeof *disks; i++) {
		struct outcome o;
		char text[256];

		snprintf(text, sizeof text, "[wsl]\nattach = PHYSICALDRIVE9\ndetach = yes\n[host " HOST "]\nwsl.attach = %s\n", disks[i].text);
		read_bytes(&o, *state, text, strlen(text));
		if (o.ret < 0)
			fail_msg("%s", o.err.msg);
		assert_true(o.conf.wsl.detach);
		if (disks[i].attach)
			assert_string_equal(o.conf.wsl.attach, disks[i].attach);
		else
			assert_null(o.conf.wsl.attach);
		outcome_clear(&o);
	}
}

static void test_path_with_directory_source(void **state)
{
	struct outcome o;

	read_good(&o, *state, "[root]\npath = /mnt/x\nsource = /srv/x\n");
	assert_string_equal(o.conf.root.path, "/mnt/x");
	outcome_clear(&o);
	read_good(&o, *state, "[host kayano]\nroot.path = /mnt/y\n[root]\nsource = /srv/x\n");
	assert_string_equal(o.conf.root.path, "/mnt/y");
	outcome_clear(&o);
	read_good(&o, *state, "[host kayano]\nroot.source = LABEL=x\n[root]\nsource = /srv/x\n");
	assert_string_equal(o.conf.root.path, "/usr/local/GCD");
	outcome_clear(&o);
}

static void test_sections_reopened(void **state)
{
	struct outcome o;

	read_good(&o, *state, "[root]\nwait = 1\n[ bind ] # comment\nexclude=/a\n[root];x\nfsck = 1\n\t[bind\t]\n  exclude = /b\n");
	assert_int_equal(o.conf.root.wait_ms, 1000);
	assert_true(o.conf.root.fsck);
	assert_list(&o.conf.bind.exclude, LIST("/a", "/b"));
	outcome_clear(&o);
}

/* An indented line is a key of its own: not the continuation of the command before it. */
static void test_indentation_is_nothing(void **state)
{
	struct outcome o;

	read_good(&o, *state, "[boot]\nrun = a\n    run = b\n  ; comment\n\t\n\t# comment\n\t daemon = c\n");
	assert_int_equal(o.conf.boot.command_count, 3);
	assert_command(&o.conf, 0, COMMAND_RUN, "a", NULL, 2);
	assert_command(&o.conf, 1, COMMAND_RUN, "b", NULL, 3);
	assert_command(&o.conf, 2, COMMAND_DAEMON, "c", NULL, 7);
	outcome_clear(&o);
}

static void test_host(void **state)
{
	static const char text[] = "[host KAYANO]\nroot.wait = 7\nbind.exclude = /h\nstop.run = h\nenv.pass = H\nboot.run = h\nbind.extra=/h\n"
				   "[root]\nwait = 3\n[bind]\nexclude = /p\nextra = /p\n[stop]\nrun = p\n[env]\npass = P\n[boot]\nrun = p\n"
				   "[host senri]\nroot.wait = 9\nbind.exclude=/s\nboot.daemon = s\n";
	struct outcome o;

	read_good(&o, *state, text);
	assert_int_equal(o.conf.root.wait_ms, 7000);
	assert_list(&o.conf.bind.exclude, LIST("/p", "/h"));
	assert_list(&o.conf.stop.run, LIST("p", "h"));
	assert_list(&o.conf.env_pass, LIST("H"));
	assert_int_equal(o.conf.bind.extra_count, 2);
	assert_extra(&o.conf, 1, "/h", "/h", false);
	assert_int_equal(o.conf.boot.command_count, 2);
	assert_command(&o.conf, 0, COMMAND_RUN, "p", NULL, 18);
	assert_command(&o.conf, 1, COMMAND_RUN, "h", NULL, 6);
	outcome_clear(&o);
}

static void test_host_commands_replace_defaults(void **state)
{
	struct outcome o;

	read_good(&o, *state, "[boot]\ntimeout = 1\n[host kayano.example.org]\nboot.require = x\nboot.timeout = 2\n");
	assert_int_equal(o.conf.boot.command_count, 1);
	assert_command(&o.conf, 0, COMMAND_REQUIRE, "x", NULL, 4);
	assert_int_equal(o.conf.boot.timeout_ms, 2000);
	outcome_clear(&o);
	read_good(&o, *state, "[host other]\nboot.require = x\n");
	assert_default_commands(&o.conf);
	outcome_clear(&o);
}

static void test_host_names(void **state)
{
	static const struct {
		const char *section, *host;
		bool counts;
	} names[] = {
		{ "kayano", "kayano", true },
		{ "Kayano", "kAYANO", true },
		{ "kayano", "kayano.example.org", true },
		{ "kayano.example.org", "kayano.example.org", true },
		{ "kayano.example", "kayano.example.org", false },
		{ "kayano.example.org", "kayano", false },
		{ "kaya", "kayano", false },
		{ "kayano2", "kayano", false },
		{ "kayano", "", false },
	};
	const struct place *place = *state;
	char text[128];
	struct outcome o;

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		snprintf(text, sizeof text, "[host \t%s ]\nroot.wait = 1\n", names[i].section);
		write_bytes(place->file, text, strlen(text));
		read_file(&o, place->file, names[i].host);
		assert_int_equal(o.ret, 0);
		assert_int_equal(o.conf.root.wait_ms, names[i].counts ? 1000 : 30000);
		outcome_clear(&o);
	}
}

struct bad {
	const char *text;
	int line;
	const char *message;
};

static void assert_all_refused(const struct place *place, const struct bad *bad, size_t count)
{
	for (size_t i = 0; i < count; i++)
		assert_text_refused(place, bad[i].text, bad[i].line, bad[i].message);
}

#define ALL_REFUSED(place, bad) assert_all_refused(place, bad, sizeof(bad) / sizeof((bad)[0]))

static void test_bad_keys(void **state)
{
	static const struct bad bad[] = {
		{ "[root]\nsuorce = LABEL=/\n", 2, "unknown key 'suorce' in [root], did you mean 'source'?" },
		{ "[root]\nosruec = LABEL=/\n", 2, "unknown key 'osruec' in [root], did you mean 'source'?" },
		{ "[root]\nSource = LABEL=/\n", 2, "unknown key 'Source' in [root], did you mean 'source'?" },
		{ "[root]\nlable = /\n", 2, "unknown key 'lable' in [root]" },
		{ "[root]\n\nconfirm = 1\n", 3, "unknown key 'confirm' in [root], did you mean 'confirm' in [boot]?" },
		{ "[boot]\nconfirm-within = 5m\n", 2, "unknown key 'confirm-within' in [boot]" },
		{ "[boot]\nconfrim = 5m\n", 2, "unknown key 'confrim' in [boot], did you mean 'confirm'?" },
		{ "[root]\noverly = tmpfs\n", 2, "unknown key 'overly' in [root], did you mean 'overlay'?" },
		{ "[bind]\nexlude = /x\n", 2, "unknown key 'exlude' in [bind], did you mean 'exclude'?" },
		{ "[boot]\nsource = x\n", 2, "unknown key 'source' in [boot], did you mean 'source' in [root]?" },
		{ "[boot]\nrum = x\n", 2, "unknown key 'rum' in [boot], did you mean 'run'?" },
		{ "[root]\nso urce = x\n", 2, "unknown key 'so urce' in [root], did you mean 'source'?" },
		{ "[host x]\nsource = LABEL=/\n", 2, "unknown key 'source' in [host x], did you mean 'root.source'?" },
		{ "[host x]\nroot.wiat = 1\n", 2, "unknown key 'root.wiat' in [host x], did you mean 'root.wait'?" },
		{ "[host x]\nrot.wait = 1\n", 2, "unknown key 'rot.wait' in [host x], did you mean 'root.wait'?" },
		{ "[host x]\n.wait = 1\n", 2, "unknown key '.wait' in [host x], did you mean 'root.wait'?" },
		{ "[host x]\nfoo.bar = 1\n", 2, "unknown key 'foo.bar' in [host x]" },
		{ "[root]\nroot.wait = 1\n", 2, "unknown key 'root.wait' in [root]" },
		{ "source = x\n[root]\n", 1, "key outside a section: 'source', write a line such as [root] before it" },
		{ "[root]\nwait = 1\n# c\nwait = 1\n", 4, "duplicate 'wait', first at line 2" },
		{ "[root]\nwait = 1\n[boot]\ntimeout=1\n[root]\nwait = 1\n", 6, "duplicate 'wait', first at line 2" },
		{ "[env]\npass=\npass=A\n", 3, "duplicate 'pass', first at line 2" },
		{ "[host x]\nroot.wait = 1\n[host X]\nroot.wait = 1\n", 4, "duplicate 'root.wait', first at line 2" },
	};

	ALL_REFUSED(*state, bad);
}

static void test_bad_sections(void **state)
{
	static const struct bad bad[] = {
		{ "[rot]\n", 1, "unknown section [rot], did you mean [root]?" },
		{ "[Root]\n", 1, "unknown section [Root], did you mean [root]?" },
		{ "[root]\n[wls]\n", 2, "unknown section [wls], did you mean [wsl]?" },
		{ "[confirm]\n", 1, "unknown section [confirm]" },
		{ "[hots kayano]\n", 1, "unknown section [hots kayano], did you mean [host NAME]?" },
		{ "[host]\n", 1, "expected [host NAME] with one name, not [host]" },
		{ "[host a b]\n", 1, "expected [host NAME] with one name, not [host a b]" },
		{ "[]\n", 1, "a section needs a name: []" },
		{ "[ ]\n", 1, "a section needs a name: [ ]" },
		{ "\n[root\n", 2, "the ']' is missing: [root" },
		{ "[root] source = x\n", 1, "nothing but a comment may follow the ']': [root] source = x" },
		{ "[host 0123456789012345678901234567890123456789abcde]\n", 1,
		  "section name too long (max 49): [host 0123456789012345678901234567890123456789abcde]" },
	};

	ALL_REFUSED(*state, bad);
}

static void test_bad_lines(void **state)
{
	static const struct bad bad[] = {
		{ "[root]\nsource LABEL\n", 2, "expected 'key = value', not 'source LABEL'" },
		{ "[root]\n\n  source\n", 3, "expected 'key = value', not 'source'" },
		{ "[root]\nsource: LABEL=/\n", 2, "expected 'key = value', not 'source: LABEL=/'" },
		{ "[root]\n= x\n", 2, "expected 'key = value', not '= x'" },
		{ "[root]\nwait ;= 1\nwait = x\n", 2, "expected 'key = value', not 'wait ;= 1'" },
		{ "[root]\nsource = LABEL=\x1b[2J\n", 2, "control character 0x1b" },
		{ "[root]\nwait = 1\rfsck = no\n", 2, "control character 0x0d" },
		/* the first mistake is the one that is told */
		{ "[root]\nwait = x\nfoo\n[bar]\n", 2, "wait: expected 0-3600 seconds, not 'x'" },
		{ "[root]\nfoo\nwait = x\n", 2, "expected 'key = value', not 'foo'" },
	};

	ALL_REFUSED(*state, bad);
}

static void test_missing_values(void **state)
{
	static const char *const keys[] = { "root.source",  "root.partition", "root.path",    "root.type",    "root.options", "root.wait",    "root.fsck",
					    "root.overlay", "bind.mounts",    "bind.exclude", "bind.extra",   "bind.create",  "bind.timeout", "namespace.mount",
					    "boot.run",     "boot.daemon",    "boot.require", "boot.timeout", "stop.run",     "stop.timeout" };
	char text[128], message[128];
	const char *dot;

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		dot = strchr(keys[i], '.');
		snprintf(text, sizeof text, "[%.*s]\n%s =  ; nothing\n", (int)(dot - keys[i]), keys[i], dot + 1);
		snprintf(message, sizeof message, "'%s' needs a value", dot + 1);
		assert_text_refused(*state, text, 2, message);
		snprintf(text, sizeof text, "[host other]\n%s =\n", keys[i]);
		snprintf(message, sizeof message, "'%s' needs a value", keys[i]);
		assert_text_refused(*state, text, 2, message);
	}
}

static void test_bad_paths(void **state)
{
	static const struct bad bad[] = {
		{ "[root]\npath = usr/local\n", 2, "path: path must be absolute, not 'usr/local'" },
		{ "[root]\npath = /usr/../etc\n", 2, "path: path contains '..': /usr/../etc" },
		{ "[root]\npath = /usr/..\n", 2, "path: path contains '..': /usr/.." },
		{ "[root]\npath = /\n", 2, "path: / is the running system" },
		{ "[root]\npath = //./\n", 2, "path: / is the running system" },
		{ "[root]\nsource = /.\n", 2, "source: / is the running system" },
		{ "[root]\nsource = /dev/../x\n", 2, "source: path contains '..': /dev/../x" },
		{ "[bind]\nmodules = lib\n", 2, "modules: path must be absolute, not 'lib'" },
		{ "[bind]\nmodules = /\n", 2, "modules: / is the root itself, name a directory below it" },
		{ "[bind]\nextra = etc\n", 2, "extra: path must be absolute, not 'etc'" },
		{ "[bind]\nextra = /a:b\n", 2, "extra: path must be absolute, not 'b'" },
		{ "[bind]\nextra = /a:\n", 2, "extra: path must be absolute, not ''" },
		{ "[bind]\nextra = /a:/../b\n", 2, "extra: path contains '..': /../b" },
		{ "[bind]\nextra = /a:/b:rw\n", 2, "extra: expected SRC[:DST[:ro]], not '/a:/b:rw'" },
		{ "[bind]\nextra = /a:/b:ro:\n", 2, "extra: expected SRC[:DST[:ro]], not '/a:/b:ro:'" },
		{ "[bind]\nextra = /a:/\n", 2, "extra: / is the root itself, name a place below it as in /a:/mnt/host" },
		{ "[bind]\nexclude = snap/*\n", 2, "exclude: pattern must begin with '/' or a wildcard, not 'snap/*'" },
		{ "[host other]\nroot.path = x\n", 2, "root.path: path must be absolute, not 'x'" },
	};

	ALL_REFUSED(*state, bad);
}

#define DISK_FORMS "attach: expected \\\\.\\PHYSICALDRIVE1 (or another number), serial:NUMBER or model:NAME, as Windows knows the disk, not "

static void test_bad_disks(void **state)
{
	static const struct bad bad[] = {
		{ "[wsl]\nattach = 1\n", 2, DISK_FORMS "'1'" },
		{ "[wsl]\nattach = /dev/sdd\n", 2, DISK_FORMS "'/dev/sdd'" },
		{ "[wsl]\nattach = \\\\.\\PHYSICALDRIVE\n", 2, DISK_FORMS "'\\\\.\\PHYSICALDRIVE'" },
		{ "[wsl]\nattach = PHYSICALDRIVE1x\n", 2, DISK_FORMS "'PHYSICALDRIVE1x'" },
		{ "[wsl]\nattach = PHYSICALDRIVE99999999999999999999\n", 2, DISK_FORMS "'PHYSICALDRIVE99999999999999999999'" },
		{ "[wsl]\nattach = serial:\n", 2, DISK_FORMS "'serial:'" },
		{ "[wsl]\nattach = serial: \n", 2, DISK_FORMS "'serial:'" },
		{ "[wsl]\nattach = serail:x\n", 2, DISK_FORMS "'serail:x'" },
		{ "[wsl]\ndetach = maybe\n", 2, "detach: expected yes or no, not 'maybe'" },
		{ "[wsl]\natach = PHYSICALDRIVE1\n", 2, "unknown key 'atach' in [wsl], did you mean 'attach'?" },
	};

	ALL_REFUSED(*state, bad);
}

#define SOURCE_FORMS "source: expected LABEL=, UUID=, PARTLABEL= or PARTUUID= and a value, or an absolute path, not "

static void test_bad_values(void **state)
{
	static const struct bad bad[] = {
		{ "[root]\nsource = LABLE=/\n", 2, SOURCE_FORMS "'LABLE=/'" },
		{ "[root]\nsource = sdb1\n", 2, SOURCE_FORMS "'sdb1'" },
		{ "[root]\nsource = label=/\n", 2, SOURCE_FORMS "'label=/'" },
		{ "[root]\nsource = LABEL=\n", 2, "source: nothing behind the '=', expected a value such as LABEL=/" },
		{ "[root]\nsource = UUID=\"\"\n", 2, "source: nothing behind the '=', expected a value such as LABEL=/" },
		{ "[root]\nsource = LABEL=\"\n", 2, "source: a double quote is missing: \"" },
		{ "[root]\nsource = LABEL=\"a\n", 2, "source: a double quote is missing: \"a" },
		{ "[root]\npartition = 0\n", 2, "partition: expected 1-128, not '0'" },
		{ "[root]\npartition = 129\n", 2, "partition: expected 1-128, not '129'" },
		{ "[root]\npartition = 18446744073709551617\n", 2, "partition: expected 1-128, not '18446744073709551617'" },
		{ "[root]\npartition = 0x1\n", 2, "partition: expected 1-128, not '0x1'" },
		{ "[root]\ntype = ext 4\n", 2, "type: expected one word, not 'ext 4'" },
		{ "[root]\nwait = 61m\n", 2, "wait: expected 0-3600 seconds, not '61m'" },
		{ "[root]\nwait = -1\n", 2, "wait: expected 0-3600 seconds, not '-1'" },
		{ "[root]\nfsck = maybe\n", 2, "fsck: expected yes or no, not 'maybe'" },
		{ "[root]\noverlay = yes\n", 2, "overlay: expected tmpfs or none, not 'yes'" },
		{ "[bind]\nmounts = some\n", 2, "mounts: expected all or none, not 'some'" },
		{ "[bind]\ncreate = 2\n", 2, "create: expected yes or no, not '2'" },
		{ "[bind]\ntimeout = 99ms\n", 2, "timeout: expected 0.1-600 seconds, not '99ms'" },
		{ "[bind]\ntimeout = 601\n", 2, "timeout: expected 0.1-600 seconds, not '601'" },
		{ "[namespace]\nmount = shared\n", 2, "mount: expected host or private, not 'shared'" },
		{ "[caps]\ndrop = sys_bot\n", 2, "drop: unknown capability 'sys_bot', did you mean 'cap_sys_boot'?" },
		{ "[caps]\ndrop = sys_boot,xyzzy\n", 2, "drop: unknown capability 'xyzzy', capabilities(7) lists them" },
		{ "[caps]\ndrop = 12\n", 2, "drop: unknown capability '12', capabilities(7) lists them" },
		{ "[env]\npass = TERM=xterm\n", 2, "pass: expected names of variables, not 'TERM=xterm'" },
		{ "[boot]\ntimeout = 25h\n", 2, "timeout: expected 0-86400 seconds, not '25h'" },
		{ "[boot]\ntimeout = 999999999999999999999h\n", 2, "timeout: expected 0-86400 seconds, not '999999999999999999999h'" },
		{ "[boot]\nconfirm = 999ms\n", 2, "confirm: expected 1-86400 seconds, or 0 for none, not '999ms'" },
		{ "[boot]\nconfirm = 25h\n", 2, "confirm: expected 1-86400 seconds, or 0 for none, not '25h'" },
		{ "[boot]\nconfirm = no\n", 2, "confirm: expected 1-86400 seconds, or 0 for none, not 'no'" },
		{ "[stop]\ntimeout = 5x\n", 2, "timeout: expected 1-600 seconds, not '5x'" },
		{ "[stop]\ntimeout = 999ms\n", 2, "timeout: expected 1-600 seconds, not '999ms'" },
		{ "[host other]\nstop.timeout = 5x\n", 2, "stop.timeout: expected 1-600 seconds, not '5x'" },
	};

	ALL_REFUSED(*state, bad);
}

static void test_nul_byte(void **state)
{
	static const char nul[] = "[root]\nwait\0 = 1\n", at_start[] = "\0", at_end[] = "[root]\nwait = 1\0", blank[] = "[root]\n \0 \n";
	static const char utf16[] = "\xff\xfe[\0r\0o\0o\0t\0]\0\r\0\n";

	assert_bytes_refused(*state, nul, sizeof nul - 1, 2, "NUL byte");
	assert_bytes_refused(*state, at_start, 1, 1, "NUL byte");
	assert_bytes_refused(*state, at_end, sizeof at_end - 1, 2, "NUL byte");
	assert_bytes_refused(*state, blank, sizeof blank - 1, 2, "NUL byte");
	assert_bytes_refused(*state, utf16, sizeof utf16 - 1, 1, "NUL byte: the file is UTF-16, save it as UTF-8");
}

/* A line of `len` bytes: "run = xxx...". */
static char *long_line_text(const char *indent, size_t len, const char *end)
{
	char *text = NULL, *line = calloc(1, len + 1);

	assert_non_null(line);
	memset(line, 'x', len);
	memcpy(line, "run = ", 6);
	assert_true(asprintf(&text, "[boot]\n%s%s%s", indent, line, end) > 0);
	free(line);
	return text;
}

static void test_long_lines(void **state)
{
	static const char *const ends[] = { "", "\n", "\r\n", "    \r\n" };
	static const size_t too_long[] = { 200, 201, 202, 399, 400, 401, 5000 };
	struct outcome o;

	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		auto_free char *fits = long_line_text("        ", 199, ends[i]);

		read_good(&o, *state, fits);
		assert_int_equal(o.conf.boot.command_count, 1);
		assert_int_equal(strlen(o.conf.boot.command[0].line), 193);
		outcome_clear(&o);
		for (size_t j = 0; j < sizeof too_long / sizeof too_long[0]; j++) {
			auto_free char *text = long_line_text("", too_long[j], ends[i]);

			assert_text_refused(*state, text, 2, "line too long (max 199)");
		}
	}
}

static void test_long_section(void **state)
{
	struct outcome o;

	read_good(&o, *state, "[host 01234567890123456789012345678901234567890123]\nroot.wait = 1\n");
	outcome_clear(&o);
}

/* --- the file itself --- */

static void test_missing_file(void **state)
{
	const struct place *place = *state;
	struct outcome o;

	unlink(place->file);
	read_file(&o, place->file, HOST);
	assert_int_equal(o.ret, -ENOENT);
	assert_refused(&o, place->file, 0, "cannot open: No such file or directory");
	read_file(&o, "/etc/gcdboot/there is none.conf", HOST);
	assert_refused(&o, "/etc/gcdboot/there is none.conf", 0,
		       "cannot open: No such file or directory (copy the sample conf/default.conf there and edit it, or name another file with -c FILE)");
}

static void test_not_regular(void **state)
{
	const struct place *place = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct outcome o;

	read_file(&o, "/dev/null", HOST);
	assert_refused(&o, "/dev/null", 0, "not a regular file");
	read_file(&o, place->dir, HOST);
	assert_refused(&o, place->dir, 0, "not a regular file");
	unlink(place->file);
	assert_int_equal(mkfifo(place->file, 0600), 0);
	alarm(60); /* an open that waits for a writer waits for ever */
	read_file(&o, place->file, HOST);
	alarm(0);
	assert_refused(&o, place->file, 0, "not a regular file");
	unlink(place->file);
	snprintf(address.sun_path, sizeof address.sun_path, "%s", place->file);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	read_file(&o, place->file, HOST);
	assert_refused(&o, place->file, 0, "not a regular file");
	unlink(place->file);
}

static void test_owner(void **state)
{
	const struct place *place = *state;
	struct outcome o;

	write_bytes(place->file, "", 0);
	assert_int_equal(chown(place->file, 1000, 0), 0);
	read_file(&o, place->file, HOST);
	assert_refused(&o, place->file, 0, "not owned by root (but by uid 1000: chown root)");
	/* the user who runs it may own it */
	assert_int_equal(chown(place->dir, 1000, 0), 0);
	assert_int_equal(seteuid(1000), 0);
	read_file(&o, place->file, HOST);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(chown(place->dir, 0, 0), 0);
	assert_int_equal(o.ret, 0);
	outcome_clear(&o);
	unlink(place->file);
}

static void test_mode(void **state)
{
	static const struct {
		mode_t mode;
		const char *message;
	} modes[] = {
		{ 0664, "writable by group or other (mode 0664: chmod go-w)" },
		{ 0602, "writable by group or other (mode 0602: chmod go-w)" },
		{ 0777, "writable by group or other (mode 0777: chmod go-w)" },
		{ 0644, NULL },
		{ 0400, NULL },
		{ 0755, NULL },
	};
	const struct place *place = *state;
	struct outcome o;

	write_bytes(place->file, "", 0);
	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
		assert_int_equal(chmod(place->file, modes[i].mode), 0);
		read_file(&o, place->file, HOST);
		if (modes[i].message) {
			assert_refused(&o, place->file, 0, modes[i].message);
		} else {
			assert_int_equal(o.ret, 0);
			outcome_clear(&o);
		}
	}
	unlink(place->file);
}

static void test_directory_mode(void **state)
{
	const struct place *place = *state;
	char dir[sizeof place->dir], message[256];
	struct outcome o;

	memcpy(dir, place->dir, sizeof dir);
	write_bytes(place->file, "", 0);
	for (unsigned mode = 0; mode < 2; mode++) {
		unsigned open_mode = mode ? 0775 : 0707;

		assert_int_equal(chmod(place->dir, open_mode), 0);
		snprintf(message, sizeof message, "%s is writable by others (mode %04o: chmod go-w)", dir, open_mode);
		read_file(&o, place->file, HOST);
		assert_refused(&o, place->file, 0, message);
		assert_int_equal(chmod(place->dir, 01000 | open_mode), 0);
		read_file(&o, place->file, HOST);
		assert_int_equal(o.ret, 0);
		outcome_clear(&o);
	}
	assert_int_equal(chmod(place->dir, 0700), 0);
}

/* The link lies in a good directory, the file itself in one where anybody can exchange it. */
static void test_link_into_open_directory(void **state)
{
	const struct place *place = *state;
	char open_dir[128], target[192], message[256];
	struct outcome o;

	snprintf(open_dir, sizeof open_dir, "%s/open", place->dir);
	snprintf(target, sizeof target, "%s/x.conf", open_dir);
	unlink(place->file);
	assert_int_equal(mkdir(open_dir, 0700), 0);
	write_bytes(target, "", 0);
	assert_int_equal(symlink("open/x.conf", place->file), 0);
	read_file(&o, place->file, HOST);
	assert_int_equal(o.ret, 0);
	outcome_clear(&o);
	assert_int_equal(chmod(open_dir, 0777), 0);
	snprintf(message, sizeof message, "%s is writable by others (mode 0777: chmod go-w)", open_dir);
	read_file(&o, place->file, HOST);
	assert_refused(&o, place->file, 0, message);
	unlink(place->file);
	unlink(target);
	rmdir(open_dir);
}

/* On a Windows drive every file is somebody's with mode 0777: said, and taken. Anywhere else the same is refused. */
static void test_drive_without_modes(void **state)
{
	static const struct {
		unsigned long magic;
		bool taken;
	} filesystems[] = { { 0x01021997, true }, { 0x65735546, true }, { 0xef53, false }, { 0x6969, false } };
	const struct place *place = *state;
	struct outcome o;

	write_bytes(place->file, "[root]\nwait = 1\n", 16);
	assert_int_equal(chmod(place->file, 0777), 0);
	assert_int_equal(chmod(place->dir, 0777), 0);
	assert_int_equal(chown(place->file, 1000, 1000), 0);
	for (size_t i = 0; i < sizeof filesystems / sizeof filesystems[0]; i++) {
		fake_magic = filesystems[i].magic;
		read_file(&o, place->file, HOST);
		fake_magic = 0;
		assert_int_equal(o.ret == 0, filesystems[i].taken);
		assert_int_equal(o.warnings.count, filesystems[i].taken ? 3 : 0);
		if (filesystems[i].taken) {
			assert_int_equal(o.conf.root.wait_ms, 1000);
			assert_non_null(strstr(o.warnings.str[0], "not owned by root"));
			assert_non_null(strstr(o.warnings.str[1], "writable by group or other"));
			assert_non_null(strstr(o.warnings.str[2], "is writable by others"));
		}
		outcome_clear(&o);
	}
	assert_int_equal(chmod(place->dir, 0700), 0);
	unlink(place->file);
}

static void test_relative_name(void **state)
{
	const struct place *place = *state;
	auto_close int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct outcome o;

	write_bytes(place->file, "[root]\nwait = x\n", 16);
	assert_int_equal(chdir(place->dir), 0);
	read_file(&o, "test.conf", HOST);
	assert_int_equal(fchdir(here), 0);
	assert_refused(&o, "test.conf", 2, "wait: expected 0-3600 seconds, not 'x'");
}

static void test_huge_file(void **state)
{
	const size_t size = 1024 * 1024;
	auto_free char *text = malloc(size + 1);
	struct outcome o;

	assert_non_null(text);
	memset(text, '\n', size + 1);
	read_bytes(&o, *state, text, size);
	assert_int_equal(o.ret, 0);
	outcome_clear(&o);
	assert_bytes_refused(*state, text, size + 1, 0, "larger than 1048576 bytes, that is no configuration");
}

static void test_parse_time(void **state)
{
	static const struct {
		const char *text;
		int ms; /* -1: refused */
	} times[] = {
		{ "0", 0 },
		{ "5", 5000 },
		{ "5s", 5000 },
		{ "250ms", 250 },
		{ "2m", 120000 },
		{ "1h", 3600000 },
		{ "0005", 5000 },
		{ "", -1 },
		{ "s", -1 },
		{ "5 s", -1 },
		{ "5x", -1 },
		{ "5S", -1 },
		{ "-5", -1 },
		{ "+5", -1 },
		{ "1.5", -1 },
		{ " 5", -1 },
		{ "3601", -1 },
		{ "2h", -1 },
		{ "9223372036854775807", -1 },
		{ "18446744073709551616h", -1 },
		{ "5ms5", -1 },
	};
	struct err err = { 0 };
	int ms;

	(void)state;
	for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
		ms = -1;
		assert_int_equal(conf_parse_time(times[i].text, 0, 3600000, &ms, &err), times[i].ms < 0 ? -EINVAL : 0);
		assert_int_equal(ms, times[i].ms);
	}
	err = (struct err){ 0 };
	assert_int_equal(conf_parse_time("5x", 1000, 600000, &ms, &err), -EINVAL);
	assert_string_equal(err.msg, "expected 1-600 seconds, not '5x'");
	assert_int_equal(err.usage, 1);
	assert_int_equal(conf_parse_time("999ms", 1000, 600000, &ms, NULL), -EINVAL);
}

/* --- garbage --- */

/* xorshift: the same files on every machine and every run. */
static uint32_t next_random(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

/* Changes, cuts, doubles or inserts at a few places. `size` is at most half of what text can hold. */
static size_t mutate(char *text, size_t size, uint32_t *seed)
{
	static const char *const pieces[] = {
		"\n", "=", "[", "]", ";", " ;", "\"", "..", "/", "\r\n", "[host kayano]\n", "[boot]\n", "run = ", "999999999999h", "\xff", ":ro"
	};

	for (uint32_t n = 1 + next_random(seed) % 8; n > 0 && size > 0; n--) {
		size_t at = next_random(seed) % size, count = next_random(seed) % 64;
		const char *piece = pieces[next_random(seed) % (sizeof pieces / sizeof pieces[0])];

		count = count < size - at ? count : size - at;
		switch (next_random(seed) % 4) {
		case 0:
			text[at] = (char)next_random(seed);
			break;
		case 1:
			/* NOLINTNEXTLINE(bugprone-not-null-terminated-result): bytes, not a string */
			memmove(text + at, text + at + count, size - at - count);
			size -= count;
			break;
		case 2:
			memmove(text + at + count, text + at, size - at);
			size += count;
			break;
		default:
			memmove(text + at + strlen(piece), text + at, size - at);
			/* NOLINTNEXTLINE(bugprone-not-null-terminated-result): bytes, not a string */
			memcpy(text + at, piece, strlen(piece));
			size += strlen(piece);
		}
	}
	return size;
}

/* Whatever the file holds: either a configuration that keeps its promises, or an error with file and line. */
static void assert_outcome_sane(const struct outcome *o, const struct place *place)
{
	const struct conf *conf = &o->conf;

	if (o->ret < 0) {
		assert_memory_equal(o->err.msg, place->file, strlen(place->file));
		assert_true(o->err.usage);
		assert_true(strspn(o->err.msg + strlen(place->file) + 1, "0123456789") > 0);
		return;
	}
	assert_non_null(conf->root.value);
	assert_true(*conf->root.value);
	assert_true(conf->root.kind == SOURCE_PATH ? *conf->root.value == '/' : conf->root.path != NULL);
	assert_true(!conf->root.path || (conf->root.path[0] == '/' && conf->root.path[1]));
	assert_in_range(conf->root.wait_ms, 0, 3600000);
	assert_in_range(conf->bind.timeout_ms, 100, 600000);
	assert_in_range(conf->boot.timeout_ms, 0, 86400000);
	assert_true(conf->boot.confirm_ms == 0 || (conf->boot.confirm_ms >= 1000 && conf->boot.confirm_ms <= 86400000));
	assert_in_range(conf->stop.timeout_ms, 1000, 600000);
	assert_true(conf->boot.command_count > 0);
	for (size_t i = 0; i < conf->boot.command_count; i++)
		assert_true(*conf->boot.command[i].line);
	for (size_t i = 0; i < conf->bind.extra_count; i++)
		assert_true(conf->bind.extra[i].source[0] == '/' && conf->bind.extra[i].target[0] == '/' && conf->bind.extra[i].target[1]);
}

static void test_mutated_files(void **state)
{
	static const char sample[] = FULL_SAMPLE("", "\n");
	static char text[2 * sizeof sample + 1024];
	uint32_t seed = 0x67636462;
	size_t good = 0;
	struct outcome o;

	for (int i = 0; i < 5000; i++) {
		memcpy(text, sample, sizeof sample);
		read_bytes(&o, *state, text, mutate(text, sizeof sample - 1, &seed));
		assert_outcome_sane(&o, *state);
		good += o.ret == 0;
		outcome_clear(&o);
	}
	/* both ways were taken, or the test shows nothing */
	assert_in_range(good, 50, 4950);
}

static void test_random_bytes(void **state)
{
	uint32_t seed = 0x626f6f74;
	char text[512];
	struct outcome o;

	for (int i = 0; i < 2000; i++) {
		size_t size = next_random(&seed) % sizeof text;

		for (size_t j = 0; j < size; j++)
			text[j] = (char)next_random(&seed);
		read_bytes(&o, *state, text, size);
		assert_outcome_sane(&o, *state);
		outcome_clear(&o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_full_sample),
		cmocka_unit_test(test_default_conf),
		cmocka_unit_test(test_default_conf_uncommented),
		cmocka_unit_test(test_wsl2_conf),
		cmocka_unit_test(test_openvz_conf),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_disks),
		cmocka_unit_test(test_bad_disks),
		cmocka_unit_test(test_path_with_directory_source),
		cmocka_unit_test(test_sections_reopened),
		cmocka_unit_test(test_indentation_is_nothing),
		cmocka_unit_test(test_host),
		cmocka_unit_test(test_host_commands_replace_defaults),
		cmocka_unit_test(test_host_names),
		cmocka_unit_test(test_bad_keys),
		cmocka_unit_test(test_bad_sections),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_missing_values),
		cmocka_unit_test(test_bad_paths),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_nul_byte),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_long_section),
		cmocka_unit_test(test_missing_file),
		cmocka_unit_test(test_not_regular),
		cmocka_unit_test(test_owner),
		cmocka_unit_test(test_mode),
		cmocka_unit_test(test_directory_mode),
		cmocka_unit_test(test_link_into_open_directory),
		cmocka_unit_test(test_drive_without_modes),
		cmocka_unit_test(test_relative_name),
		cmocka_unit_test(test_huge_file),
		cmocka_unit_test(test_parse_time),
		cmocka_unit_test(test_mutated_files),
		cmocka_unit_test(test_random_bytes),
	};

	return cmocka_run_group_tests(tests, place_make, place_remove);
}
