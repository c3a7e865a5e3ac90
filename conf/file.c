/* file: opens a configuration file, makes sure that only root can have written it, and reads it whole. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "../gcdboot/table.h"

#define SIZE_LIMIT ((size_t)1024 * 1024)
#define MAGIC_9P 0x01021997
#define MAGIC_FUSE 0x65735546 /* virtiofs has it too */

/* Marks an error that err_set() has made as one of the configuration. */
static int as_usage(struct err *err, int ret)
{
	if (err)
		err->usage = 1;
	return ret;
}

static int cannot_open(const char *file, int errnum, struct err *err)
{
	/* A socket cannot be opened at all. */
	if (errnum == ENXIO)
		return err_usage(err, "%s: not a regular file", file);
	if (errnum == ENOENT && fnmatch("/etc/gcdboot/*.conf", file, FNM_PATHNAME) == 0)
		return as_usage(err, err_set(err, -ENOENT,
					     "%s: cannot open: %s (copy the sample conf/default.conf there and edit it, or name another file with -c FILE)",
					     file, strerror(errnum)));
	return as_usage(err, err_set(err, errnum, "%s: cannot open", file));
}

/* What the kernel calls the filesystem: of 9p, statfs(2) gives the type that its server claims, which may be that of the disk behind it. */
static bool is_9p(dev_t dev)
{
	struct table table = { 0 };
	bool is = false;

	if (table_read(&table, NULL, NULL) < 0)
		return false;
	for (size_t i = 0; i < table.count && !is; i++)
		is = table.mount[i].major == major(dev) && table.mount[i].minor == minor(dev) &&
		     (strcmp(table.mount[i].type, "9p") == 0 || strcmp(table.mount[i].type, "drvfs") == 0);
	table_clear(&table);
	return is;
}

/*
 * Whether owner and mode mean nothing on this filesystem. It is the server that makes them up on 9p and FUSE, drvfs for one gives every file to one user
 * with mode 0777. To be strict with the FUSE that is not virtiofs would gain nothing: such a server can claim root and 0600 as well.
 */
static bool has_no_modes(int fd)
{
	struct statfs fs;
	struct stat st;

	if (fstatfs(fd, &fs) == 0 && ((unsigned long)fs.f_type == MAGIC_9P || (unsigned long)fs.f_type == MAGIC_FUSE))
		return true;
	return fstat(fd, &st) == 0 && is_9p(st.st_dev);
}

/* The error, or on a filesystem without modes the same words as a warning. */
static int distrust(int fd, const char *message, struct strlist *warnings, struct err *err)
{
	if (!has_no_modes(fd))
		return err_usage(err, "%s", message);
	if (warnings && strlist_addf(warnings, "%s; taken all the same, this drive has no owners and modes", message) < 0)
		return err_set(err, ENOMEM, "cannot store a warning");
	return 0;
}

static int check_file(int fd, const char *file, struct strlist *warnings, struct err *err)
{
	char message[PATH_MAX + 128];
	struct stat st;
	int ret = 0;

	if (fstat(fd, &st) < 0)
		return as_usage(err, err_set(err, errno, "%s: cannot stat", file));
	if (!S_ISREG(st.st_mode))
		return err_usage(err, "%s: not a regular file", file);
	if (st.st_uid != 0 && st.st_uid != geteuid()) {
		snprintf(message, sizeof message, "%s: not owned by root (but by uid %u: chown root)", file, (unsigned)st.st_uid);
		ret = distrust(fd, message, warnings, err);
	}
	if (ret == 0 && (st.st_mode & (S_IWGRP | S_IWOTH))) {
		snprintf(message, sizeof message, "%s: writable by group or other (mode %04o: chmod go-w)", file, (unsigned)st.st_mode & 07777);
		ret = distrust(fd, message, warnings, err);
	}
	return ret;
}

/* Who can write the directory can put another file in the place of this one; the sticky bit keeps all but the owner from that. */
static int check_directory(const char *dir, const char *file, struct strlist *warnings, struct err *err)
{
	auto_close int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char message[2 * PATH_MAX + 128];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return as_usage(err, err_set(err, errno, "%s: cannot look at its directory %s", file, dir));
	if ((st.st_mode & S_ISVTX) || !(st.st_mode & (S_IWGRP | S_IWOTH)))
		return 0;
	snprintf(message, sizeof message, "%s: %s is writable by others (mode %04o: chmod go-w)", file, dir, (unsigned)st.st_mode & 07777);
	return distrust(fd, message, warnings, err);
}

/* Where the path is a symbolic link, the file itself lies in another directory. */
static int check_link_directory(int fd, const char *file, struct strlist *warnings, struct err *err)
{
	char link[64], real[PATH_MAX];
	struct stat st;
	ssize_t len;

	if (lstat(file, &st) < 0 || !S_ISLNK(st.st_mode))
		return 0;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	len = readlink(link, real, sizeof real - 1);
	if (len <= 0)
		return err_usage(err, "%s: a symbolic link, and without /proc its directory cannot be found: name the file itself", file);
	real[len] = '\0';
	return check_directory(dirname(real), file, warnings, err);
}

static int check_directories(int fd, const char *file, struct strlist *warnings, struct err *err)
{
	auto_free char *copy = strdup(file);
	int ret;

	if (!copy)
		return err_set(err, ENOMEM, "%s: cannot check", file);
	ret = check_directory(dirname(copy), file, warnings, err);
	return ret < 0 ? ret : check_link_directory(fd, file, warnings, err);
}

static int read_whole(int fd, const char *file, char **text, size_t *size, struct err *err)
{
	auto_free char *buf = malloc(SIZE_LIMIT + 2);
	size_t len = 0;
	ssize_t n;

	if (!buf)
		return err_set(err, ENOMEM, "%s: cannot read", file);
	do {
		n = read(fd, buf + len, SIZE_LIMIT + 1 - len);
		if (n < 0 && errno != EINTR)
			return as_usage(err, err_set(err, errno, "%s: cannot read", file));
		len += n > 0 ? (size_t)n : 0;
	} while (n != 0 && len <= SIZE_LIMIT);
	if (len > SIZE_LIMIT)
		return err_usage(err, "%s: larger than %zu bytes, that is no configuration", file, SIZE_LIMIT);
	buf[len] = '\0';
	*text = buf;
	*size = len;
	buf = NULL;
	return 0;
}

int file_read(const char *file, char **text, size_t *size, struct strlist *warnings, struct err *err)
{
	/* O_NONBLOCK: the open of a fifo must not wait for a writer. */
	auto_close int fd = open(file, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	int ret;

	if (fd < 0)
		return cannot_open(file, errno, err);
	ret = check_file(fd, file, warnings, err);
	if (ret == 0)
		ret = check_directories(fd, file, warnings, err);
	if (ret == 0)
		ret = read_whole(fd, file, text, size, err);
	return ret;
}
