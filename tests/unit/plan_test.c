/* plan_test: the plan, rule by rule, over thousands of random mount tables against a slow model of the kernel's look-up, and as it is printed. */
#include "../../gcdboot/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "../../gcdboot/path.h"
#include "../../gcdboot/util.h"

#define R "/usr/local/GCD"

/* ---- a configuration and a table, by hand ---- */

static struct conf basic_conf(void)
{
	static char source[] = "LABEL=/", value[] = "/", path[] = R, type[] = "auto", options[] = "defaults";
	struct conf conf = { 0 };

	conf.root.source = source;
	conf.root.kind = SOURCE_LABEL;
	conf.root.value = value;
	conf.root.path = path;
	conf.root.type = type;
	conf.root.options = options;
	conf.root.wait_ms = 30000;
	conf.bind.all = true;
	conf.bind.create = true;
	return conf;
}

/* Lines "id parent root target type", the root "-" for a table without ids. */
static struct table table_of(struct table_mount *mount, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!mount[i].type)
			mount[i].type = "tmpfs";
		mount[i].source = "src";
		mount[i].options = "rw,relatime";
		mount[i].propagation = "";
		if (!mount[i].root)
			mount[i].id = mount[i].parent = -1;
	}
	return (struct table){ mount, count, NULL };
}

#define TABLE(...) table_of((struct table_mount[]){ __VA_ARGS__ }, sizeof((struct table_mount[]){ __VA_ARGS__ }) / sizeof(struct table_mount))
#define LINE(t)                                                                                                                                                \
	{                                                                                                                                                      \
		.target = (t)                                                                                                                                  \
	}
#define BASE LINE("/"), LINE("/proc"), LINE("/sys"), LINE("/dev")

static void make(struct plan *plan, const struct conf *conf, struct table table, const char *root, const char *run_dir)
{
	struct err err = { 0 };

	if (plan_make(plan, conf, &table, root, run_dir, &err) < 0)
		fail_msg("%s", err.msg);
}

static void refuse(const struct conf *conf, struct table table, const char *root, const char *msg, int usage)
{
	struct plan plan;
	struct err err = { 0 };

	assert_int_equal(plan_make(&plan, conf, &table, root, NULL, &err), -EINVAL);
	assert_string_equal(err.msg, msg);
	assert_int_equal(err.usage, usage);
	assert_int_equal(plan.count, 0);
	plan_clear(&plan);
}

static const struct step *bind_on(const struct plan *plan, const char *target)
{
	const struct step *found = NULL;

	for (size_t i = 0; i < plan->count; i++)
		if (plan->step[i].kind == STEP_BIND && strcmp(plan->step[i].target, target) == 0) {
			assert_null(found);
			found = &plan->step[i];
		}
	return found;
}

static const char *reason_of(const struct plan *plan, const char *target)
{
	for (size_t i = 0; i < plan->left_out_count; i++)
		if (strcmp(plan->left_out[i].target, target) == 0)
			return plan->left_out[i].reason;
	return NULL;
}

static void add_exclude(struct conf *conf, const char *pattern)
{
	assert_int_equal(strlist_add(&conf->bind.exclude, pattern), 0);
}

/* ---- rule by rule ---- */

static void test_order_of_steps(void **state)
{
	static char run[] = "swapon -a", daemon[] = "/etc/init.d/svscanboot", require[] = "true", file[] = "/sbin/swapon";
	struct conf_command command[] = { { COMMAND_RUN, run, file, 0 }, { COMMAND_DAEMON, daemon, NULL, 7 }, { COMMAND_REQUIRE, require, NULL, 8 } };
	static const enum step_kind expected[] = { STEP_FIND, STEP_FSCK, STEP_UNSHARE, STEP_MOUNT,  STEP_BIND,
						   STEP_BIND, STEP_BIND, STEP_RUN,     STEP_DAEMON, STEP_REQUIRE };
	struct conf conf = basic_conf();
	struct plan plan;

	(void)state;
	conf.root.fsck = true;
	conf.boot.command = command;
	conf.boot.command_count = 3;
	conf.boot.timeout_ms = 4000;
	make(&plan, &conf, TABLE(BASE), NULL, NULL);
	assert_int_equal(plan.count, sizeof expected / sizeof *expected);
	for (size_t i = 0; i < plan.count; i++)
		assert_int_equal(plan.step[i].kind, expected[i]);
	assert_string_equal(plan.step[0].source, "LABEL=/");
	assert_int_equal(plan.step[0].timeout_ms, 30000);
	assert_null(plan.step[0].options);
	assert_string_equal(plan.step[3].source, "LABEL=/");
	assert_string_equal(plan.step[3].target, R);
	assert_string_equal(plan.step[3].type, "auto");
	assert_string_equal(plan.step[3].options, "defaults");
	assert_string_equal(plan.step[4].target, "/dev");
	assert_string_equal(plan.step[4].type, "tmpfs");
	assert_string_equal(plan.step[4].options, "rw,relatime");
	assert_string_equal(plan.step[7].source, "swapon -a");
	assert_string_equal(plan.step[7].only_if, "/sbin/swapon");
	assert_int_equal(plan.step[7].timeout_ms, 4000);
	assert_int_equal(plan.step[8].timeout_ms, 0);
	assert_null(plan.step[8].only_if);
	assert_int_equal(plan.step[9].timeout_ms, 4000);
	assert_false(plan.namespace_host);
	plan_clear(&plan);

	conf.boot.confirm_ms = 300000;
	make(&plan, &conf, TABLE(BASE), NULL, NULL);
	assert_int_equal(plan.count, sizeof expected / sizeof *expected + 1);
	assert_int_equal(plan.step[10].kind, STEP_CONFIRM);
	assert_int_equal(plan.step[10].timeout_ms, 300000);
	plan_clear(&plan);
	conf.boot.confirm_ms = 0;

	conf.root.fsck = false;
	conf.namespace_host = true;
	conf.root.partition = 3;
	conf.boot.command_count = 0;
	make(&plan, &conf, TABLE(BASE), NULL, NULL);
	assert_int_equal(plan.count, 5);
	assert_int_equal(plan.step[1].kind, STEP_MOUNT);
	assert_string_equal(plan.step[0].options, "partition=3");
	assert_true(plan.namespace_host);
	plan_clear(&plan);
}

