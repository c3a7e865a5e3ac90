/* mnt: the only module that makes the system calls which change mounts. */
#include "mnt.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libmount.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util.h"

/* "/proc/self/fd/N": how calls that take only paths are given a descriptor. */
#define FD_PATH_MAX 32

static void fd_path(char path[FD_PATH_MAX], int fd)
{
	snprintf(path, FD_PATH_MAX, "/proc/self/fd/%d", fd);
}

/*
 * On a host that is itself chrooted "/" is no mount point, and cannot be told how to propagate: the namespace's own root can. There lead the ".." of a
 * directory that lies outside of the root of the process.
 */
static int slave_from_top(void)
{
	auto_close int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat here, up;
	int r = -1;

	if (root < 0 || chroot("/proc") < 0 || fchdir(root) < 0)
		return -errno;
	for (;;) {
		if (stat(".", &here) < 0 || stat("..", &up) < 0)
			break;
		if (here.st_dev == up.st_dev && here.st_ino == up.st_ino) {
			r = mount(NULL, ".", NULL, MS_REC | MS_SLAVE, NULL);
			break;
		}
		if (chdir("..") < 0)
			break;
	}
	r = r < 0 ? -errno : 0;
	return fchdir(root) < 0 || chroot(".") < 0 ? -errno : r;
}

/* The kernel's text for it speaks of a disk that is full, or of memory. */
static const char *limit_hint(int error)
{
	return error == ENOSPC || error == ENOMEM ? " (the limit on mounts may be reached: fs.mount-max, or the container's own)" : "";
}

int mnt_unshare(struct err *err)
{
	if (unshare(CLONE_NEWNS) < 0)
		return err_set(err, errno, "cannot make a mount namespace%s", errno == EPERM ? " (needs CAP_SYS_ADMIN)" : limit_hint(errno));
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 && (errno != EINVAL || (errno = -slave_from_top()) != 0))
		return err_set(err, errno, "cannot make the mounts of the new namespace slaves");
	return 0;
}

static int root_options(const struct mnt_root *root, char **options)
{
	int r;

	if (root->directory)
		r = asprintf(options, "%s,%s", root->alone ? "bind" : "rbind", root->options);
	else if (root->image && root->size)
		r = asprintf(options, "loop,offset=%" PRIu64 ",sizelimit=%" PRIu64 ",%s", root->offset, root->size, root->options);
	else if (root->image)
		r = asprintf(options, "loop,%s", root->options);
	else
		r = asprintf(options, "%s", root->options);
	return r < 0 ? -ENOMEM : 0;
}

static int root_mount(struct libmnt_context *context, const struct mnt_root *root, struct err *err)
{
	const char *target = root->shown ? root->shown : root->target;
	auto_free char *options = NULL;
	char why[512] = "";
	int r;

	if (root_options(root, &options) < 0 || mnt_context_set_source(context, root->source) || mnt_context_set_target(context, root->target) ||
	    mnt_context_set_options(context, options) || (root->type && mnt_context_set_fstype(context, root->type)))
		return err_set(err, ENOMEM, "cannot mount %s on %s", root->source, target);
	mnt_context_disable_helpers(context, 1);
	mnt_context_disable_mtab(context, 1);
	mnt_context_disable_swapmatch(context, 1);
	r = mnt_context_mount(context);
	if (r == 0)
		return 0;
	errno = mnt_context_syscall_called(context) ? mnt_context_get_syscall_errno(context) : r < 0 ? -r : EINVAL;
	r = errno;
	mnt_context_get_excode(context, r, why, sizeof why);
	if (r == ENODEV && root->type)
		return err_set(err, -r,
			       "cannot mount %s on %s: this kernel has no %s: load its module (modprobe %s), or boot the host with a kernel that has it",
			       root->source, target, root->type, root->type);
	return err_set(err, -r, "cannot mount %s on %s%s%s: %s%s", root->source, target, root->type ? " as " : "", root->type ? root->type : "",
		       why[0] ? why : strerror(r), limit_hint(r));
}

