/* inroot: opens and makes paths below a root descriptor, whatever symbolic links that root holds. */
#include "inroot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "mountid.h"
#include "util.h"

#define LINKS_MAX 40 /* as the kernel's own limit, path_resolution(7) */
#define RACES_MAX 64
#define PROC_MAGIC 0x9fa0

/*
 * The walk for kernels without openat2(2), and for making what is missing. `dir` is a stack of the directories on the way, dir[0] the root
 * itself: ".." pops it, so that no rename behind our back can lead it above the root.
 */
struct walk {
	int *dir;
	size_t depth;
	char rest[PATH_MAX]; /* what is still to be walked */
	int links;
	bool make;
};

static void walk_end(struct walk *walk)
{
	for (size_t i = 1; i < walk->depth; i++)
		close(walk->dir[i]);
	free(walk->dir);
}

static void walk_to_root(struct walk *walk)
{
	while (walk->depth > 1)
		close(walk->dir[--walk->depth]);
}

static int walk_push(struct walk *walk, int fd)
{
	int *grown = reallocarray(walk->dir, walk->depth + 1, sizeof *grown);

	if (!grown) {
		close(fd);
		return -ENOMEM;
	}
	walk->dir = grown;
	walk->dir[walk->depth++] = fd;
	return 0;
}

/* Takes the first component off walk->rest; false where nothing is left. `last` tells whether it was the final one. */
static bool walk_component(struct walk *walk, char name[NAME_MAX + 1], bool *last, int *error)
{
	char *start = walk->rest + strspn(walk->rest, "/");
	size_t len = strcspn(start, "/");
	char *next = start + len;

	*error = len > NAME_MAX ? -ENAMETOOLONG : 0;
	if (len == 0 || *error)
		return false;
	memcpy(name, start, len);
	name[len] = '\0';
	*last = next[strspn(next, "/")] == '\0';
	memmove(walk->rest, next, strlen(next) + 1);
	return true;
}

/* By path on kernels before 3.12, whose fstatfs(2) takes no O_PATH: /proc/self/fd leads to the link itself, and no further. */
static bool is_in_proc(int link_fd)
{
	char path[64];
	struct statfs fs;

	if (fstatfs(link_fd, &fs) == 0)
		return fs.f_type == PROC_MAGIC;
	snprintf(path, sizeof path, "/proc/self/fd/%d", link_fd);
	return statfs(path, &fs) == 0 && fs.f_type == PROC_MAGIC;
}

/* Puts the target of the link in front of what is still to be walked. */
static int walk_follow(struct walk *walk, int link_fd)
{
	char target[PATH_MAX];
	ssize_t len;
	size_t rest = strlen(walk->rest);

	if (++walk->links > LINKS_MAX)
		return -ELOOP;
	len = readlinkat(link_fd, "", target, sizeof target);
	if (len < 0)
		return -errno;
	if (len == 0 || (size_t)len + 1 + rest + 1 > sizeof walk->rest)
		return -ENAMETOOLONG;
	/* A magic link of /proc is no path; its text only looks like one ("/", "pipe:[4]"). /proc/self and the like hold relative text. */
	if (target[0] == '/' && is_in_proc(link_fd))
		return -ELOOP;
	if (target[0] == '/')
		walk_to_root(walk);
	memmove(walk->rest + len + 1, walk->rest, rest + 1);
	memcpy(walk->rest, target, (size_t)len);
	walk->rest[len] = '/';
	return 0;
}

/* What is mounted in the root is the host's: there nothing is made, or it would stay when the OS is gone. */
static bool may_make_in(const struct walk *walk)
{
	int dir = walk->dir[walk->depth - 1], here = mountid_of(dir), root = mountid_of(walk->dir[0]);
	struct stat here_st, root_st;

	/* Only one known: another kind of filesystem. */
	if (here || root)
		return here == root;
	return fstat(dir, &here_st) == 0 && fstat(walk->dir[0], &root_st) == 0 && here_st.st_dev == root_st.st_dev;
}

