/* build: from the configuration to a root with the host in it. Runs in the builder's process. */
#include "build.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "apply.h"
#include "attach.h"
#include "boot_commands.h"
#include "device.h"
#include "host.h"
#include "log.h"
#include "mnt.h"
#include "mountid.h"
#include "overlay.h"
#include "plan.h"
#include "readonly.h"
#include "rundir.h"
#include "teardown.h"

#define UNMOUNT_MS 2000

/* What goes on while the root's device is looked for. */
struct search {
	const struct build *build;
	struct state *state;
	struct attach attach;
	bool asked, refused; /* Windows was asked for the disk, and does not hand it over */
};

static void tick(void *arg, int waited_ms)
{
	(void)arg;
	(void)waited_ms;
	log_step_tick();
}

/* Notes down which drive it is, as soon as that is known: a stop gives it back. */
static void note_drive(struct search *search)
{
	struct state *state = search->state;
	char drive[WINDOWS_DRIVE_NAME];

	if (search->attach.number < 0)
		return;
	snprintf(drive, sizeof drive, WINDOWS_DRIVE_PREFIX "%d", search->attach.number);
	if (state->attached && strcmp(state->attached, drive) == 0)
		return;
	free(state->attached);
	state->attached = strdup(drive);
	search->build->note_attached(search->build->arg, drive);
}

/* The source is not there: Windows is asked for the disk, once, and the step that is shown is now that. */
static int help(void *arg, int *fd, int *due_ms, struct err *err)
{
	struct search *search = arg;
	int r;

	if (!search->asked) {
		log_step_done("not there yet");
		log_step("attaching %s", search->attach.spec);
		search->asked = true;
	}
	note_drive(search);
	r = attach_go_on(&search->attach, err);
	note_drive(search);
	if (r > 0) {
		log_step_done("%s", search->attach.was_attached ? "it was attached already" : "");
		log_step("waiting for %s", search->build->conf->root.source);
	}
	search->refused = r < 0;
	*fd = attach_fd(&search->attach);
	*due_ms = attach_due_ms(&search->attach);
	return r;
}

/* The disk did not come. Where Windows did not hand it over, both are told in one message. */
static int explain(struct search *search, int r, struct err *err)
{
	size_t len = strlen(err->msg);

	if (!search->asked)
		return r;
	if (search->attach.step == ATTACH_DONE && !search->refused) {
		if (r == -ENODEV)
			snprintf(err->msg + len, sizeof err->msg - len, "; Windows has handed over %s, but it did not come with that disk",
				 search->state->attached);
		return r;
	}
	search->build->note_attached(search->build->arg, NULL);
	if (search->refused)
		return err_prefix(err, r, "%s is not there", search->build->conf->root.source);
	if (search->attach.why.msg[0])
		snprintf(err->msg + len, sizeof err->msg - len, "; %s", search->attach.why.msg);
	return r;
}

static int find_root(const struct build *build, struct device_found *found, struct state *state, struct err *err)
{
	const struct conf *conf = build->conf;
	bool ask = conf->wsl.attach && host_kind() == HOST_WSL;
	struct search search = { .build = build, .state = state };
	struct device_wait wait = { .tick = tick, .help = ask ? help : NULL, .arg = &search };
	int r;

	if (ask)
		attach_begin(&search.attach, conf->wsl.attach, build->environment);
	log_step("finding %s", conf->root.source);
	r = device_find(found, conf, &wait, err);
	if (r < 0)
		log_step_failed("%s", "");
	else
		log_step_done("%s%s%s", found->path, found->type ? ", " : "", found->type ? found->type : "");
	if (ask)
		attach_end(&search.attach);
	if (r < 0)
		return explain(&search, r, err);
	/* A disk that was there before goes back as well, for that is what detach = yes asks for. */
	if (ask && conf->wsl.detach && !(state->detach = strdup(state->attached ? state->attached : conf->wsl.attach)))
		return err_set(err, ENOMEM, "cannot note down the state");
	return 0;
}

/* fsck(8) takes a device, or an image that is all filesystem; a part of an image it cannot be told. */
static int check_filesystem(const struct conf *conf, const struct device_found *found, int log_fd, struct err *err)
{
	int r;

	if (!conf->root.fsck || found->kind == DEVICE_DIRECTORY)
		return 0;
	if (found->kind == DEVICE_IMAGE && found->offset != 0) {
		log_warn("fsck = yes: a partition of an image file cannot be checked, attach the image as a loop device to have it checked");
		return 0;
	}
	log_step("checking the filesystem on %s", found->path);
	r = device_fsck(found->path, found->type, !conf->root.overlay, log_fd, err);
	if (r < 0)
		log_step_failed("%s", "");
	else
		log_step_done("%s", "");
	return r;
}

/* A directory comes without what is mounted below it: a layer of an overlay is one mount. */
static void tell_left_out(const struct device_found *found)
{
	struct table table = { 0 };
	size_t count = 0;

	if (found->kind == DEVICE_DIRECTORY && table_read(&table, NULL, NULL) == 0)
		count = overlay_left_out(&table, found->path);
	if (count)
		log_warn("overlay = tmpfs: %zu mount%s below %s %s left out", count, count == 1 ? "" : "s", found->path, count == 1 ? "is" : "are");
	table_clear(&table);
}

/* Mounts it so that the source is not written to, whatever state that is in (*dirty: it was not unmounted in order). */
static int mount_over(struct mnt_root *root, const char *staging, bool *dirty, struct err *err)
{
	struct readonly how = { .options = "ro" };
	int r = root->directory ? 0 : readonly_look(&how, root->source, root->offset, root->type, err);

	root->image = root->image || how.loop;
	*dirty = how.dirty;
	return r < 0 ? r : overlay_mount(root, how.options, staging, err);
}