int mnt_root(const struct mnt_root *root, struct err *err)
{
	struct libmnt_context *context = mnt_new_context();
	int r;

	if (!context)
		return err_set(err, ENOMEM, "cannot mount %s", root->source);
	r = root_mount(context, root, err);
	mnt_free_context(context);
	if (r == 0 && mount(NULL, root->target, NULL, MS_REC | (root->directory ? MS_SLAVE : MS_PRIVATE), NULL) < 0)
		r = err_set(err, errno, "cannot keep mounts in %s from spreading", root->target);
	/* A slave still gets what is mounted below the directory on the host later; the root's own mount must not. */
	if (r == 0 && root->directory && mount(NULL, root->target, NULL, MS_PRIVATE, NULL) < 0)
		r = err_set(err, errno, "cannot keep mounts in %s from spreading", root->target);
	return r;
}

int mnt_has_overlay(struct err *err)
{
	/* Without layers it is refused in any case: with another error where the kernel knows what is meant. That loads the module, too. */
	if (mount("overlay", "/", "overlay", 0, NULL) == 0 || errno != ENODEV)
		return 0;
	return err_set(err, -ENODEV,
		       "overlay = tmpfs: this kernel has no overlayfs (it came with Linux 3.18): load its module (modprobe overlay), or say overlay = none "
		       "and take a source that can be written");
}

int mnt_tmpfs(const char *target, struct err *err)
{
	if (mount("gcdboot", target, "tmpfs", 0, "mode=0700") < 0)
		return err_set(err, errno, "cannot mount a tmpfs on %s", target);
	if (mount(NULL, target, NULL, MS_PRIVATE, NULL) == 0)
		return 0;
	err_set(err, errno, "cannot keep mounts in %s from spreading", target);
	umount2(target, UMOUNT_NOFOLLOW);
	return -EINVAL;
}

static unsigned long overlay_flags(const char *options)
{
	static const unsigned long of_a_mount = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME;
	unsigned long flags = 0;

	mnt_optstr_get_flags(options, &flags, mnt_get_builtin_optmap(MNT_LINUX_MAP));
	return flags & of_a_mount;
}

/*
 * xino=on (4.17): files have the device number of the overlay, and not that of a layer, so that `du -x` and our own search for holders find them.
 * redirect_dir=on (4.10): a directory of the source can be renamed.
 */
int mnt_overlay(const char *source, const char *target, const char *options, struct err *err)
{
	static const char layers[] = "lowerdir=" MNT_LOWER ",upperdir=" MNT_UPPER ",workdir=" MNT_WORK;
	static const char layers_and_more[] = "lowerdir=" MNT_LOWER ",upperdir=" MNT_UPPER ",workdir=" MNT_WORK ",xino=on,redirect_dir=on";
	unsigned long flags = overlay_flags(options);
	int r = mount("overlay", target, "overlay", flags, layers_and_more);

	if (r < 0 && errno == EINVAL)
		r = mount("overlay", target, "overlay", flags, layers);
	if (r < 0 && errno == EINVAL)
		return err_set(
		    err, -EINVAL,
		    "cannot put an overlay over %s on %s: the kernel refuses it as a layer, its log (dmesg) says why (a filesystem that ignores case, an "
		    "automount, or two overlays one over the other already)",
		    source, target);
	if (r < 0)
		return err_set(err, errno, "cannot put an overlay over %s on %s", source, target);
	if (mount(NULL, target, NULL, MS_PRIVATE, NULL) == 0)
		return 0;
	err_set(err, errno, "cannot keep mounts in %s from spreading", target);
	umount2(target, UMOUNT_NOFOLLOW);
	return -EINVAL;
}

/* Both calls came with 5.2; a seccomp filter may know one of them only. A detached copy that cannot be moved is of no use: mount(2) refuses to bind it. */
static bool can_move(void)
{
	return syscall(SYS_move_mount, -1, "", -1, "", 0) == 0 || (errno != ENOSYS && errno != EPERM);
}

int mnt_open_source(struct mnt_source *source, const char *path, struct err *err)
{
	source->detached = can_move();
	source->fd = source->detached ? (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_NO_AUTOMOUNT) : -1;
	if (source->fd < 0 && (!source->detached || errno == ENOSYS || errno == EPERM)) {
		/* O_PATH without O_DIRECTORY neither opens the file nor triggers an automount. */
		source->detached = false;
		source->fd = open(path, O_PATH | O_CLOEXEC);
	}
	if (source->fd < 0)
		return err_set(err, errno, errno == EINVAL ? "cannot copy the mount (unbindable, or locked to another)" : "cannot reach it on the host");
	return 0;
}