static int walk_make_dir(const struct walk *walk, const char *name)
{
	int dir = walk->dir[walk->depth - 1];

	if (!may_make_in(walk))
		return -EXDEV;
	if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

/* One step into `name`, which is a directory or a link. */
static int walk_enter(struct walk *walk, const char *name)
{
	int dir = walk->dir[walk->depth - 1];
	int flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
	auto_close int fd = -1;
	struct stat st;
	int r;

	if (strcmp(name, "..") == 0) {
		if (walk->depth > 1)
			close(walk->dir[--walk->depth]);
		return 0;
	}
	/* Nearly every component is a directory; asking for one spares the fstat, which a server that hangs would not answer. */
	fd = openat(dir, name, flags | O_DIRECTORY);
	if (fd < 0 && errno == ENOENT && walk->make) {
		r = walk_make_dir(walk, name);
		if (r < 0)
			return r;
		fd = openat(dir, name, flags | O_DIRECTORY);
	}
	if (fd >= 0)
		return walk_push(walk, take_fd(&fd));
	if (errno != ENOTDIR && errno != ELOOP)
		return -errno;
	fd = openat(dir, name, flags);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	return S_ISLNK(st.st_mode) ? walk_follow(walk, fd) : -ENOTDIR;
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/*
 * Opens the last component. Returns a descriptor, -errno, or -EAGAIN where it was a link whose target is now the rest of the walk.
 */
static int walk_last(struct walk *walk, const char *name, int flags, enum inroot_kind kind)
{
	int dir = walk->dir[walk->depth - 1];
	struct stat st;
	auto_close int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int r;

	if (fd < 0 && errno == ENOENT && walk->make && kind == INROOT_DIR) {
		r = walk_make_dir(walk, name);
		if (r < 0)
			return r;
		fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	} else if (fd < 0 && errno == ENOENT && walk->make) {
		if (!may_make_in(walk))
			return -EXDEV;
		fd = openat(dir, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
		if (fd >= 0)
			close(take_fd(&fd));
		else if (errno != EEXIST)
			return -errno;
		fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0)
		return -errno;
	if ((flags & O_NOFOLLOW) && (flags & O_PATH))
		return take_fd(&fd);
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode)) {
		r = flags & O_NOFOLLOW ? -ELOOP : walk_follow(walk, fd);
		return r < 0 ? r : -EAGAIN;
	}
	/* O_NOFOLLOW again: between the two opens the name may have become a link. */
	r = openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC);
	return r < 0 ? -errno : r;
}

static int walk_open(int root_fd, const char *path, int flags, bool make, enum inroot_kind kind)
{
	struct walk walk = { .make = make };
	char name[NAME_MAX + 1];
	bool last = false;
	int error = 0, r;

	if (strlen(path) >= sizeof walk.rest)
		return -ENAMETOOLONG;
	strcpy(walk.rest, path);
	walk.dir = malloc(sizeof *walk.dir);
	if (!walk.dir)
		return -ENOMEM;
	walk.dir[walk.depth++] = root_fd;
	while (walk_component(&walk, name, &last, &error)) {
		if (strcmp(name, ".") == 0)
			continue;
		if (last && !is_dots(name)) {
			r = walk_last(&walk, name, flags, kind);
			if (r != -EAGAIN) {
				walk_end(&walk);
				return r;
			}
			continue;
		}
		r = walk_enter(&walk, name);
		if (r < 0) {
			walk_end(&walk);
			return r;
		}
	}
	if (error == 0) {
		error = openat(walk.dir[walk.depth - 1], ".", flags | O_CLOEXEC);
		if (error < 0)
			error = -errno;
	}
	walk_end(&walk);
	return error;
}

static int openat2_in_root(int root_fd, const char *path, int flags)
{
	struct open_how how = {
		.flags = (unsigned)flags | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int fd = -1;

	/* EAGAIN: a rename elsewhere on the machine made a ".." unsafe to follow; openat2(2) says to try again. */
	for (int race = 0; race < RACES_MAX; race++) {
		fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof how);
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	return fd < 0 ? -errno : fd;
}

int inroot_open(int root_fd, const char *path, int flags, struct err *err)
{
	int fd = openat2_in_root(root_fd, path, flags);

	/* EPERM too: container runtimes answer an unknown call so. */
	if (fd == -ENOSYS || fd == -EPERM)
		fd = walk_open(root_fd, path, flags, false, INROOT_FILE);
	return fd < 0 ? err_set(err, -fd, "cannot open %s in the root", path) : fd;
}

bool inroot_exists(int root_fd, const char *path)
{
	auto_close int fd = inroot_open(root_fd, path, O_PATH, NULL);

	return fd >= 0;
}

int inroot_make(int root_fd, const char *path, enum inroot_kind kind, struct err *err)
{
	int flags = O_PATH | O_CLOEXEC | (kind == INROOT_DIR ? O_DIRECTORY : O_NOFOLLOW);
	int fd = walk_open(root_fd, path, flags, true, kind);

	if (fd == -EXDEV)
		return err_set(err, -EXDEV, "its mount point %s would have to be made in a mount of the host", path);
	if (fd < 0)
		return err_set(err, -fd, "cannot make the %s %s in the root", kind == INROOT_DIR ? "directory" : "file", path);
	return fd;
}
