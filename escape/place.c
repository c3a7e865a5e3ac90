/* place: which root directory, on which mount, a process stands in or could go to. */
#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "../gcdboot/mountid.h"
#include "../gcdboot/util.h"

/* "mnt_id:\t25" in /proc/self/fdinfo/FD, since Linux 3.15, of the /proc of this root: "/" may be another by now. */
static uint64_t fdinfo_mount_id(int fd, int proc_fd)
{
	char path[64], text[512];
	auto_close int info = -1;
	const char *found;
	ssize_t n;

	snprintf(path, sizeof path, "proc/self/fdinfo/%d", fd);
	info = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	n = info < 0 ? -1 : read(info, text, sizeof text - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	found = strstr(text, "mnt_id:");
	return found ? strtoull(found + strlen("mnt_id:"), NULL, 10) : 0;
}

int place_read(struct place *place, int root_fd, int proc_fd, struct err *err)
{
	struct statx sx;
	struct stat st;

	*place = (struct place){ .root_fd = root_fd };
	/* DONT_SYNC: what identifies a directory is known without asking a server that may hang. */
	if (statx(root_fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO | STATX_MNT_ID, &sx) == 0) {
		place->major = sx.stx_dev_major;
		place->minor = sx.stx_dev_minor;
		place->ino = sx.stx_ino;
		place->mount_id = sx.stx_mask & STATX_MNT_ID ? sx.stx_mnt_id : 0;
	} else if (fstat(root_fd, &st) == 0) { /* old seccomp filters refuse statx(2) */
		place->major = major(st.st_dev);
		place->minor = minor(st.st_dev);
		place->ino = st.st_ino;
		sx.stx_mode = (uint16_t)st.st_mode;
	} else {
		return err_set(err, errno, "cannot look at a root directory");
	}
	if (!S_ISDIR(sx.stx_mode))
		return err_set(err, -ENOTDIR, "what was given as a root is not a directory");
	if (place->mount_id == 0)
		place->mount_id = (uint64_t)mountid_by_handle(root_fd);
	if (place->mount_id == 0)
		place->mount_id = fdinfo_mount_id(root_fd, proc_fd);
	return 0;
}

bool place_same_directory(const struct place *a, const struct place *b)
{
	return a->major == b->major && a->minor == b->minor && a->ino == b->ino;
}

bool place_same(const struct place *a, const struct place *b)
{
	return place_same_directory(a, b) && (a->mount_id == b->mount_id || a->mount_id == 0 || b->mount_id == 0);
}
