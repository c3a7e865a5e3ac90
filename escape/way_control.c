/* way_control: the supervisor gives the host's mount namespace and root, over its socket. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../gcdboot/control.h"
#include "../gcdboot/util.h"
#include "way.h"

#define RUN_DIR "/run/gcdboot"
#define WAIT_MS 5000

/* Only root may have put a socket here: who answers decides where root goes. */
static int check_owner(int dir_fd, const char *name, const char *path, struct err *err)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(err, errno, "%s", path);
	if (!S_ISDIR(st.st_mode))
		return err_set(err, -ENOTDIR, "%s is not a directory", path);
	if (st.st_uid != 0)
		return err_set(err, -EPERM, "%s is not owned by root", path);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return err_set(err, -EPERM, "%s is writable by group or other", path);
	return 0;
}

static int ask(DIR *dir, const char *name, struct way *way, int wait_ms, struct err *err)
{
	char path[sizeof RUN_DIR + NAME_MAX + sizeof "//control"];
	int fds[CONTROL_FDS];
	int r;

	snprintf(path, sizeof path, RUN_DIR "/%s", name);
	r = check_owner(dirfd(dir), name, path, err);
	if (r < 0)
		return r;
	snprintf(path, sizeof path, RUN_DIR "/%s/control", name);
	r = control_get_fds_within(path, CONTROL_GET_HOST, fds, wait_ms, err);
	if (r < 0)
		return r;
	way->ns_fd = fds[0];
	way->root_fd = fds[1];
	way->ns_needed = true;
	return 0;
}

/* Adds one socket's reason to those of the others. */
static void add_reason(struct err *all, const struct err *one)
{
	size_t len = strlen(all->msg);

	snprintf(all->msg + len, sizeof all->msg - len, "%s%s", len ? "; " : "", one->msg);
}

int way_control(const struct place *here, struct way *way, struct err *err)
{
	int64_t deadline = util_now_ms() + WAIT_MS;
	auto_closedir DIR *dir = NULL;
	const struct dirent *entry;
	struct err reasons = { 0 };
	int r;

	(void)here;
	r = check_owner(AT_FDCWD, RUN_DIR, RUN_DIR, err);
	if (r < 0)
		return r;
	dir = opendir(RUN_DIR);
	if (!dir)
		return err_set(err, errno, "cannot open %s", RUN_DIR);
	while ((entry = readdir(dir))) {
		struct err reason = { 0 };

		if (entry->d_name[0] == '.')
			continue;
		if (ask(dir, entry->d_name, way, (int)(deadline - util_now_ms()), &reason) == 0)
			return 0;
		add_reason(&reasons, &reason);
	}
	return err_set(err, -ENOENT, "%s", reasons.msg[0] ? reasons.msg : "nothing in " RUN_DIR);
}
