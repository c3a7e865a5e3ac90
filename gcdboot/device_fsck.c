/* device_fsck: checks a filesystem with fsck(8) before it is mounted. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

#include "device.h"
#include "text.h"

#define PATH_VALUE "/usr/sbin:/sbin:/usr/bin:/bin"

static const char *const folders[] = { "/usr/sbin", "/sbin", "/usr/bin", "/bin" };

/* Who brings the checker. Its own name is all that can be said of one that is not here. */
static const struct {
	const char *type, *package;
} packages[] = {
	{ "ext2", "e2fsprogs" }, { "ext3", "e2fsprogs" },         { "ext4", "e2fsprogs" },
	{ "xfs", "xfsprogs" },   { "btrfs", "btrfs-progs" },      { "f2fs", "f2fs-tools" },
	{ "jfs", "jfsutils" },   { "reiserfs", "reiserfsprogs" }, { "bcachefs", "bcachefs-tools" },
};

static bool find_program(char *path, size_t size, const char *name)
{
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		int n = snprintf(path, size, "%s/%s", folders[i], name);

		if (n > 0 && (size_t)n < size && access(path, X_OK) == 0)
			return true;
	}
	return false;
}

/* fsck(8) has one status for "no such checker" and for a checker that failed: so it is looked for here. */
static int refuse_without_checker(const char *node, const char *type, struct err *err)
{
	char checker[64], path[PATH_MAX];
	const char *package = NULL;

	if (!type || strcmp(type, "auto") == 0 || strpbrk(type, "/, ") || strlen(type) > 32)
		return err_set(err, -EINVAL, "cannot check %s: fsck = yes needs one filesystem type that is known, say it with type =", node);
	snprintf(checker, sizeof checker, "fsck.%s", type);
	if (find_program(path, sizeof path, checker))
		return 0;
	for (size_t i = 0; i < sizeof packages / sizeof *packages; i++)
		if (strcmp(packages[i].type, type) == 0)
			package = packages[i].package;
	if (package)
		return err_set(err, -ENOENT, "cannot check %s: %s not found: install %s, or say fsck = no", node, checker, package);
	return err_set(err, -ENOENT, "cannot check %s: %s not found: install it, or say fsck = no", node, checker);
}

/* Starts the program with nothing of ours but the log: default signals (the supervisor blocks some), and an environment of its own. */
static int start(pid_t *pid, const char *program, char *const *argv, int log_fd)
{
	static char path[] = "PATH=" PATH_VALUE, locale[] = "LC_ALL=C.UTF-8";
	char *environment[] = { path, locale, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int ret;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	/* stdin comes last: log_fd itself could be 0. */
	if (log_fd >= 0)
		ret = posix_spawn_file_actions_adddup2(&files, log_fd, 1);
	else
		ret = posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
	if (ret == 0)
		ret = posix_spawn_file_actions_adddup2(&files, 1, 2);
	if (ret == 0)
		ret = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	if (ret == 0)
		ret = posix_spawn(pid, program, &files, &attributes, argv, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
	return -ret;
}

static int refuse_status(const char *node, int status, bool mend, struct err *err)
{
	if (WIFSIGNALED(status))
		return err_set(err, -EUCLEAN, "fsck of %s was killed by signal %d: run fsck %s by hand", node, WTERMSIG(status), node);
	switch (WEXITSTATUS(status)) {
	case 0:
	case 1: /* mended */
		return 0;
	case 2:
	case 3:
		return err_set(err, -EUCLEAN, "fsck of %s asks for a reboot (exit status %d): run fsck %s by hand", node, WEXITSTATUS(status), node);
	case 8:
		return err_set(err, -EUCLEAN, "fsck could not check %s (exit status 8): run fsck %s by hand", node, node);
	default:
		if (!mend)
			return err_set(err, -EUCLEAN,
				       "fsck has found errors on %s (exit status %d), and overlay = tmpfs does not write to it: run fsck %s by hand", node,
				       WEXITSTATUS(status), node);
		return err_set(err, -EUCLEAN, "fsck could not mend %s (exit status %d): run fsck %s by hand", node, WEXITSTATUS(status), node);
	}
}

int device_fsck(const char *node, const char *type, bool mend, int log_fd, struct err *err)
{
	auto_free char *safe = text_safe(node);
	const char *name = safe ? safe : "the device";
	char *argv[] = { (char *)"fsck", (char *)(mend ? "-a" : "-n"), (char *)"-T", (char *)"-t", (char *)type, (char *)node, NULL };
	char program[PATH_MAX];
	pid_t pid = 0, waited;
	int status = 0, ret;

	ret = refuse_without_checker(name, type, err);
	if (ret < 0)
		return ret;
	if (!find_program(program, sizeof program, "fsck"))
		return err_set(err, -ENOENT, "cannot check %s: fsck not found: install util-linux, or say fsck = no", name);
	ret = start(&pid, program, argv, log_fd);
	if (ret < 0)
		return err_set(err, -ret, "cannot run %s on %s", program, name);
	do {
		waited = waitpid(pid, &status, 0);
	} while (waited < 0 && errno == EINTR);
	if (waited < 0)
		return err_set(err, errno, "cannot wait for the fsck of %s", name);
	return refuse_status(name, status, mend, err);
}
