/* overlay: a root whose source is only read: what is written goes to a tmpfs. */
#include "overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "path.h"
#include "util.h"

static int make_directories(const char *staging, struct err *err)
{
	static const char *const names[] = { MNT_LOWER, MNT_UPPER, MNT_WORK };
	auto_close int dir = open(staging, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return err_set(err, errno, "cannot open %s", staging);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (mkdirat(dir, names[i], 0755) < 0)
			return err_set(err, errno, "cannot make %s/%s", staging, names[i]);
	return 0;
}

/* The root directory of the overlay is the upper layer's: it gets owner and mode of the source's. */
static int copy_owner(const char *staging, struct err *err)
{
	auto_close int dir = open(staging, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (dir < 0 || fstatat(dir, MNT_LOWER, &st, 0) < 0 || fchownat(dir, MNT_UPPER, st.st_uid, st.st_gid, 0) < 0 ||
	    fchmodat(dir, MNT_UPPER, st.st_mode & 07777, 0) < 0)
		return err_set(err, errno, "cannot give the root directory its owner and mode");
	return 0;
}

static int mount_lower(const struct mnt_root *root, const char *quiet, const char *target, struct err *err)
{
	auto_free char *options = NULL;
	struct mnt_root lower = *root;

	/* Ours come last: of "rw" and "ro" the last one counts. */
	if (asprintf(&options, "%s,%s", root->options, quiet) < 0) {
		options = NULL;
		return err_set(err, ENOMEM, "cannot mount %s", root->source);
	}
	lower.target = target;
	lower.shown = root->target;
	lower.options = options;
	lower.alone = true;
	return mnt_root(&lower, err);
}

/* By relative names: a path could hold what separates options, and nobody could follow it later. */
static int mount_overlay(const struct mnt_root *root, const char *staging, struct err *err)
{
	int r = chdir(staging) < 0 ? err_set(err, errno, "cannot change to %s", staging) : mnt_overlay(root->source, root->target, root->options, err);

	if (chdir("/") < 0 && r == 0)
		r = err_set(err, errno, "cannot change to /");
	return r;
}

/* Somebody who looks around on the host could be in there at this very moment (mount = host): the overlay keeps it in any case. */
static void let_go(const char *path)
{
	int r = mnt_umount(path);

	if (r == -EBUSY)
		r = mnt_detach(path);
	if (r < 0)
		log_warn("cannot unmount %s: %s", path, strerror(-r));
}

int overlay_mount(const struct mnt_root *root, const char *quiet, const char *staging, struct err *err)
{
	auto_free char *lower = path_join(staging, "/" MNT_LOWER);
	bool has_lower = false;
	int r;

	if (!lower)
		return err_set(err, ENOMEM, "cannot mount %s", root->source);
	r = mnt_has_overlay(err);
	if (r < 0)
		return r;
	if (mkdir(staging, 0700) < 0 && errno != EEXIST)
		return err_set(err, errno, "cannot make %s", staging);
	r = mnt_tmpfs(staging, err);
	if (r == 0) {
		r = make_directories(staging, err);
		if (r == 0)
			r = mount_lower(root, quiet, lower, err);
		has_lower = r == 0;
		if (r == 0)
			r = copy_owner(staging, err);
		if (r == 0)
			r = mount_overlay(root, staging, err);
		if (has_lower)
			let_go(lower);
		let_go(staging);
	}
	if (rmdir(staging) < 0)
		log_warn("cannot remove %s: %s", staging, strerror(errno));
	return r;
}

size_t overlay_left_out(const struct table *table, const char *directory)
{
	size_t count = 0;

	for (size_t i = 0; i < table->count; i++)
		count += strcmp(table->mount[i].target, directory) != 0 && path_is_below(table->mount[i].target, directory);
	return count;
}
