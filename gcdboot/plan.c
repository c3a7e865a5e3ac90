/* plan: what a boot will do, in order, as data. */
#include "plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "path.h"
#include "text.h"
#include "util.h"
#include "windows_drive.h"

#define MODULES "/lib/modules"

/* Without these the OS is of no use: no device, no process, no /sys. */
static const char *const required[] = { "/proc", "/sys", "/dev" };

#define REQUIRED_COUNT (sizeof required / sizeof *required)

struct builder {
	struct plan *plan;
	const struct conf *conf;
	const struct table *host;
	struct strlist *arena;
	const char **excluded_by; /* by conf->bind.exclude: the reason to show */
	size_t first_bind;        /* where the binds begin in plan->step */
	size_t extra_count;       /* the binds of `extra` come first until all are sorted */
	size_t step_room, left_out_room;
	struct err *err;
};

static int no_memory(struct builder *b)
{
	return err_set(b->err, ENOMEM, "cannot make the plan");
}

/* Gives the string to the plan; NULL stays NULL. */
static const char *keep(struct builder *b, char *s)
{
	const char *kept = NULL;

	if (s && strlist_add(b->arena, s) == 0)
		kept = b->arena->str[b->arena->count - 1];
	free(s);
	return kept;
}

/* Makes room for one more; returns the array, moved or not, or NULL with the old one as it was. */
static void *grow(void *array, size_t count, size_t *room, size_t size)
{
	void *grown;

	if (count < *room)
		return array;
	grown = reallocarray(array, *room ? *room * 2 : 64, size);
	if (grown)
		*room = *room ? *room * 2 : 64;
	return grown;
}

static int add_step(struct builder *b, struct step step)
{
	struct step *grown = grow(b->plan->step, b->plan->count, &b->step_room, sizeof step);

	if (!grown)
		return no_memory(b);
	b->plan->step = grown;
	b->plan->step[b->plan->count++] = step;
	return 0;
}

static int leave_out(struct builder *b, const char *target, const char *reason)
{
	struct plan_left_out *grown = grow(b->plan->left_out, b->plan->left_out_count, &b->left_out_room, sizeof *grown);

	if (!grown)
		return no_memory(b);
	b->plan->left_out = grown;
	b->plan->left_out[b->plan->left_out_count++] = (struct plan_left_out){ target, reason };
	return 0;
}

static unsigned create_flag(const struct builder *b)
{
	return b->conf->bind.create ? STEP_CREATE : 0;
}

static unsigned required_flag(const char *target)
{
	for (size_t i = 0; i < REQUIRED_COUNT; i++)
		if (strcmp(target, required[i]) == 0)
			return STEP_REQUIRED;
	return 0;
}

/* Which pattern of `exclude` matches; -1: none. */
static ssize_t excluded(const struct builder *b, const char *path)
{
	for (size_t i = 0; i < b->conf->bind.exclude.count; i++)
		if (path_matches(path, b->conf->bind.exclude.str[i]))
			return (ssize_t)i;
	return -1;
}

static int set_root_path(struct builder *b, const char *root_path)
{
	const struct conf *conf = b->conf;

	if (!root_path)
		root_path = conf->root.path;
	if (!root_path && conf->root.kind == SOURCE_PATH)
		root_path = conf->root.value;
	if (!root_path)
		return err_usage(b->err, "[root] path: no mount point given for %s", conf->root.source);
	b->plan->root_path = keep(b, path_clean(root_path));
	if (!b->plan->root_path)
		return err_usage(b->err, "%s: path must be absolute and must not contain '..'", root_path);
	if (strcmp(b->plan->root_path, "/") == 0)
		return err_usage(b->err, "%s is the running system: give the root a mount point of its own, such as /usr/local/GCD", root_path);
	return 0;
}

/* Only where the table shows a drive of Windows: without one there is no program of Windows to ask. */
static int add_attach(struct builder *b)
{
	struct windows_drive drives[WINDOWS_DRIVES_MAX];

	if (!b->conf->wsl.attach || windows_drives(b->host, drives) == 0)
		return 0;
	return add_step(b, (struct step){ .kind = STEP_ATTACH, .source = b->conf->wsl.attach, .target = drives[0].target, .options = b->conf->root.source });
}