/*
 * What tells the root's mount from others later. Before Linux 3.15 its descriptor may not tell the mount's id; and a btrfs tells another device to
 * stat(2) than stands in the mount tables, where we look for it. Both stand in the table: the mount on top at its path is the one just made.
 */
static void note_mount(struct state *state, const char *path, int fd, const struct stat *st)
{
	const struct table_mount *mount;
	struct table table = { 0 };

	state->root_mount = mountid_of(fd);
	state->dev_major = major(st->st_dev);
	state->dev_minor = minor(st->st_dev);
	if (state->root_mount && state->dev_major != 0)
		return;
	mount = table_read(&table, NULL, NULL) == 0 ? table_find_target(&table, path) : NULL;
	if (mount) {
		state->root_mount = mount->id;
		state->dev_major = mount->major;
		state->dev_minor = mount->minor;
	}
	table_clear(&table);
}

/* Notes down what the root is known by. Returns its descriptor or -errno. */
static int open_root(const char *path, struct state *state, struct err *err)
{
	auto_close int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, errno, "cannot open the root on %s", path);
	note_mount(state, path, fd, &st);
	return take_fd(&fd);
}

static int mount_root(const struct conf *conf, const struct device_found *found, const char *path, const char *staging, struct state *state, struct err *err)
{
	struct mnt_root root = {
		.source = found->path,
		.target = path,
		.type = strcmp(conf->root.type, "auto") != 0 ? conf->root.type : found->type,
		.options = conf->root.options,
		.directory = found->kind == DEVICE_DIRECTORY,
		.image = found->kind == DEVICE_IMAGE,
		.offset = found->offset,
		.size = found->size,
	};
	bool dirty = false;
	int r;

	log_step("mounting %s on %s%s", found->path, path, conf->root.overlay ? ", below a tmpfs" : "");
	r = conf->root.overlay ? mount_over(&root, staging, &dirty, err) : mnt_root(&root, err);
	if (r == 0)
		r = open_root(path, state, err);
	if (r < 0) {
		log_step_failed("%s", "");
		return r;
	}
	log_step_done("%s", "");
	if (dirty)
		log_warn("%s was not unmounted in order, and overlay = tmpfs does not mend it: what was written to it last may be missing", root.source);
	if (conf->root.overlay)
		tell_left_out(found);
	return r;
}

static int bind_mounts(const struct conf *conf, const struct plan *plan, int root, struct state *state, struct err *err)
{
	struct apply_result result = { 0 };
	int r;

	log_step("binding the mounts of the host");
	r = apply_binds(plan, root, conf->bind.timeout_ms, &result, err);
	if (r < 0)
		log_step_failed("%s", "");
	else if (result.skipped.count)
		log_step_done("%u, %zu skipped", result.bound, result.skipped.count);
	else
		log_step_done("%u", result.bound);
	for (size_t i = 0; r == 0 && i < result.skipped.count; i++)
		log_warn("not bound: %s", result.skipped.str[i]);
	state->bound = result.bound;
	state->skipped = result.skipped;
	return r;
}

/* Everything that touches the machine, in order. Returns the root's descriptor or -errno. */
static int carry_out(const struct conf *conf, const struct plan *plan, const struct device_found *found, const char *staging, struct state *state,
		     struct err *err)
{
	int root, r;

	if (!conf->namespace_host) {
		r = mnt_unshare(err);
		if (r < 0)
			return r;
	}
	root = mount_root(conf, found, plan->root_path, staging, state, err);
	if (root < 0)
		return root;
	r = boot_commands_list(conf, root, state, err);
	if (r == 0)
		r = bind_mounts(conf, plan, root, state, err);
	if (r == 0)
		r = host_own_ns(&state->ns) < 0 ? err_set(err, errno, "cannot look at /proc/self/ns/mnt") : 0;
	if (r == 0)
		return root;
	close(root);
	return r;
}

/* With mount = host no namespace goes away with us. */
static void undo(const struct conf *conf, const struct state *state)
{
	struct strlist left = { 0 };
	struct err err;

	if (!conf->namespace_host || state->root_mount == 0)
		return;
	if (teardown_mounts(state, -1, UNMOUNT_MS, UNMOUNT_MS, &left, &err) < 0)
		log_warn("%s", err.msg);
	for (size_t i = 0; i < left.count; i++)
		log_warn("still mounted: %s", left.str[i]);
	strlist_clear(&left);
}

int build(const struct build *build, struct state *state, struct err *err)
{
	const struct conf *conf = build->conf;
	struct device_found found = { 0 };
	struct table table = { 0 };
	struct plan plan = { 0 };
	int r = find_root(build, &found, state, err);

	if (r == 0)
		r = check_filesystem(conf, &found, build->log_fd, err);
	if (r < 0)
		return r;
	state->device = strdup(found.path);
	state->type = found.type ? strdup(found.type) : NULL;
	state->block = found.kind == DEVICE_BLOCK && !found.shared;
	state->root = strdup(build->root_path);
	state->overlay = conf->root.overlay;
	if (!state->device || !state->root)
		return err_set(err, ENOMEM, "cannot note down the state");
	state->namespace_host = conf->namespace_host;
	if (conf->bind.all)
		r = table_read(&table, NULL, err);
	if (r == 0)
		r = plan_make(&plan, conf, &table, build->root_path, RUNDIR_BASE, err);
	if (r < 0)
		return r;
	r = carry_out(conf, &plan, &found, build->staging, state, err);
	if (r < 0)
		undo(conf, state);
	return r;
}