static void test_overlay(void **state)
{
	static char options[] = "nosuid";
	struct conf conf = basic_conf();
	struct plan plan;

	(void)state;
	conf.root.fsck = true;
	make(&plan, &conf, TABLE(BASE), NULL, NULL);
	assert_int_equal(plan.step[1].flags, 0);
	assert_int_equal(plan.step[3].flags, 0);
	assert_int_equal(plan.step[4].kind, STEP_BIND);
	plan_clear(&plan);

	conf.root.overlay = true;
	conf.root.options = options;
	make(&plan, &conf, TABLE(BASE), NULL, NULL);
	assert_int_equal(plan.count, 5 + 3);
	assert_int_equal(plan.step[1].kind, STEP_FSCK);
	assert_int_equal(plan.step[1].flags, STEP_READONLY);
	assert_int_equal(plan.step[3].kind, STEP_MOUNT);
	assert_int_equal(plan.step[3].flags, STEP_READONLY);
	assert_string_equal(plan.step[3].source, "LABEL=/");
	assert_int_equal(plan.step[4].kind, STEP_OVERLAY);
	assert_string_equal(plan.step[4].source, "tmpfs");
	assert_string_equal(plan.step[4].target, R);
	assert_string_equal(plan.step[4].options, "nosuid");
	assert_int_equal(plan.step[5].kind, STEP_BIND);
	plan_clear(&plan);
}

static void test_root_path(void **state)
{
	static char image[] = "/var/os.img", label[] = "LABEL=/";
	struct conf conf = basic_conf();
	struct plan plan;

	(void)state;
	make(&plan, &conf, TABLE(BASE), "//srv/./os/", NULL);
	assert_string_equal(plan.root_path, "/srv/os");
	assert_string_equal(plan.step[2].target, "/srv/os");
	plan_clear(&plan);
	refuse(&conf, TABLE(BASE), "/.", "/. is the running system: give the root a mount point of its own, such as /usr/local/GCD", 1);
	refuse(&conf, TABLE(BASE), "srv", "srv: path must be absolute and must not contain '..'", 1);
	refuse(&conf, TABLE(BASE), "/srv/../..", "/srv/../..: path must be absolute and must not contain '..'", 1);
	conf.root.path = NULL;
	conf.root.source = label;
	refuse(&conf, TABLE(BASE), NULL, "[root] path: no mount point given for LABEL=/", 1);
	conf.root.kind = SOURCE_PATH;
	conf.root.source = conf.root.value = image;
	make(&plan, &conf, TABLE(BASE), NULL, NULL);
	assert_string_equal(plan.root_path, "/var/os.img");
	plan_clear(&plan);
}

static void test_left_out(void **state)
{
	struct conf conf = basic_conf();
	struct plan plan;

	(void)state;
	add_exclude(&conf, "/snap/*");
	add_exclude(&conf, "/mnt/[cd]");
	make(&plan, &conf,
	     TABLE(BASE, LINE("/usr/local"), LINE("/snap"), LINE("/snap/core/1"), LINE("/mnt/c/Users"), LINE("/mnt/e"), LINE(R), LINE(R "/proc"), LINE(R "x"),
		   LINE("/run/a"), LINE("/run"), { .target = "/gone", .deleted = true }, LINE("//x"), LINE("y"), LINE("/z/..")),
	     NULL, NULL);
	assert_string_equal(reason_of(&plan, "/"), "the root of the host");
	assert_string_equal(reason_of(&plan, "/snap/core/1"), "excluded by /snap/*");
	assert_string_equal(reason_of(&plan, "/mnt/c/Users"), "excluded by /mnt/[cd]");
	assert_string_equal(reason_of(&plan, R), "is the root");
	assert_string_equal(reason_of(&plan, R "/proc"), "is below the root");
	assert_string_equal(reason_of(&plan, "/run/a"), "covered by a later mount");
	assert_string_equal(reason_of(&plan, "/gone"), "its mount point was deleted");
	assert_string_equal(reason_of(&plan, "//x"), "its mount point is not a clean absolute path");
	assert_string_equal(reason_of(&plan, "y"), "its mount point is not a clean absolute path");
	assert_string_equal(reason_of(&plan, "/z/.."), "its mount point is not a clean absolute path");
	assert_int_equal(plan.left_out_count, 10);
	assert_non_null(bind_on(&plan, "/snap"));
	assert_non_null(bind_on(&plan, "/mnt/e"));
	assert_non_null(bind_on(&plan, R "x"));
	assert_non_null(bind_on(&plan, "/usr/local"));
	assert_non_null(bind_on(&plan, "/run"));
	plan_clear(&plan);
	strlist_clear(&conf.bind.exclude);
}