static int add_root_steps(struct builder *b)
{
	const struct conf *conf = b->conf;
	struct step find = { .kind = STEP_FIND, .source = conf->root.source, .timeout_ms = conf->root.wait_ms };
	unsigned flags = conf->root.overlay ? STEP_READONLY : 0;
	char *partition;
	int ret;

	if (conf->root.partition) {
		if (asprintf(&partition, "partition=%d", conf->root.partition) < 0)
			return no_memory(b);
		find.options = keep(b, partition);
		if (!find.options)
			return no_memory(b);
	}
	ret = add_attach(b);
	if (ret == 0)
		ret = add_step(b, find);
	if (ret == 0 && conf->root.fsck)
		ret = add_step(b, (struct step){ .kind = STEP_FSCK, .flags = flags, .source = conf->root.source });
	if (ret == 0 && !conf->namespace_host)
		ret = add_step(b, (struct step){ .kind = STEP_UNSHARE });
	if (ret == 0)
		ret = add_step(b, (struct step){ .kind = STEP_MOUNT,
						 .flags = flags,
						 .source = conf->root.source,
						 .target = b->plan->root_path,
						 .type = conf->root.type,
						 .options = conf->root.options });
	if (ret == 0 && conf->root.overlay)
		ret = add_step(b, (struct step){ .kind = STEP_OVERLAY, .source = "tmpfs", .target = b->plan->root_path, .options = conf->root.options });
	return ret;
}

static int compare_steps(const void *a, const void *b)
{
	return path_compare(((const struct step *)a)->target, ((const struct step *)b)->target);
}

static void sort_binds(struct builder *b)
{
	qsort(b->plan->step + b->first_bind, b->plan->count - b->first_bind, sizeof *b->plan->step, compare_steps);
}

static int add_extra(struct builder *b, const struct conf_extra *extra)
{
	struct step step = { .kind = STEP_BIND, .flags = create_flag(b) };

	step.source = keep(b, path_clean(extra->source));
	step.target = keep(b, path_clean(extra->target));
	if (!step.source || !step.target)
		return err_usage(b->err, "[bind] extra: %s:%s: path must be absolute and must not contain '..'", extra->source, extra->target);
	if (path_is_below(step.source, b->plan->root_path))
		return err_usage(b->err, "[bind] extra: %s lies in the root itself, %s: it is there without a bind", step.source, b->plan->root_path);
	if (strcmp(step.target, "/") == 0)
		return err_usage(b->err, "[bind] extra: %s cannot go onto '/', which is the root itself", step.source);
	step.flags |= required_flag(step.target) | (extra->readonly ? STEP_READONLY : 0);
	return add_step(b, step);
}

static int add_extras(struct builder *b)
{
	struct step *bind;
	int ret;

	for (size_t i = 0; i < b->conf->bind.extra_count; i++) {
		ret = add_extra(b, &b->conf->bind.extra[i]);
		if (ret < 0)
			return ret;
	}
	sort_binds(b);
	b->extra_count = b->plan->count - b->first_bind;
	bind = b->plan->step + b->first_bind;
	for (size_t i = 1; i < b->extra_count; i++)
		if (strcmp(bind[i - 1].target, bind[i].target) == 0)
			return err_usage(b->err, "[bind] extra: both %s and %s go onto %s", bind[i - 1].source, bind[i].source, bind[i].target);
	return 0;
}

static bool is_extra(const struct builder *b, const char *target)
{
	struct step key = { .target = target };

	return bsearch(&key, b->plan->step + b->first_bind, b->extra_count, sizeof key, compare_steps) != NULL;
}

static bool is_clean(const char *path)
{
	auto_free char *clean = path_clean(path);

	return clean && strcmp(clean, path) == 0;
}

/* Why this mount of the host is not bound; NULL where it is. */
static const char *reason_against(const struct builder *b, const struct table_mount *m, bool visible)
{
	ssize_t pattern;

	if (strcmp(m->target, "/") == 0)
		return "the root of the host";
	if (strcmp(m->target, b->plan->root_path) == 0)
		return "is the root";
	if (path_is_below(m->target, b->plan->root_path))
		return "is below the root";
	pattern = excluded(b, m->target);
	if (pattern >= 0)
		return b->excluded_by[pattern];
	if (m->deleted)
		return "its mount point was deleted";
	if (!visible)
		return "covered by a later mount";
	if (is_extra(b, m->target))
		return "replaced by an 'extra' in [bind]";
	return is_clean(m->target) ? NULL : "its mount point is not a clean absolute path";
}

