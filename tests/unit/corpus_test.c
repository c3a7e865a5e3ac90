/* corpus_test: every table of ../shared/mount-corpus, read in place, is planned, or refused for the reason it deserves. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "../../gcdboot/path.h"
#include "../../gcdboot/plan.h"
#include "../../gcdboot/util.h"
#include "../../gcdboot/windows_drive.h"

#define CORPUS "../shared/mount-corpus"

/* What these hosts lack; the tables are whole in that respect, or were cut by who published them. */
static const struct {
	const char *file, *missing;
} deserved[] = {
	{ "bedrock-linux-strata-partial", "/proc, /sys and /dev" },
	{ "btrfs-subvolumes", "/dev" },
	{ "mtab-with-tab-escapes", "/dev" },
	{ "nixos-fortify-sandbox-head", "/sys" },
	{ "openvz6-debian-simfs-mtab", "/dev" },
	{ "proxmox-lxc-lxcfs", "/proc, /sys and /dev" },
	{ "rhel-podman-shm-selinux-context-commas", "/proc, /sys and /dev" },
	{ "rhel6-nfs4-autofs-hosts", "/proc and /sys" },
	{ "steamos-deck-systemd-automount", "/proc, /sys and /dev" },
	{ "synology-docker-container", "/proc, /sys and /dev" },
	{ "wsl2-2026-shared-submounts", "/proc, /sys and /dev" },
};

static const char *deserved_error(const char *file)
{
	for (size_t i = 0; i < sizeof deserved / sizeof *deserved; i++)
		if (strncmp(file, deserved[i].file, strlen(deserved[i].file)) == 0)
			return deserved[i].missing;
	return NULL;
}

/* Which drives of Windows these tables show. Those that are not here show none. */
static const struct {
	const char *file;
	const char *drives; /* the mount points, those of C: first */
} windows[] = {
	{ "wsl1.mounts", " /mnt/c /mnt/d" },
	{ "wsl2-2020-win10-nosystemd-cgv1.mounts", " /mnt/c /mnt/d" },
	{ "wsl2-2024-5.15-nosystemd-cgv1-docker.mounts", " /mnt/c" },
	{ "wsl2-2025-6.6-systemd-dockerdesktop.mounts", " /mnt/c /mnt/d /mnt/e" },
};

static void check_drives(const char *file, const struct table *table, const struct plan *plan)
{
	struct windows_drive drives[WINDOWS_DRIVES_MAX];
	size_t count = windows_drives(table, drives);
	const char *wanted = "";
	char found[256] = "";

	for (size_t i = 0; i < sizeof windows / sizeof *windows; i++)
		if (strcmp(file, windows[i].file) == 0)
			wanted = windows[i].drives;
	for (size_t i = 0; i < count; i++)
		sprintf(found + strlen(found), " %.20s", drives[i].target);
	if (strcmp(found, wanted) != 0)
		fail_msg("%s: drives%s instead of%s", file, found, wanted);
	/* The disk is attached only where there is a Windows to ask. */
	assert_int_equal(plan->step[0].kind, count ? STEP_ATTACH : STEP_FIND);
	if (count)
		assert_string_equal(plan->step[0].target, "/mnt/c");
}

static struct conf basic_conf(void)
{
	static char attach[] = "serial:it's";
	static char source[] = "LABEL=/", value[] = "/", path[] = "/usr/local/GCD", type[] = "auto", options[] = "defaults";
	struct conf conf = { 0 };

	conf.root.source = source;
	conf.root.kind = SOURCE_LABEL;
	conf.root.value = value;
	conf.root.path = path;
	conf.root.type = type;
	conf.root.options = options;
	conf.bind.all = conf.bind.create = true;
	conf.wsl.attach = attach;
	return conf;
}

static size_t count_lines(const char *path)
{
	auto_fclose FILE *in = fopen(path, "re");
	size_t lines = 0;
	int c, last = '\n';

	assert_non_null(in);
	while ((c = getc(in)) != EOF) {
		lines += c == '\n';
		last = c;
	}
	return lines + (last != '\n');
}

static void check_sh(const struct plan *plan)
{
	char path[] = "/tmp/corpus_test.XXXXXX", command[64];
	int fd = mkstemp(path);
	FILE *out = fdopen(fd, "w");
	struct err err;

	assert_non_null(out);
	assert_int_equal(plan_print(plan, PLAN_SH, out, &err), 0);
	assert_int_equal(fclose(out), 0);
	snprintf(command, sizeof command, "sh -n %s >&2", path);
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c) */
	unlink(path);
}

static void check_json(const struct plan *plan)
{
	auto_free char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	json_t *root;
	struct err err;

	assert_int_equal(plan_print(plan, PLAN_JSON, out, &err), 0);
	fclose(out);
	root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(root);
	assert_int_equal(json_array_size(json_object_get(root, "steps")), plan->count);
	json_decref(root);
}