static void test_flags(void **state)
{
	struct conf conf = basic_conf();
	struct plan plan;

	(void)state;
	make(&plan, &conf,
	     TABLE({ .target = "/", .root = "/", .id = 1 }, { .target = "/proc", .root = "/", .id = 2, .parent = 1 },
		   { .target = "/sys", .root = "/sub", .id = 3, .parent = 1 }, { .target = "/dev", .id = 4, .parent = 1 },
		   { .target = "/f", .root = "/", .id = 5, .parent = 1, .type = "fuse.x" },
		   { .target = "/a", .root = "/", .id = 6, .parent = 1, .type = "autofs" }, { .target = "/d", .root = "/x//deleted", .id = 7, .parent = 1 },
		   { .target = "/n", .root = "mnt:[4026532641]", .id = 8, .parent = 1 }),
	     NULL, NULL);
	assert_int_equal(bind_on(&plan, "/proc")->flags, STEP_CREATE | STEP_REQUIRED | STEP_DIR);
	assert_int_equal(bind_on(&plan, "/sys")->flags, STEP_CREATE | STEP_REQUIRED);
	assert_int_equal(bind_on(&plan, "/dev")->flags, STEP_CREATE | STEP_REQUIRED);
	assert_int_equal(bind_on(&plan, "/f")->flags, STEP_CREATE);
	assert_int_equal(bind_on(&plan, "/a")->flags, STEP_CREATE | STEP_DIR | STEP_AUTOFS);
	assert_int_equal(bind_on(&plan, "/d")->flags, STEP_CREATE | STEP_DELETED);
	assert_int_equal(bind_on(&plan, "/n")->flags, STEP_CREATE);
	plan_clear(&plan);
	conf.bind.create = false;
	make(&plan, &conf, TABLE(BASE), NULL, NULL);
	assert_int_equal(bind_on(&plan, "/proc")->flags, STEP_REQUIRED);
	plan_clear(&plan);
}

static void test_required(void **state)
{
	static char dev[] = "/dev", devices[] = "/srv/devices";
	struct conf_extra extra = { devices, dev, true };
	struct conf conf = basic_conf();
	struct plan plan;

	(void)state;
	refuse(&conf, TABLE(LINE("/"), LINE("/proc"), LINE("/sys"), LINE("/dev/pts")), NULL,
	       "the host has no mount on /dev: nothing to bind there (add 'extra = /dev' to [bind] where it is a plain directory of the host, or "
	       "'exclude = /dev')",
	       0);
	refuse(&conf, TABLE(LINE("/")), NULL,
	       "the host has no mount on /proc, /sys and /dev: nothing to bind there (add 'extra = /proc', 'extra = /sys' and 'extra = /dev' to [bind] "
	       "where it is a plain directory of the host, or 'exclude = /proc', 'exclude = /sys' and 'exclude = /dev')",
	       0);
	conf.bind.extra = &extra;
	conf.bind.extra_count = 1;
	make(&plan, &conf, TABLE(LINE("/"), LINE("/proc"), LINE("/sys")), NULL, NULL);
	assert_string_equal(bind_on(&plan, "/dev")->source, "/srv/devices");
	assert_int_equal(bind_on(&plan, "/dev")->flags, STEP_CREATE | STEP_REQUIRED | STEP_READONLY);
	plan_clear(&plan);
	conf.bind.extra_count = 0;
	add_exclude(&conf, "/d*");
	make(&plan, &conf, TABLE(LINE("/"), LINE("/proc"), LINE("/sys")), NULL, NULL);
	assert_null(bind_on(&plan, "/dev"));
	plan_clear(&plan);
	strlist_clear(&conf.bind.exclude);
	conf.bind.all = false;
	make(&plan, &conf, TABLE(LINE("/"), LINE("/proc")), NULL, "/run/gcdboot");
	assert_int_equal(plan.count, 3);
	assert_int_equal(plan.left_out_count, 0);
	plan_clear(&plan);
}

static void test_extra(void **state)
{
	static char resolv[] = "/etc/resolv.conf", mnt[] = "/mnt/", host[] = "/host/./etc", etc[] = "/etc", inside[] = R "/etc", up[] = "/a/../b", top[] = "/";
	struct conf_extra extra[] = { { resolv, resolv, false }, { etc, mnt, true }, { etc, host, false } };
	struct conf conf = basic_conf();
	struct plan plan;

	(void)state;
	conf.bind.extra = extra;
	conf.bind.extra_count = 3;
	conf.bind.create = false;
	make(&plan, &conf, TABLE(BASE, LINE("/mnt"), LINE("/mnt/c"), LINE("/etc")), NULL, NULL);
	assert_string_equal(bind_on(&plan, "/mnt")->source, "/etc");
	assert_int_equal(bind_on(&plan, "/mnt")->flags, STEP_READONLY);
	assert_string_equal(reason_of(&plan, "/mnt"), "replaced by an 'extra' in [bind]");
	assert_string_equal(bind_on(&plan, "/host/etc")->source, "/etc");
	assert_true(bind_on(&plan, "/mnt") < bind_on(&plan, "/mnt/c"));
	assert_true(bind_on(&plan, "/etc") < bind_on(&plan, "/etc/resolv.conf"));
	plan_clear(&plan);
	conf.bind.all = false;
	make(&plan, &conf, TABLE(BASE), NULL, NULL);
	assert_int_equal(plan.count, 3 + 3);
	plan_clear(&plan);

	extra[2].target = mnt;
	extra[2].source = resolv;
	refuse(&conf, TABLE(BASE), NULL, "[bind] extra: both /etc and /etc/resolv.conf go onto /mnt", 1);
	extra[2].source = inside;
	refuse(&conf, TABLE(BASE), NULL, "[bind] extra: " R "/etc lies in the root itself, " R ": it is there without a bind", 1);
	extra[2].source = up;
	refuse(&conf, TABLE(BASE), NULL, "[bind] extra: /a/../b:/mnt/: path must be absolute and must not contain '..'", 1);
	extra[2].source = etc;
	extra[2].target = top;
	refuse(&conf, TABLE(BASE), NULL, "[bind] extra: /etc cannot go onto '/', which is the root itself", 1);
}