int mnt_prepare(const struct mnt_source *source, bool slave, bool readonly, struct err *err)
{
	struct mount_attr attr = { .attr_set = readonly ? MOUNT_ATTR_RDONLY : 0, .propagation = slave ? MS_SLAVE : 0 };

	if (!source->detached)
		return -ENOSYS;
	if (syscall(SYS_mount_setattr, source->fd, "", AT_EMPTY_PATH, &attr, sizeof attr) == 0)
		return 0;
	return errno == ENOSYS || errno == EPERM ? -ENOSYS : err_set(err, errno, "cannot set the flags of its mount");
}

static int attach_by_path(int source_fd, int target_fd)
{
	char source[FD_PATH_MAX], target[FD_PATH_MAX];

	fd_path(source, source_fd);
	fd_path(target, target_fd);
	return mount(source, target, NULL, MS_BIND, NULL);
}

/* mount(2) copies and mounts in one; a detached mount is copied already. */
static int cannot_bind(bool is_copy, struct err *err)
{
	return err_set(err, errno, errno == EINVAL && !is_copy ? "cannot copy the mount (unbindable, or locked to another)" : "cannot mount it");
}

int mnt_attach(const struct mnt_source *source, int target_fd, struct err *err)
{
	int r = source->detached ? (int)syscall(SYS_move_mount, source->fd, "", target_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)
				 : attach_by_path(source->fd, target_fd);

	if (r == 0)
		return 0;
	if (errno == ENOTDIR)
		return err_set(err, -ENOTDIR, "one is a directory, the other is not");
	return cannot_bind(source->detached, err);
}

int mnt_bind_directory(const char *source, int target_fd, struct err *err)
{
	if (fchdir(target_fd) < 0)
		return err_set(err, errno, "cannot enter the mount point");
	return mount(source, ".", NULL, MS_BIND, NULL) < 0 ? cannot_bind(false, err) : 0;
}

static unsigned long statvfs_to_mount_flags(unsigned long f_flag)
{
	static const struct {
		unsigned long vfs, ms;
	} map[] = {
		{ ST_NOSUID, MS_NOSUID },   { ST_NODEV, MS_NODEV },           { ST_NOEXEC, MS_NOEXEC },
		{ ST_NOATIME, MS_NOATIME }, { ST_NODIRATIME, MS_NODIRATIME }, { ST_RELATIME, MS_RELATIME },
	};
	unsigned long flags = 0;

	for (size_t i = 0; i < sizeof map / sizeof *map; i++)
		if (f_flag & map[i].vfs)
			flags |= map[i].ms;
	return flags;
}

int mnt_set_readonly(int fd, struct err *err)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
	char path[FD_PATH_MAX];
	struct statvfs vfs;

	if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attr, sizeof attr) == 0)
		return 0;
	if (errno != ENOSYS && errno != EPERM)
		return err_set(err, errno, "cannot make it read-only");
	/* A bind remount sets all flags anew: those that it has must be given again. By path: fstatfs(2) takes no O_PATH before Linux 3.12. */
	fd_path(path, fd);
	if (statvfs(path, &vfs) < 0 || mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | statvfs_to_mount_flags(vfs.f_flag), NULL) < 0)
		return err_set(err, errno, "cannot make it read-only");
	return 0;
}

int mnt_set_slave(int fd, struct err *err)
{
	char path[FD_PATH_MAX];

	fd_path(path, fd);
	if (mount(NULL, path, NULL, MS_SLAVE, NULL) < 0)
		return err_set(err, errno, "cannot keep mounts in it from spreading");
	return 0;
}

int mnt_umount(const char *path)
{
	return umount2(path, UMOUNT_NOFOLLOW) < 0 ? -errno : 0;
}

int mnt_detach(const char *path)
{
	return umount2(path, UMOUNT_NOFOLLOW | MNT_DETACH) < 0 ? -errno : 0;
}

int mnt_detach_fd(int fd)
{
	char path[FD_PATH_MAX];

	fd_path(path, fd);
	return umount2(path, MNT_DETACH) < 0 ? -errno : 0;
}

int mnt_swapoff(const char *path)
{
	return swapoff(path) < 0 ? -errno : 0;
}