static void check_plan(const struct plan *plan, const struct table *table)
{
	const struct step *before = NULL;
	size_t binds = 0;

	for (size_t i = 0; i < plan->count; i++) {
		const struct step *step = &plan->step[i];

		if (step->kind != STEP_BIND)
			continue;
		assert_true(!before || path_compare(before->target, step->target) < 0);
		before = step;
		binds++;
	}
	assert_int_equal(binds + plan->left_out_count, table->count);
	check_sh(plan);
	check_json(plan);
}

static void check_table(const char *dir, const char *file)
{
	const char *missing = deserved_error(file);
	struct conf conf = basic_conf();
	auto_free char *path = NULL;
	struct table table;
	struct plan plan;
	struct err err = { 0 };
	char msg[128];

	assert_true(asprintf(&path, "%s/%s", dir, file) > 0);
	if (table_read(&table, path, &err) < 0)
		fail_msg("%s: %s", file, err.msg);
	/* None of them has comments or empty lines. */
	assert_int_equal(table.count, count_lines(path));
	if (plan_make(&plan, &conf, &table, NULL, NULL, &err) < 0) {
		snprintf(msg, sizeof msg, "the host has no mount on %s:", missing ? missing : "(nothing should be missing)");
		if (strncmp(err.msg, msg, strlen(msg)) != 0)
			fail_msg("%s: %s", file, err.msg);
		for (const char *const *name = (const char *const[]){ "/proc", "/sys", "/dev", NULL }; *name; name++)
			assert_int_equal(strlist_add(&conf.bind.exclude, *name), 0);
		assert_int_equal(plan_make(&plan, &conf, &table, NULL, NULL, &err), 0);
	} else if (missing) {
		fail_msg("%s: planned, though it has no %s", file, missing);
	}
	check_plan(&plan, &table);
	check_drives(file, &table, &plan);
	plan_clear(&plan);
	table_clear(&table);
	strlist_clear(&conf.bind.exclude);
}

static size_t check_folder(const char *dir)
{
	auto_closedir DIR *open_dir = opendir(dir);
	struct dirent *entry;
	size_t tables = 0;

	if (!open_dir)
		return 0;
	while ((entry = readdir(open_dir))) {
		const char *dot = strrchr(entry->d_name, '.');

		if (!dot || (strcmp(dot, ".mounts") != 0 && strcmp(dot, ".mountinfo") != 0))
			continue;
		check_table(dir, entry->d_name);
		tables++;
	}
	return tables;
}

static void test_corpus(void **state)
{
	size_t tables = check_folder(CORPUS), shapes = check_folder(CORPUS "/shapes");

	(void)state;
	print_message("# %zu tables, %zu shapes\n", tables, shapes);
	assert_true(tables > 0 && shapes > 0);
}

static void read_corpus(struct table *table, const char *file)
{
	auto_free char *path = NULL;
	struct err err;

	assert_true(asprintf(&path, CORPUS "/%s", file) > 0);
	assert_int_equal(table_read(table, path, &err), 0);
}

static void test_details(void **state)
{
	struct table table;

	(void)state;
	read_corpus(&table, "wsl2-2025-6.6-systemd-dockerdesktop.mounts");
	assert_string_equal(table_find_target(&table, "/Docker/host")->source, "C:\\Program Files\\Docker\\Docker\\resources");
	assert_non_null(strstr(table_find_target(&table, "/Docker/host")->options, "path=C:\\Program Files\\Docker\\Docker\\resources;"));
	assert_non_null(strstr(table_find_target(&table, "/Docker/host")->options, ",wfd=3"));
	assert_string_equal(table_find_target(&table, "/mnt/c")->source, "C:\\");
	table_clear(&table);
	read_corpus(&table, "tmpfs-empty-source-field.mountinfo");
	assert_string_equal(table_find_target(&table, "/mnt/test")->source, "");
	table_clear(&table);
	read_corpus(&table, "rhel6-era-desktop-autofs-gvfs-cifs.mountinfo");
	assert_non_null(table_find_target(&table, "/mnt/test/foo\rbar"));
	assert_string_equal(table_find_target(&table, "/dev/hugepages")->type, "hugetlbfs");
	table_clear(&table);
	/* Two on one path, on different parents: the look-up goes through /proc/sys, so the earlier line is the one that is seen. */
	read_corpus(&table, "arch-nspawn-deleted-and-overmounted.mountinfo");
	assert_int_equal(table_find_target(&table, "/proc/sys/kernel/random/boot_id")->id, 105);
	table_clear(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_corpus),
		cmocka_unit_test(test_details),
	};

	if (access(CORPUS, R_OK) != 0) {
		printf("1..0 # SKIP there is no " CORPUS "\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