static void test_modules(void **state)
{
	static char modules[] = "/boot/lib/modules", mnt[] = "/mnt", etc[] = "/etc";
	struct conf_extra extra = { etc, modules, false };
	struct conf conf = basic_conf();
	struct plan plan;

	(void)state;
	conf.bind.modules = modules;
	make(&plan, &conf, TABLE(BASE), NULL, NULL);
	assert_string_equal(bind_on(&plan, modules)->source, "/lib/modules");
	assert_int_equal(bind_on(&plan, modules)->flags, STEP_OPTIONAL);
	plan_clear(&plan);
	make(&plan, &conf, TABLE(BASE, LINE("/boot/lib/modules")), NULL, NULL);
	assert_string_equal(bind_on(&plan, modules)->source, "/boot/lib/modules");
	plan_clear(&plan);
	conf.bind.extra = &extra;
	conf.bind.extra_count = 1;
	make(&plan, &conf, TABLE(BASE), NULL, NULL);
	assert_string_equal(bind_on(&plan, modules)->source, "/etc");
	plan_clear(&plan);
	conf.bind.extra_count = 0;
	make(&plan, &conf, TABLE(BASE), "/lib", NULL);
	assert_null(bind_on(&plan, modules));
	plan_clear(&plan);
	conf.bind.all = false;
	conf.bind.modules = mnt;
	make(&plan, &conf, TABLE(BASE), NULL, NULL);
	assert_null(bind_on(&plan, "/mnt"));
	plan_clear(&plan);
}

static void test_run_dir(void **state)
{
	static char var[] = "/var/run", run[] = "/run";
	struct conf_extra extra = { var, run, false };
	struct conf conf = basic_conf();
	struct plan plan;

	(void)state;
	make(&plan, &conf, TABLE(BASE), NULL, "/run/gcdboot");
	assert_string_equal(bind_on(&plan, "/run/gcdboot")->source, "/run/gcdboot");
	assert_int_equal(bind_on(&plan, "/run/gcdboot")->flags, STEP_CREATE | STEP_DIR);
	plan_clear(&plan);
	make(&plan, &conf, TABLE(BASE, LINE("/run")), NULL, "/run/gcdboot");
	assert_null(bind_on(&plan, "/run/gcdboot"));
	plan_clear(&plan);
	make(&plan, &conf, TABLE(BASE, LINE("/run/gcdboot")), NULL, "/run/gcdboot");
	assert_non_null(bind_on(&plan, "/run/gcdboot"));
	plan_clear(&plan);
	/* Something else stands on /run inside: the socket is not there by itself. */
	conf.bind.extra = &extra;
	conf.bind.extra_count = 1;
	make(&plan, &conf, TABLE(BASE, LINE("/run")), NULL, "/run/gcdboot");
	assert_true(bind_on(&plan, "/run") < bind_on(&plan, "/run/gcdboot"));
	plan_clear(&plan);
	conf.bind.extra_count = 0;
	add_exclude(&conf, "/run/lock");
	make(&plan, &conf, TABLE(BASE), NULL, "/run/gcdboot");
	assert_non_null(bind_on(&plan, "/run/gcdboot"));
	plan_clear(&plan);
	add_exclude(&conf, "/run");
	make(&plan, &conf, TABLE(BASE, LINE("/run")), NULL, "/run/gcdboot");
	assert_null(bind_on(&plan, "/run/gcdboot"));
	plan_clear(&plan);
	strlist_clear(&conf.bind.exclude);
}

/* ---- random tables ---- */

static uint64_t seed;

static unsigned below(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 33) % n;
}

static void random_path(char *path)
{
	static const char *const part[] = { "a", "b", "a b", "a-", "a\n", "\xff", "\xc3\xa9", "\x1b[m", "'", "\\" };

	*path = '\0';
	for (unsigned n = 1 + below(4); n > 0; n--) {
		stpcpy(path + strlen(path), "/");
		stpcpy(path + strlen(path), part[below(5) ? below(3) : below(10)]);
	}
}

/* A mount namespace as the kernel keeps it: who is mounted on whom, and where. */
#define WORLD_MAX 48
#define PATH_ROOM 128

struct world {
	struct mount {
		int id, parent;
		char target[PATH_ROOM];
	} mount[WORLD_MAX];
	size_t count; /* in the order of the table's lines */
	int next_id;
};

static struct mount *child_at(struct world *w, int parent, const char *target)
{
	for (size_t i = 0; i < w->count; i++)
		if (w->mount[i].parent == parent && strcmp(w->mount[i].target, target) == 0)
			return &w->mount[i];
	return NULL;
}

/* The id of the mount that a look-up of the path ends in: component by component, from the process's root, which is not crossed itself. */
static int look_up(struct world *w, const char *path)
{
	char prefix[PATH_ROOM];
	int at = w->mount[0].id;
	struct mount *next;

	for (size_t len = 1; path[len - 1]; len++) {
		if (path[len] != '/' && path[len] != '\0')
			continue;
		memcpy(prefix, path, len);
		prefix[len] = '\0';
		while (strcmp(prefix, "/") != 0 && (next = child_at(w, at, prefix)))
			at = next->id;
	}
	return at;
}

static struct mount *by_id(struct world *w, int id)
{
	for (size_t i = 0; i < w->count; i++)
		if (w->mount[i].id == id)
			return &w->mount[i];
	return NULL;
}

static bool is_inside(struct world *w, int id, int tree)
{
	for (struct mount *m = by_id(w, id); m; m = by_id(w, m->parent))
		if (m->id == tree)
			return true;
	return false;
}

