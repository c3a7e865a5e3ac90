/* rundir: /run/gcdboot/NAME: the lock that is held for as long as a supervisor lives, and the files beside it. */
#include "rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

#define HOLDER_MS 2000
#define HOLDER_LOOK_MS 5
#define LOCK_LOOKS 10
#define LOCK_LOOK_MS 2

int rundir_name(struct rundir *rundir, const char *name, struct err *err)
{
	if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') || strlen(name) > 64)
		return err_usage(err, "'%s' is no name of a configuration (a file name without '/', at most 64 characters)", name);
	rundir->lock = -1;
	snprintf(rundir->path, sizeof rundir->path, "%s/%s", RUNDIR_BASE, name);
	snprintf(rundir->control, sizeof rundir->control, "%s/control", rundir->path);
	snprintf(rundir->log, sizeof rundir->log, "%s/boot.log", rundir->path);
	return 0;
}

const char *rundir_os_name(const struct rundir *rundir)
{
	return strrchr(rundir->path, '/') + 1;
}

static int make_dir(const char *path, struct err *err)
{
	struct stat st;

	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return err_set(err, errno, "cannot make %s", path);
	if (lstat(path, &st) < 0)
		return err_set(err, errno, "cannot look at %s", path);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return err_set(err, -EPERM, "%s is not a directory that only root can write to: remove it", path);
	return 0;
}

static void lock_path(const struct rundir *rundir, char path[300])
{
	snprintf(path, 300, "%s/lock", rundir->path);
}

/* Whether the lock file is still the one behind fd: a stop may have removed it between open and flock. */
static bool same_file(int fd, const char *path)
{
	struct stat opened, named;

	return fstat(fd, &opened) == 0 && lstat(path, &named) == 0 && opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

/* Who only looks (rundir_is_locked()) has a shared lock for an instant; a supervisor keeps its own. */
static int lock_file(int fd)
{
	for (int look = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; look++) {
		if (errno != EWOULDBLOCK || look == LOCK_LOOKS)
			return -errno;
		poll(NULL, 0, LOCK_LOOK_MS);
	}
	return 0;
}

int rundir_lock(struct rundir *rundir, struct err *err)
{
	char path[300];
	int r;

	lock_path(rundir, path);
	/* A stop that ends at this very moment removes what we just made: begin again. */
	for (int attempt = 0; attempt < 1000; attempt++) {
		auto_close int fd = -1;

		mkdir("/run", 0755);
		r = make_dir(RUNDIR_BASE, err);
		if (r == 0)
			r = make_dir(rundir->path, err);
		if (r == -ENOENT)
			continue;
		if (r < 0)
			return r;
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0)
			return err_set(err, errno, "cannot open %s", path);
		r = lock_file(fd);
		if (r < 0)
			return r == -EWOULDBLOCK ? err_set(err, -EALREADY, "already running") : err_set(err, -r, "cannot lock %s", path);
		if (same_file(fd, path)) {
			/* Who signed it last is gone. */
			if (ftruncate(fd, 0) < 0)
				return err_set(err, errno, "cannot write %s", path);
			rundir->lock = take_fd(&fd);
			return 0;
		}
	}
	return err_set(err, EAGAIN, "cannot lock %s", path);
}

void rundir_sign(const struct rundir *rundir, pid_t pid, time_t since)
{
	char text[64];
	int len = snprintf(text, sizeof text, "%d %lld\n", pid, (long long)since);

	if (pwrite(rundir->lock, text, (size_t)len, 0) != len)
		return; /* rundir_holder() then says that it does not know */
}

int rundir_holder(const struct rundir *rundir, pid_t *pid, time_t *since)
{
	char path[300];

	lock_path(rundir, path);
	for (int waited = 0; waited < HOLDER_MS; waited += HOLDER_LOOK_MS) {
		auto_fclose FILE *in = fopen(path, "re");
		long long when;

		if (in && fscanf(in, "%d %lld", pid, &when) == 2) {
			*since = (time_t)when;
			return 0;
		}
		if (!rundir_is_locked(rundir))
			return -ESRCH;
		poll(NULL, 0, HOLDER_LOOK_MS);
	}
	return -ETIMEDOUT;
}

bool rundir_is_locked(const struct rundir *rundir)
{
	char path[300];
	auto_close int fd = -1;

	lock_path(rundir, path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return false;
	if (flock(fd, LOCK_SH | LOCK_NB) < 0)
		return errno == EWOULDBLOCK;
	return false;
}

void rundir_unlock(struct rundir *rundir)
{
	if (rundir->lock < 0)
		return;
	/* The lock belongs to what fork(2) shares: close(2) alone leaves it to a child that still has the descriptor. */
	flock(rundir->lock, LOCK_UN);
	close(take_fd(&rundir->lock));
}

void rundir_remove(struct rundir *rundir, bool with_log)
{
	static const char *const files[] = { "state", "state.new", "control" };
	char path[300];

	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		snprintf(path, sizeof path, "%s/%s", rundir->path, files[i]);
		unlink(path);
	}
	if (with_log)
		unlink(rundir->log);
	lock_path(rundir, path);
	unlink(path);
	rmdir(rundir->path);
	rmdir(RUNDIR_BASE);
	rundir_unlock(rundir);
}