static unsigned mount_flags(const struct table_mount *m)
{
	unsigned flags = required_flag(m->target);

	/* The root of a filesystem is a directory, but not that of a FUSE one, which may be mounted on a file. */
	if (m->root && strcmp(m->root, "/") == 0 && strncmp(m->type, "fuse", 4) != 0)
		flags |= STEP_DIR;
	if (m->root && text_ends_with(m->root, "//deleted"))
		flags |= STEP_DELETED;
	if (strcmp(m->type, "autofs") == 0)
		flags |= STEP_AUTOFS;
	return flags;
}

static int add_mount(struct builder *b, const struct table_mount *m, bool visible)
{
	const char *reason = reason_against(b, m, visible);

	if (reason)
		return leave_out(b, m->target, reason);
	return add_step(b, (struct step){ .kind = STEP_BIND,
					  .flags = create_flag(b) | mount_flags(m),
					  .source = m->target,
					  .target = m->target,
					  .type = m->type,
					  .options = m->options });
}

static int name_excludes(struct builder *b)
{
	const struct strlist *exclude = &b->conf->bind.exclude;

	b->excluded_by = calloc(exclude->count + 1, sizeof *b->excluded_by);
	if (!b->excluded_by)
		return no_memory(b);
	for (size_t i = 0; i < exclude->count; i++) {
		if (strlist_addf(b->arena, "excluded by %s", exclude->str[i]) < 0)
			return no_memory(b);
		b->excluded_by[i] = b->arena->str[b->arena->count - 1];
	}
	return 0;
}

static int add_host_mounts(struct builder *b)
{
	auto_free bool *visible = calloc(b->host->count + 1, sizeof *visible);
	int ret = 0;

	if (!visible || table_visible(b->host, visible) < 0)
		return no_memory(b);
	for (size_t i = 0; ret == 0 && i < b->host->count; i++)
		ret = add_mount(b, &b->host->mount[i], visible[i]);
	return ret;
}

/* The planned bind that decides what is seen at the path inside the root: the one on it or nearest above it; NULL: none, it is the root's own. */
static const struct step *bind_over(const struct builder *b, const char *path)
{
	const struct step *nearest = NULL;

	for (size_t i = b->first_bind; i < b->plan->count; i++) {
		const struct step *step = &b->plan->step[i];

		if (path_is_below(path, step->target) && (!nearest || strlen(step->target) > strlen(nearest->target)))
			nearest = step;
	}
	return nearest;
}

static int add_modules(struct builder *b)
{
	const struct step *over;
	const char *target;

	if (!b->conf->bind.modules || path_is_below(MODULES, b->plan->root_path))
		return 0;
	target = keep(b, path_clean(b->conf->bind.modules));
	if (!target || strcmp(target, "/") == 0)
		return err_usage(b->err, "[bind] modules: %s: path must be absolute, below '/', and must not contain '..'", b->conf->bind.modules);
	over = bind_over(b, target);
	if (over && strcmp(over->target, target) == 0)
		return 0;
	return add_step(b, (struct step){ .kind = STEP_BIND, .flags = STEP_OPTIONAL | required_flag(target), .source = MODULES, .target = target });
}

/* The control socket has to be seen inside, at the same path. */
static int add_run_dir(struct builder *b, const char *run_dir)
{
	const struct step *over;
	const char *path;

	if (!run_dir)
		return 0;
	path = keep(b, path_clean(run_dir));
	if (!path)
		return err_set(b->err, -EINVAL, "%s is not a clean absolute path", run_dir);
	over = bind_over(b, path);
	if (path_is_below(path, b->plan->root_path) || excluded(b, path) >= 0)
		return 0;
	if (over && (strcmp(over->source, over->target) == 0 || strcmp(over->target, path) == 0))
		return 0;
	return add_step(b, (struct step){ .kind = STEP_BIND, .flags = STEP_CREATE | STEP_DIR, .source = path, .target = path });
}