static void world_mount(struct world *w)
{
	struct mount *m = &w->mount[w->count], *on;

	if (w->count == WORLD_MAX)
		return;
	if (below(20))
		random_path(m->target);
	else
		stpcpy(m->target, "/");
	m->parent = look_up(w, m->target);
	/* What is mounted on "/" stacks there, although no look-up arrives. */
	while (strcmp(m->target, "/") == 0 && (on = child_at(w, m->parent, "/")))
		m->parent = on->id;
	m->id = w->next_id++;
	w->count++;
}

static void world_umount(struct world *w)
{
	size_t i = 1 + below((unsigned)w->count);

	if (i >= w->count)
		return;
	for (size_t j = 0; j < w->count; j++)
		if (w->mount[j].parent == w->mount[i].id)
			return;
	memmove(&w->mount[i], &w->mount[i + 1], (w->count - i - 1) * sizeof *w->mount);
	w->count--;
}

/* mount --move: the tree keeps its lines and its ids, and gets new mount points. */
static void world_move(struct world *w)
{
	char old[PATH_ROOM], to[PATH_ROOM], joined[2 * PATH_ROOM];
	size_t i = 1 + below((unsigned)w->count);
	int tree, parent;

	random_path(to);
	parent = look_up(w, to);
	if (i >= w->count || strcmp(w->mount[i].target, "/") == 0)
		return;
	tree = w->mount[i].id;
	stpcpy(old, w->mount[i].target);
	if (is_inside(w, parent, tree))
		return;
	for (size_t j = 0; j < w->count; j++)
		if (is_inside(w, w->mount[j].id, tree) && strlen(to) + strlen(w->mount[j].target) - strlen(old) >= PATH_ROOM)
			return;
	for (size_t j = 0; j < w->count; j++)
		if (is_inside(w, w->mount[j].id, tree)) {
			snprintf(joined, sizeof joined, "%s%s", to, w->mount[j].target + strlen(old));
			stpcpy(w->mount[j].target, joined);
		}
	w->mount[i].parent = parent;
}

static void random_world(struct world *w)
{
	w->count = 1;
	w->mount[0] = (struct mount){ .id = 20, .parent = 1, .target = "/" };
	w->next_id = 21;
	for (unsigned n = below(60); n > 0; n--) {
		switch (below(6)) {
		case 0:
			world_move(w);
			break;
		case 1:
			world_umount(w);
			break;
		default:
			world_mount(w);
		}
	}
}

static struct table world_table(const struct world *w, struct table_mount *mount, bool ids)
{
	for (size_t i = 0; i < w->count; i++)
		mount[i] = (struct table_mount){ .id = w->mount[i].id, .parent = w->mount[i].parent, .root = ids ? "/" : NULL, .target = w->mount[i].target };
	return table_of(mount, w->count);
}

/* Without ids only the order tells: a later mount on the same point or on a directory above covers. */
static bool visible_by_order(const struct table *table, size_t m)
{
	for (size_t s = m + 1; s < table->count; s++) {
		if (strcmp(table->mount[s].target, "/") == 0 && strcmp(table->mount[m].target, "/") != 0)
			continue;
		if (path_is_below(table->mount[m].target, table->mount[s].target))
			return false;
	}
	return true;
}

static void show_world(const struct table *table, const char *root)
{
	print_message("R=%s\n", root);
	for (size_t i = 0; i < table->count; i++)
		print_message("%d %d %s\n", table->mount[i].id, table->mount[i].parent, table->mount[i].target);
}

/* Which step and which left-out entry stand for the mount: they share the table's string. */
static size_t times_in_plan(const struct plan *plan, const char *target, bool *bound)
{
	size_t times = 0;

	*bound = false;
	for (size_t i = 0; i < plan->count; i++)
		if (plan->step[i].kind == STEP_BIND && plan->step[i].source == target) {
			*bound = true;
			times++;
		}
	for (size_t i = 0; i < plan->left_out_count; i++)
		times += plan->left_out[i].target == target;
	return times;
}

static void check_invariants(const struct plan *plan)
{
	const struct step *before = NULL;

	for (size_t i = 0; i < plan->count; i++) {
		const struct step *step = &plan->step[i];
		auto_free char *clean = NULL;

		if (step->kind != STEP_BIND)
			continue;
		clean = path_clean(step->target);
		assert_non_null(clean);
		assert_string_equal(clean, step->target);
		assert_string_not_equal(step->target, "/");
		assert_false(path_is_below(step->source, plan->root_path));
		/* Strictly rising: no target twice, and a directory before all below it. */
		assert_true(!before || path_compare(before->target, step->target) < 0);
		before = step;
	}
}

static void check_same(const struct plan *a, const struct plan *b)
{
	assert_int_equal(a->count, b->count);
	assert_int_equal(a->left_out_count, b->left_out_count);
	for (size_t i = 0; i < a->count; i++) {
		assert_int_equal(a->step[i].kind, b->step[i].kind);
		assert_int_equal(a->step[i].flags, b->step[i].flags);
		if (a->step[i].target)
			assert_string_equal(a->step[i].target, b->step[i].target);
		if (a->step[i].source)
			assert_string_equal(a->step[i].source, b->step[i].source);
	}
	for (size_t i = 0; i < a->left_out_count; i++)
		assert_string_equal(a->left_out[i].reason, b->left_out[i].reason);
}

static struct conf random_conf(void)
{
	struct conf conf = basic_conf();
	char pattern[PATH_ROOM];

	add_exclude(&conf, "/proc");
	add_exclude(&conf, "/sys");
	add_exclude(&conf, "/dev");
	for (unsigned n = below(3); n > 0; n--) {
		random_path(pattern);
		if (below(2))
			stpcpy(pattern + strlen(pattern), "/*");
		add_exclude(&conf, pattern);
	}
	return conf;
}

