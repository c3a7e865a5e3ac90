/* way_climb: up through ".." to the top of this mount namespace. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../gcdboot/util.h"
#include "way.h"

#define DIRECTORY_FLAGS (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* How many steps of ".." one call makes: as many as PATH_MAX allows, so that one call nearly always gets to the top. */
#define LEAP_STEPS 1365

/* A directory that every root has, kept by the kernel rather than by a disk or a server that may hang, comes first. */
static int open_usual(int root_fd)
{
	static const char *const names[] = { "proc", "dev", "sys", "run", "etc", "usr" };
	int fd = -1;

	for (size_t i = 0; fd < 0 && i < sizeof names / sizeof *names; i++)
		fd = openat(root_fd, names[i], DIRECTORY_FLAGS);
	return fd;
}

static int open_any(int root_fd)
{
	int list_fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_closedir DIR *dir = list_fd < 0 ? NULL : fdopendir(list_fd);
	const struct dirent *entry;
	int fd = -1;

	if (!dir) {
		if (list_fd >= 0)
			close(list_fd);
		return -1;
	}
	while (fd < 0 && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			fd = openat(root_fd, entry->d_name, DIRECTORY_FLAGS);
	return fd;
}

/* A removed directory is as good a root as another, so it is gone again before anything can go wrong. */
static int open_made(int root_fd)
{
	char name[64];
	int fd;

	snprintf(name, sizeof name, ".chroot_escape.%d", (int)getpid());
	if (mkdirat(root_fd, name, 0700) < 0)
		return -1;
	fd = openat(root_fd, name, DIRECTORY_FLAGS);
	unlinkat(root_fd, name, AT_REMOVEDIR);
	return fd;
}

/* The child of open_copy(): puts the root directory, on the copy of its mount in a namespace of its own, in the place of fd. */
static _Noreturn void copy_root(int fd)
{
	int copy;

	if (unshare(CLONE_NEWNS) < 0)
		_exit(errno);
	copy = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_exit(copy >= 0 && dup3(copy, fd, O_CLOEXEC) == fd && close(copy) == 0 ? 0 : errno);
}

/*
 * A root that is empty and read-only: a copy of its mount is not above it either. A mount namespace is full of copies; that of a child, which has its
 * descriptors in common with us, leaves our own alone. open_tree(2) would do the same, from Linux 5.2 on. Needs CAP_SYS_ADMIN.
 */
static int open_copy(int root_fd)
{
	int fd = fcntl(root_fd, F_DUPFD_CLOEXEC, 0), status = 0;
	/* No signal at its end: where SIGCHLD is ignored there would be nothing to wait for. */
	pid_t child = fd < 0 ? -1 : (pid_t)syscall(SYS_clone, CLONE_FILES, NULL, NULL, NULL, NULL);

	if (child == 0)
		copy_root(fd);
	if (child > 0 && waitpid(child, &status, __WALL) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return fd;
	if (child > 0)
		errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
	if (fd >= 0)
		close(fd);
	return -1;
}

static int open_aside(int root_fd)
{
	int (*const ways[])(int root_fd) = { open_usual, open_any, open_made, open_copy };
	int fd = -1;

	for (size_t i = 0; fd < 0 && i < sizeof ways / sizeof *ways; i++)
		fd = ways[i](root_fd);
	return fd;
}

/* As many ".." as lead nowhere new. Compares after a whole leap, since one step may stay in one directory (a bind of a directory into itself). */
static int climb(const struct place *here, struct place *top, struct err *err)
{
	char up[LEAP_STEPS * 3 + 1];
	int fd = -1;
	int r;

	for (size_t i = 0; i < LEAP_STEPS; i++)
		memcpy(up + i * 3, "../", 4);
	*top = *here;
	for (;;) {
		auto_close int from = fd;
		struct place next;

		fd = openat(top->root_fd, up, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return err_set(err, errno, "cannot open '..'");
		r = place_read(&next, fd, here->root_fd, err);
		if (r < 0) {
			close(fd);
			return r;
		}
		if (from >= 0 && place_same(top, &next)) {
			*top = next;
			return 0;
		}
		*top = next;
	}
}

int way_climb(const struct place *here, struct way *way, struct err *err)
{
	auto_close int aside = open_aside(here->root_fd);
	struct place top;
	int r;

	if (aside < 0)
		return err_set(err, errno, "found no directory in this root to chroot into, and could not make one");
	if (fchdir(aside) < 0 || chroot(".") < 0)
		return err_set(err, errno, "cannot chroot into a directory of this root");
	r = climb(here, &top, err);
	if (r < 0)
		return r;
	way->ns_fd = -1;
	way->root_fd = top.root_fd;
	way->ns_needed = false;
	return 0;
}