/* "'extra = /proc'", "'extra = /proc' and 'extra = /dev'": one clause of the message below for each that misses. */
static int refuse_missing(struct builder *b, const char *const *missing, size_t count)
{
	char names[64] = "", extras[128] = "", excludes[128] = "";

	for (size_t i = 0; i < count; i++) {
		const char *glue = i == 0 ? "" : i + 1 < count ? ", " : " and ";

		sprintf(names + strlen(names), "%s%s", glue, missing[i]);
		sprintf(extras + strlen(extras), "%s'extra = %s'", glue, missing[i]);
		sprintf(excludes + strlen(excludes), "%s'exclude = %s'", glue, missing[i]);
	}
	return err_set(b->err, -EINVAL,
		       "the host has no mount on %s: nothing to bind there (add %s to [bind] where it is a plain directory of the host, or %s)", names, extras,
		       excludes);
}

static int check_required(struct builder *b)
{
	const char *missing[REQUIRED_COUNT];
	size_t count = 0;

	for (size_t i = 0; i < REQUIRED_COUNT; i++) {
		const struct step *over = bind_over(b, required[i]);

		if ((!over || strcmp(over->target, required[i]) != 0) && excluded(b, required[i]) < 0)
			missing[count++] = required[i];
	}
	return count ? refuse_missing(b, missing, count) : 0;
}

static int add_binds(struct builder *b, const char *run_dir)
{
	int ret;

	b->first_bind = b->plan->count;
	ret = add_extras(b);
	if (ret == 0 && b->conf->bind.all) {
		ret = name_excludes(b);
		if (ret == 0)
			ret = add_host_mounts(b);
		if (ret == 0)
			ret = add_modules(b);
		if (ret == 0)
			ret = add_run_dir(b, run_dir);
		if (ret == 0)
			ret = check_required(b);
	}
	sort_binds(b);
	return ret;
}

static int add_command(struct builder *b, const struct conf_command *command)
{
	struct step step = { .source = command->line, .only_if = command->only_if_file, .timeout_ms = b->conf->boot.timeout_ms };

	switch (command->kind) {
	case COMMAND_RUN:
		step.kind = STEP_RUN;
		break;
	case COMMAND_REQUIRE:
		step.kind = STEP_REQUIRE;
		break;
	case COMMAND_DAEMON:
		step.kind = STEP_DAEMON;
		step.timeout_ms = 0;
		break;
	}
	return add_step(b, step);
}

/* The commands, and whether somebody has to be content with what they start. */
static int add_commands(struct builder *b)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < b->conf->boot.command_count; i++)
		ret = add_command(b, &b->conf->boot.command[i]);
	if (ret == 0 && b->conf->boot.confirm_ms)
		ret = add_step(b, (struct step){ .kind = STEP_CONFIRM, .timeout_ms = b->conf->boot.confirm_ms });
	return ret;
}

int plan_make(struct plan *plan, const struct conf *conf, const struct table *host, const char *root_path, const char *run_dir, struct err *err)
{
	struct builder b = { .plan = plan, .conf = conf, .host = host, .err = err };
	int ret;

	*plan = (struct plan){ .namespace_host = conf->namespace_host };
	plan->arena = b.arena = calloc(1, sizeof *b.arena);
	if (!b.arena)
		return no_memory(&b);
	ret = set_root_path(&b, root_path);
	if (ret == 0)
		ret = add_root_steps(&b);
	if (ret == 0)
		ret = add_binds(&b, run_dir);
	if (ret == 0)
		ret = add_commands(&b);
	free(b.excluded_by);
	if (ret < 0)
		plan_clear(plan);
	return ret;
}

void plan_clear(struct plan *plan)
{
	free(plan->step);
	free(plan->left_out);
	if (plan->arena)
		strlist_clear(plan->arena);
	free(plan->arena);
	*plan = (struct plan){ 0 };
}

size_t plan_count_binds(const struct plan *plan)
{
	size_t count = 0;

	for (size_t i = 0; i < plan->count; i++)
		count += plan->step[i].kind == STEP_BIND;
	return count;
}