static bool is_excluded(const struct conf *conf, const char *path)
{
	for (size_t i = 0; i < conf->bind.exclude.count; i++)
		if (path_matches(path, conf->bind.exclude.str[i]))
			return true;
	return false;
}

static void one_random_plan(bool ids)
{
	struct table_mount mount[WORLD_MAX];
	struct conf conf = random_conf();
	char root[PATH_ROOM];
	struct plan plan, again;
	struct world w;
	struct table table;

	random_world(&w);
	table = world_table(&w, mount, ids);
	random_path(root);
	make(&plan, &conf, table, root, NULL);
	check_invariants(&plan);
	for (size_t i = 0; i < table.count; i++) {
		const char *target = table.mount[i].target;
		bool visible = ids ? look_up(&w, target) == table.mount[i].id : visible_by_order(&table, i);
		bool expected = visible && strcmp(target, "/") != 0 && !path_is_below(target, root) && !is_excluded(&conf, target);
		bool bound;

		if (times_in_plan(&plan, target, &bound) != 1 || bound != expected) {
			show_world(&table, root);
			fail_msg("mount %zu on %s: expected %s", i, target, expected ? "a bind" : "to be left out");
		}
	}
	make(&again, &conf, table, root, NULL);
	check_same(&plan, &again);
	plan_clear(&again);
	plan_clear(&plan);
	strlist_clear(&conf.bind.exclude);
}

static void test_random_with_ids(void **state)
{
	(void)state;
	for (int i = 0; i < 5000; i++)
		one_random_plan(true);
}

static void test_random_without_ids(void **state)
{
	(void)state;
	for (int i = 0; i < 3000; i++)
		one_random_plan(false);
}

/* Any parents at all, extras, modules and a run directory: the invariants hold, and nothing gets lost. */
static void test_random_nonsense(void **state)
{
	(void)state;
	for (int round = 0; round < 3000; round++) {
		char root[PATH_ROOM], path[4][PATH_ROOM], modules[PATH_ROOM], run_dir[PATH_ROOM];
		struct conf_extra extra[2];
		struct table_mount mount[WORLD_MAX];
		struct conf conf = random_conf();
		struct plan plan;
		struct err err;
		struct world w;
		struct table table;
		size_t not_from_table = 0;

		random_world(&w);
		for (size_t i = 0; i < w.count; i++) {
			w.mount[i].parent = 18 + (int)below(50);
			if (below(5) == 0)
				w.mount[i].id = 18 + (int)below(50);
		}
		table = world_table(&w, mount, true);
		for (size_t i = 0; i < 4; i++)
			random_path(path[i]);
		extra[0] = (struct conf_extra){ path[0], path[1], false };
		extra[1] = (struct conf_extra){ path[2], path[3], true };
		conf.bind.extra = extra;
		conf.bind.extra_count = below(3);
		random_path(modules);
		conf.bind.modules = modules;
		random_path(root);
		random_path(run_dir);
		if (plan_make(&plan, &conf, &table, root, run_dir, &err) < 0) {
			assert_non_null(strstr(err.msg, "[bind] extra: "));
			strlist_clear(&conf.bind.exclude);
			continue;
		}
		check_invariants(&plan);
		for (size_t i = 0; i < plan.count; i++)
			not_from_table += plan.step[i].kind == STEP_BIND && !plan.step[i].type;
		assert_int_equal(plan.count - 3 - not_from_table + plan.left_out_count, table.count);
		plan_clear(&plan);
		strlist_clear(&conf.bind.exclude);
	}
}

/* What takes time by the square of this does not end within anyone's patience. */
static void test_large(void **state)
{
	size_t count = 100000;
	auto_free struct table_mount *mount = calloc(count, sizeof *mount);
	auto_free char *names = malloc(count * 32);
	struct conf conf = basic_conf();
	struct plan plan;

	(void)state;
	add_exclude(&conf, "/m/7/*");
	for (size_t i = 0; i < count; i++) {
		char *name = names + i * 32;

		if (i < 4)
			stpcpy(name, (const char *const[]){ "/", "/proc", "/sys", "/dev" }[i]);
		else if (i < 30000)
			stpcpy(name, "/stack");
		else
			sprintf(name, "/m/%zu/%zu", i % 10, count - i);
		mount[i] = (struct table_mount){ .id = (int)i + 20, .root = "/", .target = name };
		mount[i].parent = i == 0 ? 1 : i > 4 && i < 30000 ? (int)i + 19 : 20;
	}
	make(&plan, &conf, table_of(mount, count), NULL, "/run/gcdboot");
	assert_int_equal(plan.count, 3 + 3 + 1 + 63000 + 1);
	assert_int_equal(plan.left_out_count, 1 + 29995 + 7000);
	plan_clear(&plan);
	strlist_clear(&conf.bind.exclude);
}

/* ---- printed ---- */

static char *printed(const struct plan *plan, enum plan_format format)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	struct err err = { 0 };

	assert_non_null(out);
	if (plan_print(plan, format, out, &err) < 0)
		fail_msg("%s", err.msg);
	fclose(out);
	return text;
}

static void make_odd(struct plan *plan, struct conf *conf)
{
	static char run[] = "echo 'a'\nexit\x1b", daemon[] = "/etc/init.d/svscanboot", only[] = "/etc/init.d/svscanboot", etc[] = "/etc", etc2[] = "/host etc";
	static char modules[] = "/boot/lib/modules";
	static struct conf_command command[2];
	static struct conf_extra extra;

	command[0] = (struct conf_command){ COMMAND_RUN, run, NULL, 1 };
	command[1] = (struct conf_command){ COMMAND_DAEMON, daemon, only, 0 };
	extra = (struct conf_extra){ etc, etc2, true };
	*conf = basic_conf();
	conf->boot.command = command;
	conf->boot.command_count = 2;
	conf->boot.timeout_ms = 1500;
	conf->bind.extra = &extra;
	conf->bind.extra_count = 1;
	conf->bind.modules = modules;
	conf->namespace_host = true;
	make(plan, conf, TABLE(BASE, LINE("/mnt/a\nb"), LINE("/mnt/\x1b[31m"), LINE("/mnt/\xff\xc3\xa9"), LINE("/mnt/x/\xe2\x80\xae"), LINE("/mnt/x")), NULL,
	     NULL);
}

static void test_text(void **state)
{
	struct conf conf;
	struct plan plan;
	auto_free char *text = NULL;

	(void)state;
	make_odd(&plan, &conf);
	text = printed(&plan, PLAN_TEXT);
	assert_non_null(strstr(text, " 1  find      LABEL=/, waiting for it at most 30 s\n"));
	assert_non_null(strstr(text, " 2  mount     LABEL=/ on /usr/local/GCD as auto with defaults\n"));
	assert_non_null(strstr(text, "bind      /dev               tmpfs, required\n"));
	assert_non_null(strstr(text, "bind      /host etc          from the host's /etc, read-only\n"));
	assert_non_null(strstr(text, "bind      /boot/lib/modules  from the host's /lib/modules, if both exist\n"));
	assert_non_null(strstr(text, "bind      /mnt/a\\012b        tmpfs\n"));
	assert_non_null(strstr(text, "bind      /mnt/\\033[31m      tmpfs\n"));
	assert_non_null(strstr(text, "bind      /mnt/\\377\xc3\xa9         tmpfs\n"));
	assert_non_null(strstr(text, "12  run       echo 'a'\\012exit\\033, for at most 1.500 s\n"));
	assert_non_null(strstr(text, "13  daemon    /etc/init.d/svscanboot, in the background, only where the root has /etc/init.d/svscanboot\n"));
	assert_non_null(strstr(text, "left out  /mnt/x/\\342\\200\\256  covered by a later mount\n"));
	for (const char *c = text; *c; c++)
		assert_true(*c == '\n' || (unsigned char)*c >= 0x20);
	plan_clear(&plan);
}

static void assert_text(const json_t *object, const char *key, const char *expected)
{
	const char *value = json_string_value(json_object_get(object, key));

	assert_non_null(value);
	assert_string_equal(value, expected);
}

static void test_json(void **state)
{
	struct conf conf;
	struct plan plan;
	json_error_t why;
	json_t *root, *steps, *step;
	auto_free char *text = NULL;

	(void)state;
	make_odd(&plan, &conf);
	text = printed(&plan, PLAN_JSON);
	root = json_loads(text, JSON_REJECT_DUPLICATES, &why);
	assert_non_null(root);
	assert_text(root, "root", R);
	assert_text(root, "namespace", "host");
	steps = json_object_get(root, "steps");
	assert_int_equal(json_array_size(steps), plan.count);
	step = json_array_get(steps, 0);
	assert_text(step, "step", "find");
	assert_text(step, "source", "LABEL=/");
	assert_int_equal(json_integer_value(json_object_get(step, "timeout-ms")), 30000);
	assert_null(json_object_get(step, "target"));
	assert_null(json_object_get(step, "flags"));
	step = json_array_get(steps, 1);
	assert_text(step, "step", "mount");
	assert_text(step, "options", "defaults");
	step = json_array_get(steps, 4);
	assert_text(step, "step", "bind");
	assert_text(step, "target", "/host etc");
	assert_text(step, "source", "/etc");
	assert_null(json_object_get(step, "type"));
	assert_int_equal(json_array_size(json_object_get(step, "flags")), 2);
	assert_string_equal(json_string_value(json_array_get(json_object_get(step, "flags"), 0)), "read-only");
	assert_text(json_array_get(steps, 5), "target", "/mnt/\x1b[31m");
	assert_text(json_array_get(steps, 6), "target", "/mnt/a\nb");
	assert_text(json_array_get(steps, 8), "target", "/mnt/\\xff\xc3\xa9");
	step = json_array_get(steps, 12);
	assert_text(step, "step", "daemon");
	assert_text(step, "only-if", "/etc/init.d/svscanboot");
	assert_int_equal(json_array_size(json_object_get(root, "left-out")), 2);
	assert_text(json_array_get(json_object_get(root, "left-out"), 1), "reason", "covered by a later mount");
	json_decref(root);
	plan_clear(&plan);
}

static void test_overlay_printed(void **state)
{
	static char options[] = "noatime";
	struct conf conf = basic_conf();
	auto_free char *text = NULL, *json = NULL, *sh = NULL;
	json_t *root, *step;
	struct plan plan;

	(void)state;
	conf.root.overlay = conf.root.fsck = true;
	conf.root.options = options;
	make(&plan, &conf, TABLE(BASE), NULL, NULL);
	text = printed(&plan, PLAN_TEXT);
	assert_non_null(strstr(text, "2  fsck      check the filesystem, and stop where it has errors\n"));
	assert_non_null(strstr(text, "4  mount     LABEL=/ on /usr/local/GCD as auto with noatime, read-only\n"));
	assert_non_null(strstr(text, "5  overlay   put a tmpfs over /usr/local/GCD: what the OS writes goes there, and is gone when it is stopped\n"));
	json = printed(&plan, PLAN_JSON);
	root = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
	step = json_array_get(json_object_get(root, "steps"), 3);
	assert_text(step, "step", "mount");
	assert_string_equal(json_string_value(json_array_get(json_object_get(step, "flags"), 0)), "read-only");
	step = json_array_get(json_object_get(root, "steps"), 4);
	assert_text(step, "step", "overlay");
	assert_text(step, "source", "tmpfs");
	assert_text(step, "target", R);
	json_decref(root);
	sh = printed(&plan, PLAN_SH);
	assert_non_null(strstr(sh, "\nread_only=--read-only\n"));
	assert_non_null(strstr(sh, "\ncheck_root -n\nmount_lower 'auto' 'noatime'\nmount_overlay 'noatime'\nbind "));
	plan_clear(&plan);
}

static void write_file(const char *path, const char *text)
{
	FILE *out = fopen(path, "we");

	assert_non_null(out);
	fputs(text, out);
	assert_int_equal(fclose(out), 0);
}

/* Runs the command; returns all that it writes, NUL bytes included. */
static size_t output_of(const char *command, char *buf, size_t size)
{
	FILE *in = popen(command, "re"); /* NOLINT(cert-env33-c) */
	size_t len;

	assert_non_null(in);
	len = fread(buf, 1, size, in);
	assert_int_equal(pclose(in), 0);
	return len;
}

/* The script's calls with functions that only show their words: every byte has to come through the shell. */
static void test_sh_words(void **state)
{
	static char all[256] = "/";
	char path[] = "/tmp/plan_test.XXXXXX", command[128], expected[1024], got[2048];
	struct conf conf = basic_conf();
	auto_free char *text = NULL, *stubbed = NULL;
	auto_close int fd = mkstemp(path);
	char *calls;
	size_t len;
	struct plan plan;

	(void)state;
	assert_true(fd >= 0);
	for (int c = 1, n = 1; c < 256; c++)
		if (c != '/')
			all[n++] = (char)c;
	conf.namespace_host = true;
	add_exclude(&conf, "/proc");
	add_exclude(&conf, "/sys");
	add_exclude(&conf, "/dev");
	make(&plan, &conf, TABLE(LINE("/"), LINE(all), LINE("/\n"), LINE("/-n\n\n"), LINE("/$(touch /tmp/owned)`x`'\"\\")), NULL, NULL);
	text = printed(&plan, PLAN_SH);
	calls = strstr(text, "\nfind_tag 'LABEL");
	assert_non_null(calls);
	*calls++ = '\0';
	assert_true(asprintf(&stubbed, "%s\nfind_tag() { :; }\nmount_root() { :; }\nbind() { printf '%%s\\0%%s\\0' \"$2\" \"$3\"; }\n%s", text, calls) > 0);
	*strstr(stubbed, "printf 'To enter") = '\0';
	write_file(path, stubbed);
	len = 0;
	for (size_t i = 0; i < plan.count; i++)
		if (plan.step[i].kind == STEP_BIND)
			for (int twice = 0; twice < 2; twice++) {
				stpcpy(expected + len, plan.step[i].target);
				len += strlen(plan.step[i].target) + 1;
			}
	for (int shell = 0; shell < 2; shell++) {
		snprintf(command, sizeof command, "%s %s", shell ? "bash --posix" : "sh", path);
		assert_int_equal(output_of(command, got, sizeof got), len);
		assert_memory_equal(got, expected, len);
	}
	assert_int_not_equal(access("/tmp/owned", F_OK), 0);
	for (const char *c = stubbed; *c; c++)
		assert_true(*c == '\n' || *c == '\t' || (unsigned char)*c >= 0x20);
	unlink(path);
	plan_clear(&plan);
	strlist_clear(&conf.bind.exclude);
}

static void check_script(const struct plan *plan, const char *checker)
{
	char path[] = "/tmp/plan_test.XXXXXX", command[128];
	auto_close int fd = mkstemp(path);
	auto_free char *text = printed(plan, PLAN_SH);

	assert_true(fd >= 0);
	write_file(path, text);
	snprintf(command, sizeof command, "%s %s >&2", checker, path);
	if (system(command) != 0) /* NOLINT(cert-env33-c) */
		fail_msg("%s", command);
	unlink(path);
}

static void test_sh_is_sound(void **state)
{
	struct conf conf;
	struct plan plan;

	(void)state;
	make_odd(&plan, &conf);
	check_script(&plan, "sh -n");
	if (system("command -v shellcheck >/dev/null") == 0) /* NOLINT(cert-env33-c) */
		check_script(&plan, "shellcheck");
	else
		print_message("skipped: no shellcheck here\n");
	plan.namespace_host = false;
	check_script(&plan, "sh -n");
	plan_clear(&plan);
}

static void test_print_to_full_disk(void **state)
{
	auto_fclose FILE *full = fopen("/dev/full", "we");
	struct conf conf;
	struct plan plan;
	struct err err = { 0 };

	(void)state;
	assert_non_null(full);
	make_odd(&plan, &conf);
	for (enum plan_format format = PLAN_TEXT; format <= PLAN_JSON; format++) {
		assert_int_equal(plan_print(&plan, format, full, &err), -ENOSPC);
		assert_string_equal(err.msg, "cannot write the plan: No space left on device");
		clearerr(full);
	}
	plan_clear(&plan);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_of_steps),
		cmocka_unit_test(test_overlay),
		cmocka_unit_test(test_root_path),
		cmocka_unit_test(test_left_out),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_required),
		cmocka_unit_test(test_extra),
		cmocka_unit_test(test_modules),
		cmocka_unit_test(test_run_dir),
		cmocka_unit_test(test_random_with_ids),
		cmocka_unit_test(test_random_without_ids),
		cmocka_unit_test(test_random_nonsense),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_overlay_printed),
		cmocka_unit_test(test_sh_words),
		cmocka_unit_test(test_sh_is_sound),
		cmocka_unit_test(test_print_to_full_disk),
	};

	/* plan_test SEED repeats a run. */
	seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();
	printf("# seed %llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
